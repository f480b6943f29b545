"""JSON bodies, read strictly: what two parsers might read differently is refused.

Source: https://www.rfc-editor.org/rfc/rfc8259.html
"""

import json
from decimal import Decimal, DecimalException
from typing import Any, NoReturn, cast

from chalice.app import Request

from chalicelib.errors import FieldError, InvalidInput, InvalidJson, UnsupportedMediaType


def json_body(request: Request) -> Any:
    """The JSON that a request carries, see `parse`.

    Raises `UnsupportedMediaType`, `InvalidInput` where no type is declared, and `InvalidJson`.
    """
    declared = request.headers.get("content-type")
    if declared is None:
        fault = FieldError("Content-Type", "is required and must be application/json")
        raise InvalidInput("the body's type is not declared", [fault])
    if declared.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("the body must be application/json")
    try:
        raw = cast(bytes, request.raw_body)  # whatever its annotation says
    except ValueError as error:
        raise InvalidJson("the body is not encoded as it should be") from error
    return parse(raw)


def parse(raw: bytes) -> Any:
    """`raw` as JSON; numbers with a point or an exponent become exact `Decimal`s.

    Raises `InvalidJson`, also for an empty body, bytes that are not UTF-8, NaN and Infinity, a key
    given twice, and numbers or nesting beyond all measure.
    """
    if not raw.strip():
        raise InvalidJson("the body is empty")
    try:
        return json.loads(
            raw.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError as error:
        raise InvalidJson("the body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise InvalidJson(
            f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    except (ValueError, DecimalException) as error:
        raise InvalidJson("the body holds a number that is too long") from error
    except RecursionError as error:
        raise InvalidJson("the body is nested too deeply") from error


def _refuse_constant(_: str) -> NoReturn:
    raise InvalidJson("NaN and Infinity are not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise InvalidJson("an object in the body has the same key twice")
    return members
