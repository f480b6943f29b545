"""Untrusted input, checked in one place: JSON text strictly, and values by their model.

Source: https://www.rfc-editor.org/rfc/rfc8259.html
"""

import json
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from typing import Any, Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chalicelib.errors import FieldError, InvalidInput, InvalidJson, InvalidPageToken

INVALID_TOKEN: Final = "invalid_token"  # noqa: S105 - a type of error
"""The type of pydantic error that stands for a bad `next_token`."""
_MAX_ERRORS: Final = 100
_MAX_NAME: Final = 64
_T = TypeVar("_T", bound=BaseModel)


def parse_json(raw: bytes) -> Any:
    """Read `raw` as JSON; numbers with a point or an exponent become exact `Decimal`s.

    Two parsers must not read one body differently. So this raises `InvalidJson` also for an empty body,
    bytes that are not UTF-8, NaN and Infinity, a repeated key, and excessive numbers or nesting.
    """
    if not raw.strip():
        raise InvalidJson("the body is empty")
    try:
        return json.loads(
            raw.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_repeated_keys,
        )
    except UnicodeDecodeError as error:
        raise InvalidJson("the body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise InvalidJson(
            f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    except (ValueError, DecimalException) as error:
        raise InvalidJson("the body contains a number with too many digits") from error
    except RecursionError as error:
        raise InvalidJson("the body is nested too deeply") from error


def parse(model: type[_T], parts: Mapping[str, Any]) -> _T:
    """Check the `parts` of a request by its `model`, all of them together.

    Raises `InvalidInput` with every invalid field, `InvalidPageToken` if only `next_token` is invalid.
    """
    try:
        return model.model_validate(parts)
    except ValidationError as invalid:
        # Without the cause: it quotes the input.
        raise _refusal(_details(invalid)) from None


def field_errors(invalid: ValidationError, most: int = _MAX_ERRORS) -> tuple[FieldError, ...]:
    """Describe the first `most` errors in pydantic's findings, each by its field."""
    return tuple(_field_error(detail) for detail in _details(invalid)[:most])


def _details(invalid: ValidationError) -> list[ErrorDetails]:
    return invalid.errors(include_url=False, include_input=False, include_context=False)


def _refusal(details: list[ErrorDetails]) -> InvalidInput:
    errors = [_field_error(detail) for detail in details[:_MAX_ERRORS]]
    message = f"{errors[0].field}: {errors[0].message}"
    if len(details) > 1:
        message += f" (and {len(details) - 1} more)"
    only_token = all(detail["type"] == INVALID_TOKEN for detail in details)
    return (InvalidPageToken if only_token else InvalidInput)(message, errors)


def _field_error(detail: ErrorDetails) -> FieldError:
    path = detail["loc"]
    if len(path) > 1 and path[0] == "body":
        path = path[1:]
    # pydantic's own text names our class.
    message = "must be an object" if detail["type"] == "model_type" else detail["msg"]
    # A name may be the caller's own, of any length.
    field = ".".join(str(part)[:_MAX_NAME] for part in path)
    return FieldError(field, message.removeprefix("Value error, "))


def _refuse_constant(_: str) -> NoReturn:
    raise InvalidJson("NaN and Infinity are not JSON")


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise InvalidJson("an object in the body has the same key twice")
    return members
