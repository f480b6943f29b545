"""DynamoDB's attribute values: checks, stored form, size and comparison.

Values stay in the wire form (`{"N": "5"}`); stored values are never changed in place.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
and https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final

from tests.support.engines.errors import invalid

Value = dict[str, Any]
Item = dict[str, Value]

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INTEGER: Final = re.compile(r"0|-?[1-9]\d{0,37}")
_TYPES: Final = frozenset({"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"})


def number(text: str) -> int | Decimal:
    """A stored number as a Python number that compares and adds exactly."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


@lru_cache(4096)
def canonical_number(text: str) -> str:
    """The number as DynamoDB returns it: no exponent, no leading or trailing zeros, 38 digits at most."""
    if _INTEGER.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}")
    value = Decimal(text)
    digits = len("".join(map(str, value.as_tuple().digits)).strip("0"))
    if digits > 38:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    if value and not -130 <= value.adjusted() <= 125:
        size = "larger" if value.adjusted() > 125 else "smaller"
        raise invalid(
            f"Number {'overflow' if size == 'larger' else 'underflow'}. "
            f"Attempting to store a number with magnitude {size} than supported range"
        )
    sign, figures, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = f"{Decimal((sign, figures, exponent)):f}"  # exact at any precision of the context
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    text = text.lstrip("-").lstrip("0") or "0"
    text = "0" + text if text.startswith(".") else text
    return "-" + text if sign and text != "0" else text


@cache
def hashed(key: str) -> bytes:
    """The hash of a key; a scan sorts by it."""
    return hashlib.md5(key.encode(), usedforsecurity=False).digest()


def stored(value: Mapping[str, Any]) -> Value:
    """A copy of `value` as DynamoDB stores it; raises a ValidationException for an invalid value."""
    if len(value) != 1:
        raise invalid(
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
            if not value
            else "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes"
        )
    ((kind, content),) = value.items()
    if kind in {"S", "BOOL", "B"}:
        return {kind: content}
    if kind == "N":
        return {"N": canonical_number(content)}
    if kind == "M":
        return {"M": {name: stored(member) for name, member in content.items()}}
    if kind == "L":
        return {"L": [stored(member) for member in content]}
    if kind == "NULL":
        return {"NULL": True}
    if kind not in _TYPES:
        raise AssertionError(f"no such type: {kind}")
    return {kind: _set(kind, content)}


def _set(kind: str, content: list[Any]) -> list[Any]:
    members = [canonical_number(member) for member in content] if kind == "NS" else list(content)
    if not members:
        raise invalid("One or more parameter values were invalid: An number set  may not be empty")
    if len(set(members)) < len(members):
        raise invalid("One or more parameter values were invalid: Input collection contains duplicates.")
    return members


def copy(item: Item) -> Item:
    """A copy that a caller may change without an effect on the table."""
    return {name: _copy(value) for name, value in item.items()}


def _copy(value: Value) -> Value:
    return stored(value) if "M" in value or "L" in value else dict(value)


def size(item: Item) -> int:
    """The size of an item in bytes, for the limit of 400 KB and for capacity units."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Value) -> int:  # noqa: PLR0911 - one line a type
    kind: str
    content: Any
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        digits = content.lstrip("-").replace(".", "").strip("0")
        return 1 + (len(digits) + 1) // 2 + int(content.startswith("-"))
    if kind == "B":
        return len(bytes(content))
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size(member) for name, member in content.items())
    if kind == "L":
        return 3 + sum(1 + _size(member) for member in content)
    if kind in {"SS", "NS", "BS"}:
        return sum(_size({kind[0]: member}) for member in content)
    return 1


def equal(left: Value | None, right: Value | None) -> bool:  # noqa: PLR0911 - one line a type
    """Whether both values are present, of the same type and equal."""
    if left is None or right is None:
        return False
    if left == right:
        return True
    ((kind, ours),) = left.items()
    ((other, theirs),) = right.items()
    if kind != other:
        return False
    if kind == "N":
        return number(ours) == number(theirs)
    if kind == "L":
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if kind == "M":
        return ours.keys() == theirs.keys() and all(equal(ours[name], theirs[name]) for name in ours)
    if kind == "NS":
        return set(map(number, ours)) == set(map(number, theirs))
    return kind in {"SS", "BS"} and set(ours) == set(theirs)


def order(left: Value | None, right: Value | None) -> int | None:
    """-1, 0 or 1; None if a value is missing, the types differ, or their type has no order."""
    if left is None or right is None:
        return None
    ((kind, ours),) = left.items()
    ((other, theirs),) = right.items()
    if kind != other or kind not in {"N", "S", "B"}:
        return None
    if kind == "N":
        ours, theirs = number(ours), number(theirs)
    return int(ours > theirs) - int(ours < theirs)
