"""What REST requests contain: one model per call; `chalicelib.contracts.bodies` has their JSON bodies.

A call's fields are marked with the `Part` of the HTTP request that they come from. All parts are checked
together, so that one response lists every invalid field.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)
from pydantic_core import PydanticCustomError

from chalicelib.contracts import pagination
from chalicelib.contracts.bodies import (
    AvailabilityQuestion,
    HoldExtension,
    NewProduct,
    NewReservation,
    OrderCancellation,
    OrderPart,
    ProductChanges,
    ReorderPoint,
    StockAdjustment,
    StockCount,
    StockSetting,
)
from chalicelib.contracts.fields import (
    IdempotencyKeyText,
    OrderId,
    PageLimit,
    Sku,
)
from chalicelib.contracts.validation import INVALID_TOKEN
from chalicelib.errors import InvalidPageToken

_PATCH_TYPES: Final = ("application/json", "application/merge-patch+json")
"""The second is the type of RFC 7396, whose rules each PATCH follows."""
GIVEN_TWICE: Final = "must be given once, but is given with several values"


def _one_value(values: str | list[str] | None) -> str | None:
    """Refuse a header with several values: nobody can tell which one the caller means."""
    if isinstance(values, list):
        raise ValueError(GIVEN_TWICE)  # noqa: TRY004 - pydantic takes a TypeError for a bug
    return values


class Part(StrEnum):
    """The parts of an HTTP request."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    BODY = "body"


class Request(BaseModel):
    """What every call has: nothing is converted, nothing changes."""

    # Built on first use, to keep cold starts short.
    model_config = ConfigDict(strict=True, frozen=True, defer_build=True)

    media_types: ClassVar[tuple[str, ...]] = ("application/json",)
    """The types that a body may have."""

    @property
    def repeatable(self) -> bool:
        """Whether the same call may be made again when its outcome is unknown."""
        return True

    @classmethod
    def parts(cls) -> dict[str, Part]:
        """Which part of the HTTP request each field comes from, by its name on the wire."""
        return {
            field.alias or name: part
            for name, field in cls.model_fields.items()
            for part in field.metadata
            if isinstance(part, Part)
        }


class NoInput(Request):
    """A call without input."""


class OneSku(Request):
    """A call about the SKU in its path."""

    sku: Annotated[Sku, Part.PATH]


class OneOrder(Request):
    """A call about the order in its path."""

    order_id: Annotated[OrderId, Part.PATH]


class ReserveOrder(Request):
    """POST /reservations"""

    body: Annotated[NewReservation, Part.BODY]


class ExtendOrder(OneOrder):
    """POST /reservations/{order_id}/extend"""

    body: Annotated[HoldExtension, Part.BODY]


class FulfillOrder(OneOrder):
    """POST /reservations/{order_id}/fulfill"""

    body: Annotated[OrderPart, Part.BODY]


class ReleaseOrder(OneOrder):
    """POST /reservations/{order_id}/release"""

    body: Annotated[OrderCancellation, Part.BODY]


class CreateProduct(Request):
    """POST /products"""

    body: Annotated[NewProduct, Part.BODY]


class ChangeProduct(OneSku):
    """PATCH /products/{sku}"""

    media_types = _PATCH_TYPES

    body: Annotated[ProductChanges, Part.BODY]


class _Repeatable(OneSku):
    idempotency_key: Annotated[IdempotencyKeyText | None, BeforeValidator(_one_value), Part.HEADER] = Field(
        default=None, alias="Idempotency-Key"
    )


class SetStock(_Repeatable):
    """PUT /inventory/{sku}"""

    body: Annotated[StockSetting, Part.BODY]


class AdjustStock(_Repeatable):
    """POST /inventory/{sku}/adjustments"""

    body: Annotated[StockAdjustment, Part.BODY]

    @property
    def repeatable(self) -> bool:
        """Without a key, a repeat would change the stock a second time."""
        return self.idempotency_key is not None


class CountStock(_Repeatable):
    """POST /inventory/{sku}/counts"""

    body: Annotated[StockCount, Part.BODY]


class SetReorderPoint(OneSku):
    """PATCH /inventory/{sku}"""

    media_types = _PATCH_TYPES

    body: Annotated[ReorderPoint, Part.BODY]


class CheckAvailability(Request):
    """POST /inventory/check"""

    body: Annotated[AvailabilityQuestion, Part.BODY]


class ListStock(Request):
    """GET /inventory; query parameters that are not here are ignored."""

    listing: ClassVar[str] = "inventory"

    limit: Annotated[PageLimit, Part.QUERY] = 25
    after: Annotated[str | None, Part.QUERY] = Field(default=None, alias="next_token")

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
            return pagination.decode(cls.listing, token)
        except InvalidPageToken as error:
            raise PydanticCustomError(INVALID_TOKEN, "{why}", {"why": error.errors[0].message}) from error

    def next_token(self, last: str | None) -> str | None:
        """The token of the page that follows the SKU `last`; None if this page is the last one."""
        return last and pagination.encode(self.listing, last)


class ListProducts(ListStock):
    """GET /products"""

    listing: ClassVar[str] = "products"

    include_inventory: Annotated[Literal["true", "false"], Part.QUERY] = "false"
