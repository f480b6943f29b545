"""What requests may hold: one model per call, its parts being path, query, headers and `body`.

A call's parts are checked together, so that every field at fault is listed at once.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError, Url

from chalicelib.api import tokens
from chalicelib.core.fields import MAX_QUANTITY, OrderId, Quantity, Sku, StockLevel
from chalicelib.errors import FieldError, InvalidInput, InvalidToken

T = TypeVar("T", bound=BaseModel)
_MAX_FAULTS: Final = 100
_MAX_NAME: Final = 64
_PRICE_DIGITS: Final = 12
_CENT: Final = Decimal("0.01")


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


def _web_address(text: str) -> str:
    # Url mends what it reads (spaces, a missing slash); what it would mend is refused instead.
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


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("must not be null")
    return value


def _whole_number(text: object) -> int:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("must be a whole number")
    return int(text)


Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Description = Annotated[str, StringConstraints(max_length=4096)]
ImageUrl = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_web_address)]
Price = Annotated[Decimal, PlainValidator(_price)]
Delta = Annotated[int, Field(ge=-MAX_QUANTITY, le=MAX_QUANTITY), AfterValidator(_not_zero)]
Reason = Literal["RECEIVED", "RETURNED", "DAMAGED", "LOST", "CORRECTION"]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Key = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Body(_Request):
    model_config = ConfigDict(extra="forbid")


class ProductBody(_Body):
    """A new product."""

    sku: Sku
    name: Name
    price: Price
    description: Description | None = None
    image_url: ImageUrl | None = None


class ProductChanges(_Body):
    """What changes of a product; null clears, where null is allowed (RFC 7396)."""

    # The defaults are never read: what a request does not name stays as it is.
    name: Name = ""
    price: Price = Decimal(0)
    description: Description | None = None
    image_url: ImageUrl | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must change something")
        return self

    def given(self) -> dict[str, str | Decimal | None]:
        """The fields that the request names."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class QuantityBody(_Body):
    """A stock to set."""

    quantity: StockLevel
    # Null might be a caller's mistake that would cost them their protection, so it is refused.
    expected_quantity: Annotated[StockLevel | None, BeforeValidator(_not_null)] = None


class AdjustmentBody(_Body):
    """A change of stock."""

    delta: Delta
    reason: Reason
    reference: Annotated[Reference | None, BeforeValidator(_not_null)] = None


class Entry(_Body):
    """How much of a SKU is asked about."""

    sku: Sku
    quantity: Quantity


class CheckBody(_Body):
    """What is asked about, in 1 to 100 entries."""

    items: Annotated[list[Entry], Field(min_length=1, max_length=100)]


class OneSku(_Request):
    """A call about the SKU in its path."""

    sku: Sku


class OneOrder(_Request):
    """A call about the order in its path."""

    order_id: OrderId


class CreateProduct(_Request):
    """POST /products"""

    body: ProductBody


class ChangeProduct(OneSku):
    """PATCH /products/{sku}"""

    body: ProductChanges


class SetStock(OneSku):
    """PUT /inventory/{sku}"""

    key: Key | None = Field(default=None, alias="Idempotency-Key")
    body: QuantityBody


class AdjustStock(OneSku):
    """POST /inventory/{sku}/adjustments"""

    key: Key | None = Field(default=None, alias="Idempotency-Key")
    body: AdjustmentBody


class CheckAvailability(_Request):
    """POST /inventory/check"""

    body: CheckBody


class ListStock(_Request):
    """GET /inventory; query parameters that are not here are ignored."""

    listing: ClassVar[str] = "inventory"

    limit: Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=100)] = 25
    after: str | None = Field(default=None, alias="next_token")

    @field_validator("*", mode="before")
    @classmethod
    def _once(cls, values: list[str]) -> str:
        if len(values) != 1:
            raise ValueError("must be given once")
        return values[0]

    @field_validator("after")
    @classmethod
    def _decode(cls, token: str) -> str:
        try:
            return tokens.decode(cls.listing, token)
        except InvalidToken as error:
            raise PydanticCustomError("invalid_token", "{why}", {"why": error.errors[0].message}) from error


class ListProducts(ListStock):
    """GET /products"""

    listing: ClassVar[str] = "products"

    include_inventory: Literal["true", "false"] = "false"


def parse(model: type[T], parts: Mapping[str, Any]) -> T:
    """Check a call's `parts` by its `model`.

    Raises `InvalidInput` with every field at fault, `InvalidToken` if `next_token` alone is.
    """
    try:
        return model.model_validate(parts)
    except ValidationError as invalid:
        # Without the cause: it quotes the input.
        raise _refusal(
            invalid.errors(include_url=False, include_input=False, include_context=False)
        ) from None


def _refusal(details: Sequence[ErrorDetails]) -> InvalidInput:
    faults = [_fault(detail) for detail in details[:_MAX_FAULTS]]
    message = f"{faults[0].field}: {faults[0].message}"
    if len(details) > 1:
        message += f" (and {len(details) - 1} more)"
    only_token = all(detail["type"] == "invalid_token" for detail in details)
    return (InvalidToken if only_token else InvalidInput)(message, faults)


def _fault(detail: ErrorDetails) -> FieldError:
    path = detail["loc"]
    if path[0] == "body" and len(path) > 1:
        path = path[1:]
    message = "must be an object" if detail["type"] == "model_type" else detail["msg"]
    # A name may be the caller's own, of any length.
    field = ".".join(str(part)[:_MAX_NAME] for part in path)
    return FieldError(field, message.removeprefix("Value error, "))
