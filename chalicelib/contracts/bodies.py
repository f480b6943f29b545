"""The JSON bodies of REST requests: one model each."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from chalicelib.contracts.fields import (
    AdjustmentReason,
    CustomerId,
    Delta,
    Description,
    ImageUrl,
    Name,
    OperationId,
    OptionalOperationId,
    OrderId,
    Price,
    Quantity,
    Reference,
    Sku,
    StockLevel,
    StockVersion,
    Timestamp,
    few_skus,
    not_null,
)


class Body(BaseModel):
    """What every JSON body has: unknown fields are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)


class NewProduct(Body):
    """A product to create."""

    sku: Sku
    name: Name
    price: Price
    description: Description | None = None
    image_url: ImageUrl | None = None


class ProductChanges(Body):
    """Changes of a product; null clears a field, where null is allowed (RFC 7396)."""

    # The defaults are never read: a field that a request does not name stays as it is.
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


class StockSetting(Body):
    """The available units to set."""

    quantity: StockLevel
    # Null may be a mistake that would cost callers their protection, so it is refused.
    expected_quantity: Annotated[StockLevel | None, BeforeValidator(not_null)] = None


class StockAdjustment(Body):
    """A relative change of stock."""

    delta: Delta
    reason: AdjustmentReason
    reference: Annotated[Reference | None, BeforeValidator(not_null)] = None


class StockCount(Body):
    """The units that were counted on the shelf, reserved ones included."""

    counted: StockLevel
    expected_version: Annotated[StockVersion | None, BeforeValidator(not_null)] = None
    reference: Annotated[Reference | None, BeforeValidator(not_null)] = None


class ReorderPoint(Body):
    """With how many available units it is time to order more; null for never."""

    reorder_point: StockLevel | None


class RequestedItem(Body):
    """How many units of a SKU a caller asks for."""

    sku: Sku
    quantity: Quantity


OrderLines = Annotated[list[RequestedItem], Field(min_length=1), AfterValidator(few_skus)]
"""The lines of an order, or of a part of it."""


class AvailabilityQuestion(Body):
    """1 to 100 items; entries of one SKU are added up."""

    items: Annotated[list[RequestedItem], Field(min_length=1, max_length=100)]


class NewReservation(Body):
    """An order to reserve stock for; until `expires_at`, if it is a hold."""

    order_id: OrderId
    customer_id: CustomerId
    items: OrderLines
    expires_at: Timestamp | None = None


class HoldExtension(Body):
    """The new end of a hold."""

    operation_id: OperationId
    expires_at: Timestamp


class OrderPart(Body):
    """All that an order holds, or some `items`, each time under another `operation_id`."""

    # Null would make a part of an order the whole, so it is refused.
    items: Annotated[OrderLines | None, BeforeValidator(not_null)] = None
    operation_id: OptionalOperationId = Field(default=None, validate_default=True)


class OrderCancellation(OrderPart):
    """What is given back, and why."""

    reason: Annotated[Reference | None, BeforeValidator(not_null)] = None
