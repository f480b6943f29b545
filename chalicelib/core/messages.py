"""Messages in: from the text of an SQS message to a command, or to the reason why there is none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from chalicelib.core.fields import CustomerId, OrderId, Quantity, Sku
from chalicelib.core.records import LINE_BYTES, RECORD_BYTES
from chalicelib.errors import FieldError, ImsError

MAX_SKUS: Final = 99
"""The most SKUs an order may have: a transaction holds 100 actions, and one is the order's record."""
MAX_ERRORS: Final = 20
"""The most errors an answer to an invalid request lists."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why an order cannot be taken whatever the stock: its body breaks the rules."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class TooMany:
    """Why an order cannot be taken whatever the stock: it names `skus` SKUs, more than `MAX_SKUS`."""

    skus: int


@dataclass(frozen=True, slots=True)
class Reserve:
    """Take stock for an order; `items` maps each SKU to the units asked, entries of one SKU added up.

    With a `refusal` there are no items: the order is recorded as rejected and answered.
    """

    order_id: str
    customer_id: str | None
    items: Mapping[str, int] = field(default_factory=dict)
    refusal: Invalid | TooMany | None = None

    @property
    def skus(self) -> Iterable[str]:
        return self.items.keys()

    @property
    def size(self) -> int:
        errors = self.refusal.errors if isinstance(self.refusal, Invalid) else ()
        return RECORD_BYTES + LINE_BYTES * (len(self.items) + len(errors))


@dataclass(frozen=True, slots=True)
class Release:
    """Give an order's stock back: it was cancelled."""

    order_id: str


Command = Reserve | Release
_T = TypeVar("_T")


class Poison(ImsError):
    """A message that can be neither settled nor answered, whoever tries; it belongs in the DLQ."""


def _moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 date and time")  # noqa: TRY004 - pydantic wants ValueError
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be an ISO 8601 date and time") from None
    if moment.tzinfo is None:
        raise ValueError("must have an offset from UTC")
    return moment


Timestamp = Annotated[datetime, BeforeValidator(_moment)]


class _Line(BaseModel):
    sku: Sku
    quantity: Quantity


class _Reserve(BaseModel):
    customer_id: CustomerId
    items: Annotated[list[_Line], Field(min_length=1)]
    timestamp: Timestamp


class _Release(BaseModel):
    timestamp: Timestamp
    reason: Annotated[str, StringConstraints(strict=True)] | None = None


_ORDER_ID: Final[TypeAdapter[str]] = TypeAdapter(OrderId)
_CUSTOMER_ID: Final[TypeAdapter[str]] = TypeAdapter(CustomerId)
_TIMESTAMP: Final[TypeAdapter[datetime]] = TypeAdapter(Timestamp)


def read(body: str, oldest: datetime) -> Command:
    """Read the command in `body`, the text of a message.

    `oldest` is the earliest `timestamp` that may still be applied: what is older may have been settled
    by a record that has since expired. Raises `Poison` where there is no answering.
    """
    message = _object(body)
    kind = message.get("type")
    if kind not in ("ReserveInventory", "ReleaseInventory"):
        raise Poison("its type is unknown")
    order_id = _valid(_ORDER_ID, message.get("order_id"))
    if order_id is None:
        raise Poison("it has no usable order_id")
    timestamp = _valid(_TIMESTAMP, message.get("timestamp"))
    if timestamp is not None and timestamp < oldest:
        raise Poison("it is older than the records that would tell whether it was settled")
    return _reserve(order_id, message) if kind == "ReserveInventory" else _release(order_id, message)


def _object(body: str) -> dict[str, Any]:
    try:
        message = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except (ValueError, TypeError):  # TypeError: a lone surrogate, which no encoding has
        raise Poison("it is not JSON") from None
    if not isinstance(message, dict):
        raise Poison("it is not a JSON object")
    return message


def _reserve(order_id: str, message: Mapping[str, Any]) -> Reserve:
    try:
        order = _Reserve.model_validate(message)
    except ValidationError as invalid:
        customer_id = _valid(_CUSTOMER_ID, message.get("customer_id"))
        return Reserve(order_id, customer_id, refusal=Invalid(_field_errors(invalid)))
    items: dict[str, int] = {}
    for line in order.items:
        items[line.sku] = items.get(line.sku, 0) + line.quantity
    if len(items) > MAX_SKUS:
        return Reserve(order_id, order.customer_id, refusal=TooMany(len(items)))
    return Reserve(order_id, order.customer_id, items)


def _release(order_id: str, message: Mapping[str, Any]) -> Release:
    try:
        _Release.model_validate(message)
    except ValidationError as invalid:
        faults = ", ".join(error.field for error in _field_errors(invalid))
        raise Poison(f"it is a release with bad fields: {faults}") from None
    return Release(order_id)


def _field_errors(invalid: ValidationError) -> tuple[FieldError, ...]:
    errors = invalid.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        FieldError(".".join(map(str, error["loc"])), _what_is_wrong(error)) for error in errors[:MAX_ERRORS]
    )


def _what_is_wrong(error: ErrorDetails) -> str:
    if error["type"] == "model_type":  # pydantic's own text names our class
        return "must be an object"
    return error["msg"].removeprefix("Value error, ")


def _valid(adapter: TypeAdapter[_T], value: object) -> _T | None:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None
