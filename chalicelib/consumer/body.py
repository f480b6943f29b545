"""The body of a message: from its text to the JSON object that the OMS made, without an envelope of AWS.

A repeated key is refused, since two parsers may take different values of it. pydantic's parser is fast, but
keeps the last value silently. So it reads each message first, and a quick check shows whether it can have
dropped a value. Only in that case the parser of the standard library reads the text again.

It also reads what the fast one cannot: NaN and Infinity, control characters and lone surrogates in texts,
huge numbers, deep nesting. Such a part becomes a value that no field takes. So an order is refused only if a
field that is needed has such a part.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from pydantic_core import from_json

from chalicelib.errors import FieldError, Poison

MAX_ERRORS: Final = 20
"""The most errors that the answer to an invalid request lists."""
MAX_DEPTH: Final = 100
"""Parts that are nested deeper are read as null; the fields of a message are at depth 4 or less."""
MAX_DIGITS: Final = 1_000
"""Longer integers are read as null: Python refuses those with more than 4,300 digits."""
_MAX_FIELD: Final = 64
_EVENT: Final = frozenset({"detail-type", "source", "detail"})
_MARKS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A whole text, so that a bracket in it does not count, or a bracket. An open text ends with the body."""


class _Repeated:
    """What the value of a repeated key is read as: no field takes it."""


_REPEATED: Final = _Repeated()


def read_body(body: str) -> tuple[dict[str, Any], tuple[FieldError, ...]]:
    """Read the JSON object in `body`, or in the SNS notification or EventBridge event that `body` is.

    These are known by their fields. Powertools' models would also demand fields that we do not need.
    Returns the object, and an error for each repeated key in it, up to `MAX_ERRORS`. Raises `Poison` if
    there is none.
    """
    message, repeats = _object(body)
    if "type" not in message:
        if message.get("Type") == "Notification" and isinstance(notified := message.get("Message"), str):
            message, repeats = _object(notified)
        elif message.keys() >= _EVENT and isinstance(detail := message["detail"], dict):
            message = detail
    return message, tuple(islice(_repeated_keys(message), MAX_ERRORS)) if repeats else ()


def _object(body: str) -> tuple[dict[str, Any], bool]:
    """The same as `_parse`, for a JSON object."""
    value, repeats = _parse(body.removeprefix("\ufeff"))
    if not isinstance(value, dict):
        raise Poison("the body is not a JSON object")
    return value, repeats


def _parse(body: str) -> tuple[Any, bool]:
    """The JSON value in `body`, and whether a key may be repeated in it."""
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except (ValueError, TypeError):  # TypeError: a lone surrogate, which no encoding has
        body = _shallow(body)
    else:
        if not isinstance(value, dict) or _is_complete(value, body):
            return value, False
    try:
        value = _DECODER.decode(body)
    except ValueError:
        raise Poison("the body is not JSON") from None
    return value, True


def _is_complete(message: dict[str, Any], body: str) -> bool:
    """Whether `message` certainly has every member of `body`, so that no key is repeated.

    Each member has one colon, and texts may have more. If `message` accounts for all colons in `body`,
    nothing was dropped. An escaped colon would make that uncertain.
    """
    return "\\u003a" not in body and "\\u003A" not in body and _colons(message) == body.count(":")


def _colons(members: dict[str, Any]) -> int:
    """How many colons `members` certainly needs as JSON."""
    colons = len(members)
    for value in members.values():
        if type(value) is str:
            colons += value.count(":")
        elif type(value) is dict:
            colons += _colons(value)
        elif type(value) is list:
            for line in value:
                if type(line) is dict:
                    colons += _colons(line)
    return colons


def _shallow(body: str) -> str:
    """`body` with null for each part that is nested deeper than `MAX_DEPTH`."""
    shallow: list[str] = []
    depth = kept = 0
    for mark in _MARKS.finditer(body):
        if mark[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                shallow += body[kept : mark.start()], "null"
                kept = len(body)
        elif mark[0] in "]}":
            depth -= 1
            if depth == MAX_DEPTH:
                kept = mark.end()
    return "".join(shallow) + body[kept:]


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_DIGITS else None


def _constant(_: str) -> None:
    """Read NaN and Infinity, which JSON lacks but many libraries write, as null."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        members.update((key, _REPEATED) for key, count in counts.items() if count > 1)
    return members


# Not strict: it takes control characters in texts, which the rules of the fields refuse. Built once, since
# building one takes longer than reading a message.
_DECODER: Final = json.JSONDecoder(
    strict=False, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_members
)


def _repeated_keys(value: Any, path: str = "") -> Iterator[FieldError]:
    """An error for each repeated key in `value`, which is at `path`."""
    if isinstance(value, _Repeated):
        # A lone surrogate in a key could not be sent in the answer.
        yield FieldError(path.encode("utf-8", "backslashreplace").decode(), "must not be given twice")
    elif isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            below = f"{path}.{name}" if path else str(name)
            yield from _repeated_keys(part, below[:_MAX_FIELD])
