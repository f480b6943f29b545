"""What a transaction may do: the planner's words, which `chalicelib.store.transactions` says in DynamoDB's.

Each action names one item, and no item may be named twice in a transaction.
"""

from dataclasses import dataclass

from chalicelib.core.records import OrderRecord


@dataclass(frozen=True, slots=True)
class Take:
    """Take `quantity` units of a SKU, on condition that they are there.

    With `below`, on condition too that there were fewer than that before the take.
    """

    sku: str
    quantity: int
    below: int | None = None


@dataclass(frozen=True, slots=True)
class Below:
    """Prove that a SKU exists with fewer than `limit` units, and leave it as it is."""

    sku: str
    limit: int


@dataclass(frozen=True, slots=True)
class Absent:
    """Prove that there is no such SKU."""

    sku: str


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Add `quantity` units to a SKU, on condition that it exists."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Record:
    """Write an order's record, on condition that it has none."""

    record: OrderRecord


@dataclass(frozen=True, slots=True)
class TurnReleased:
    """Turn an order's record from RESERVED to RELEASED, and store the release's answer beside the first.

    The first answer must have been sent by then: it is marked as published along the way.
    """

    order_id: str
    release_event: str


StockAction = Take | Below | Absent | GiveBack
Action = StockAction | Record | TurnReleased
