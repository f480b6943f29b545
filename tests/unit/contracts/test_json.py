import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.contracts.validation import parse_json
from chalicelib.errors import InvalidJson


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1} x', "Extra data"),
        (b"\xff\xfe", "not UTF-8"),
        ('{"a": "ä"}'.encode("latin-1"), "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "NaN"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"x": {"a": 1, "\\u0061": 1}}', "twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": 1e99999999999999999999}', "too many digits"),
        (b"[" * 200_000, "too deeply"),
        (b'{"a":' * 200_000, "too deeply"),
        (b'{"a": "\x01"}', "control character"),
        (b"{'a': 1}", "property name"),
    ],
)
def test_invalid_json_is_refused_with_the_reason(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidJson, match=why):
        parse_json(raw)


@given(
    st.binary(max_size=200)
    | st.text(alphabet='{}[]",:-+.eE019 \\untrfalsNaI\x00é', max_size=80).map(str.encode)
)
def test_arbitrary_bytes_are_json_or_refused(raw: bytes) -> None:
    try:
        value = parse_json(raw)
    except InvalidJson:
        return
    assert json.loads(raw, parse_float=Decimal) == value


_scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text()
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(_values)
def test_json_round_trips(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_are_exact(number: Decimal) -> None:
    assert parse_json(f"[{number}]".encode()) == [number]
