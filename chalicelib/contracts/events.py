"""What goes out to the OMS: one model per answer.

A field with a default is on the wire only where it differs from that.
"""

from typing import Final, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

# Made once with uuid4. Another one would give answers that were sent already another event_id.
_NAMESPACE: Final = UUID("6f0c2a52-4f1e-4b0e-9d0c-3a8f5f6f3c11")

RejectionReason = Literal["INSUFFICIENT_STOCK", "SKU_NOT_FOUND", "INVALID_REQUEST", "TOO_MANY_ITEMS"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Item(_Model):
    """Units of a SKU."""

    sku: str
    quantity: int


class ShortItem(_Model):
    """A SKU of which too little is available."""

    sku: str
    requested: int
    available: int
    reason: Literal["INSUFFICIENT_STOCK", "SKU_NOT_FOUND"]


class InvalidField(_Model):
    """One invalid field: its dotted path and what is wrong with it."""

    field: str
    message: str


class ItemCounts(_Model):
    """How many SKUs an order named, and how many it may name."""

    skus: int
    limit: int


class InventoryReserved(_Model):
    """The order's stock is taken."""

    type: Literal["InventoryReserved"]
    event_id: str
    order_id: str
    customer_id: str | None
    items: list[Item]
    timestamp: str


class InventoryReservationFailed(_Model):
    """Nothing is taken; `items`, `errors` or `counts` say why."""

    type: Literal["InventoryReservationFailed"]
    event_id: str
    order_id: str
    customer_id: str | None
    reason: RejectionReason
    items: list[ShortItem]
    errors: list[InvalidField] = []
    counts: ItemCounts | None = None
    timestamp: str


class InventoryReleased(_Model):
    """The order's stock is given back; `missing` names SKUs that no longer exist. Final."""

    type: Literal["InventoryReleased"]
    event_id: str
    order_id: str
    items: list[Item]
    missing: list[str] = []
    timestamp: str


Event = InventoryReserved | InventoryReservationFailed | InventoryReleased


def event_id(order_id: str, event_type: str) -> str:
    """The id of an answer: the same for every sending of it, so that the OMS can drop a repeat."""
    return str(uuid5(_NAMESPACE, f"{event_type}:{order_id}"))
