"""The fields of requests, messages and events, one type each, with its rules."""

import re
from datetime import datetime
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
)
from pydantic_core import Url

from chalicelib.domain.stock import MAX_QUANTITY, MAX_STOCK

SKU_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
ORDER_ID_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,128}$"
_ROUTES: Final = frozenset({"check", "adjustments"})
_PRICE_DIGITS: Final = 12
_CENT: Final = Decimal("0.01")


def _not_a_route(sku: str) -> str:
    if sku in _ROUTES:
        raise ValueError(f"'{sku}' is reserved")
    return sku


def _price(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic lets a TypeError through
    if value < 0:
        raise ValueError("must not be negative")
    # Room for the cents that a whole number of 12 digits is padded with.
    exact = Context(prec=_PRICE_DIGITS + 2, traps=[Inexact, InvalidOperation])
    try:
        plain = f"{Decimal(value).copy_abs().quantize(_CENT, context=exact).normalize():f}"
    except DecimalException:
        plain = ""
    if not plain or len(plain.replace(".", "").lstrip("0")) > _PRICE_DIGITS:
        raise ValueError(f"must have at most 2 decimals and {_PRICE_DIGITS} digits")
    return Decimal(plain)


def price_number(price: Decimal) -> int | float:
    """`price` as a JSON number: exact, since a float keeps 15 digits, and a price has at most 12."""
    return int(price) if price == price.to_integral_value() else float(price)


def _web_address(text: str) -> str:
    # `Url` repairs invalid input (spaces, a missing slash). We refuse such input.
    if not re.fullmatch(r"https?://[^\s\x00-\x1f\x7f]+", text, re.IGNORECASE):
        raise ValueError("must be an http or https URL")
    try:
        Url(text)
    except ValidationError:
        raise ValueError("must be an http or https URL") from None
    return text


def _not_zero(delta: int) -> int:
    if delta == 0:
        raise ValueError("must not be 0")
    return delta


def not_null(value: object) -> object:
    """Refuse null, for optional fields in which it would be a mistake."""
    if value is None:
        raise ValueError("must not be null")
    return value


def _whole_number(text: object) -> int:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 date and time")  # noqa: TRY004 - pydantic wants ValueError
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be an ISO 8601 date and time") from None
    if time.tzinfo is None:
        raise ValueError("must have an offset from UTC")
    return time


Sku = Annotated[str, StringConstraints(strict=True, pattern=SKU_PATTERN), AfterValidator(_not_a_route)]
OrderId = Annotated[str, StringConstraints(strict=True, pattern=ORDER_ID_PATTERN)]
CustomerId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]
StockLevel = Annotated[int, Field(strict=True, ge=0, le=MAX_STOCK)]
Delta = Annotated[int, Field(strict=True, ge=-MAX_QUANTITY, le=MAX_QUANTITY), AfterValidator(_not_zero)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Description = Annotated[str, StringConstraints(max_length=4096)]
ImageUrl = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_web_address)]
Price = Annotated[Decimal, PlainValidator(_price)]
PriceNumber = int | float
"""What `price_number` makes of a price."""
AdjustmentReason = Literal["RECEIVED", "RETURNED", "DAMAGED", "LOST", "CORRECTION"]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=256)]
IdempotencyKeyText = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
PageLimit = Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=100)]
Timestamp = Annotated[datetime, BeforeValidator(_time)]
