"""What goes out to the OMS: one model per answer.

A field with a default is on the wire only where it differs from that.
"""

from typing import Final, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

# Made once with uuid4. Another one would give answers that were sent already another event_id.
_NAMESPACE: Final = UUID("6f0c2a52-4f1e-4b0e-9d0c-3a8f5f6f3c11")

RejectionReason = Literal[
    "INSUFFICIENT_STOCK", "SKU_NOT_FOUND", "INVALID_REQUEST", "TOO_MANY_ITEMS", "EXPIRED"
]
ChangeRejectionReason = Literal[
    "NOT_RESERVED", "EXPIRED", "NOT_A_HOLD", "MORE_THAN_HELD", "INVALID_REQUEST", "TOO_MANY_OPERATIONS"
]


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


class HeldItem(_Model):
    """A SKU of which a change of an order asks more than the order holds."""

    sku: str
    requested: int
    held: int


class InvalidField(_Model):
    """One invalid field: its dotted path and what is wrong with it."""

    field: str
    message: str


class ItemCounts(_Model):
    """How many SKUs an order named, and how many it may name."""

    skus: int
    limit: int


class InventoryReserved(_Model):
    """The order's stock is taken; until `expires_at`, if it is a hold."""

    type: Literal["InventoryReserved"]
    event_id: str
    order_id: str
    customer_id: str | None
    items: list[Item]
    expires_at: str | None = None
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


class InventoryConfirmed(_Model):
    """The order is firm, and holds `items`. `reserved_again`: they were taken again, after its hold ended."""

    type: Literal["InventoryConfirmed"]
    event_id: str
    order_id: str
    items: list[Item]
    reserved_again: bool = False
    timestamp: str


class InventoryExtended(_Model):
    """The hold ends at `expires_at` now."""

    type: Literal["InventoryExtended"]
    event_id: str
    order_id: str
    operation_id: str | None = None
    expires_at: str
    timestamp: str


class InventoryFulfilled(_Model):
    """`items` were shipped, and `remaining` are still held."""

    type: Literal["InventoryFulfilled"]
    event_id: str
    order_id: str
    operation_id: str | None = None
    items: list[Item]
    remaining: list[Item]
    timestamp: str


class InventoryReleased(_Model):
    """`items` were given back, and `remaining` are still held; `missing` names SKUs that no longer exist.

    `reason` is that of the message, or `EXPIRED` if the hold ended, at `expired_at`.
    """

    type: Literal["InventoryReleased"]
    event_id: str
    order_id: str
    operation_id: str | None = None
    items: list[Item]
    missing: list[str] = []
    remaining: list[Item]
    reason: str | None = None
    expired_at: str | None = None
    timestamp: str


class InventoryChangeRejected(_Model):
    """The order is as it was. `operation` is the message's type; `items` or `errors` say what is wrong."""

    type: Literal["InventoryChangeRejected"]
    event_id: str
    order_id: str
    operation: str
    operation_id: str | None = None
    reason: ChangeRejectionReason
    items: list[HeldItem | ShortItem] = []
    errors: list[InvalidField] = []
    timestamp: str


Event = (
    InventoryReserved
    | InventoryReservationFailed
    | InventoryConfirmed
    | InventoryExtended
    | InventoryFulfilled
    | InventoryReleased
    | InventoryChangeRejected
)


def event_id(order_id: str, event_type: str, operation_id: str | None = None) -> str:
    """The id of an answer: the same for every sending of it, so that the OMS can drop a repeat."""
    # No id contains a line break, so the parts stay apart.
    suffix = "" if operation_id is None else f"\n{operation_id}"
    return str(uuid5(_NAMESPACE, f"{event_type}:{order_id}{suffix}"))
