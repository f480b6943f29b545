"""What comes in from the OMS: one model per message. Unknown fields are ignored, since the OMS may grow."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.contracts.fields import CustomerId, OrderId, Quantity, Sku, Timestamp


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class OrderLine(_Message):
    """How many units of a SKU an order asks for."""

    sku: Sku
    quantity: Quantity


class ReserveInventory(_Message):
    """Take stock for an order."""

    type: Literal["ReserveInventory"]
    order_id: OrderId
    customer_id: CustomerId
    items: Annotated[list[OrderLine], Field(min_length=1)]
    timestamp: Timestamp


class ReleaseInventory(_Message):
    """Give an order's stock back: the order was cancelled. It needs its order id only.

    A `timestamp` counts if it is valid; nobody reads the `reason`.
    """

    type: Literal["ReleaseInventory"]
    order_id: OrderId
    reason: object = None
    timestamp: object = None
