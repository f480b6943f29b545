import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chalicelib.contracts.fields import OrderId
from chalicelib.domain.stock import IdempotencyKey, change_id, fingerprint

texts = st.text(max_size=8)
triples = st.tuples(texts, texts, texts)


def key_of(triple: tuple[str, str, str]) -> str:
    principal, sku, text = triple
    return change_id(sku, IdempotencyKey(principal, text))


@given(triples)
def test_no_order_id_equals_the_key_of_a_change(triple: tuple[str, str, str]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(OrderId).validate_python(key_of(triple))
    assert re.fullmatch(r"adjustment#[0-9a-f]{64}", key_of(triple))


@given(triples, triples)
def test_only_the_same_caller_sku_and_key_have_the_same_record(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (key_of(one) == key_of(other)) is (one == other)


def test_parts_of_a_key_are_kept_apart() -> None:
    assert key_of(("a", "bc", "d")) != key_of(("ab", "c", "d"))
    assert key_of(('a","b', "c", "d")) != key_of(("a", 'b","c', "d"))


def test_a_generated_key_never_equals_a_callers() -> None:
    assert change_id("A", "x") != key_of(("", "A", "x"))


details = st.lists(st.none() | st.integers() | texts, max_size=4)


@given(texts, details, texts, details)
def test_only_equal_requests_have_the_same_fingerprint(
    one: str, given_one: list[str | int | None], other: str, given_other: list[str | int | None]
) -> None:
    same = one == other and given_one == given_other
    assert (fingerprint(one, *given_one) == fingerprint(other, *given_other)) is same
