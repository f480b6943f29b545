"""What a transaction may do: the planner's words, which `chalicelib.store.order_store` turns into DynamoDB's.

Each write names one item, and no item may be named twice in a transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.domain.reservation import Answer, Reference, Reservation


@dataclass(frozen=True, slots=True)
class MoveStock:
    """Add `quantity` units to what is available of a SKU, and `reserved` units to what is reserved of it.

    Negative units are taken away. It is done on condition that the SKU exists with the units that are taken
    from what is available. With `below`, also on condition that fewer than that were available before.
    """

    sku: str
    quantity: int
    reserved: int
    below: int | None = None


@dataclass(frozen=True, slots=True)
class ProveBelow:
    """Prove that a SKU exists with fewer than `limit` units; change nothing."""

    sku: str
    limit: int


@dataclass(frozen=True, slots=True)
class ProveAbsent:
    """Prove that there is no such SKU."""

    sku: str


@dataclass(frozen=True, slots=True)
class RecordReservation:
    """Record an order, on condition that its record is still as `seen` (None: that it has none)."""

    reservation: Reservation
    seen: Reservation | None = None

    @property
    def order_id(self) -> str:
        return self.reservation.order_id

    @property
    def newly_queued(self) -> list[Answer]:
        """The answers that the outbox owes from this write on."""
        before = self.seen.queued if self.seen else []
        return [answer for answer in self.reservation.queued if answer not in before]


@dataclass(frozen=True, slots=True)
class OweAnswers:
    """Put an item into the outbox: the commit `change` owes the answers that `references` name."""

    change: str
    references: Sequence[Reference]


StockWrite = MoveStock | ProveBelow | ProveAbsent
Write = StockWrite | RecordReservation | OweAnswers
