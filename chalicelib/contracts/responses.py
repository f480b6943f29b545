"""What REST responses contain: one model per JSON document.

A field with a default is on the wire only where it differs from that.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from chalicelib.contracts.fields import PriceNumber


class Response(BaseModel):
    """What every response has: it never changes."""

    # Built on first use, to keep cold starts short. Made from attributes, so that a page of stock becomes a
    # document in one call.
    model_config = ConfigDict(frozen=True, defer_build=True, from_attributes=True)


class Product(Response):
    """A product; times are ISO 8601 in UTC. The fields of its stock are there where they were asked for."""

    sku: str
    name: str
    description: str | None
    price: PriceNumber
    image_url: str | None
    created_at: str
    updated_at: str
    quantity: int | None = None
    reserved: int | None = None
    on_hand: int | None = None
    version: int | None = None


class ProductPage(Response):
    """A page of products; `next_token` is null on the last one."""

    items: list[Product]
    next_token: str | None


class Stock(Response):
    """The stock of a SKU, since `updated_at` (ISO 8601 in UTC).

    quantity: the units that are available.
    reserved: the units that open orders hold.
    on_hand: the units on the shelf, which is both together.
    version: how often the stock was changed.
    reorder_point: with how many available units it is time to order more; null if nobody has said.
    """

    sku: str
    quantity: int
    reserved: int
    on_hand: int
    version: int
    reorder_point: int | None
    updated_at: str


class Count(Stock):
    """The stock after a count; `difference` is what was counted less what was on hand before."""

    difference: int


class StockPage(Response):
    """A page of stock levels; `next_token` is null on the last one."""

    items: list[Stock]
    next_token: str | None


class ItemAvailability(Response):
    """Whether the requested units of a SKU are available, and if not, why."""

    status: Literal["AVAILABLE", "UNAVAILABLE"]
    requested: int
    quantity: int
    reason: Literal["INSUFFICIENT_STOCK", "SKU_NOT_FOUND"] | None = None


class Availability(Response):
    """Whether all items are available, and each of them by its SKU."""

    status: Literal["AVAILABLE", "UNAVAILABLE"]
    items: dict[str, ItemAvailability]


class OrderLine(Response):
    """Units of a SKU, of an order."""

    sku: str
    quantity: int


class Operation(Response):
    """A change of an order, with the answer to it as it was stored; `type` is that of its message.

    `answer` is null for what nobody was told.
    """

    operation_id: str
    type: str
    at: str
    answer: dict[str, Any] | None


class Reservation(Response):
    """What became of an order; `answer` is the answer to the reservation as it was stored.

    `ordered` are the units that were asked for, `items` those that are held now. `expires_at` is the end of
    a hold, null if the order is firm or closed.
    """

    order_id: str
    outcome: Literal["RESERVED", "REJECTED", "RELEASED", "FULFILLED"]
    customer_id: str | None
    ordered: list[OrderLine]
    items: list[OrderLine]
    fulfilled: list[OrderLine]
    released: list[OrderLine]
    expires_at: str | None
    created_at: str
    answer: dict[str, Any] | None
    operations: list[Operation]


class Health(Response):
    """That the API runs, and which version of it."""

    status: Literal["ok"]
    version: str


class FieldProblem(Response):
    """One invalid field: its dotted path and what is wrong with it."""

    field: str
    message: str


class ProblemDetails(Response):
    """An error, in the shape that every error has; `reserved` belongs to BELOW_RESERVED.

    Source: https://www.rfc-editor.org/rfc/rfc9457.html
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] = []
    reserved: int | None = None
    items: list[dict[str, Any]] = []
