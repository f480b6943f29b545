"""What a transaction may do: the planner's words, which `chalicelib.store.order_store` turns into DynamoDB's.

Each write names one item, and no item may be named twice in a transaction.
"""

from dataclasses import dataclass

from chalicelib.domain.reservation import Answer, Reservation


@dataclass(frozen=True, slots=True)
class TakeStock:
    """Take `quantity` units of a SKU, on condition that they are there.

    With `below`, also on condition that there were fewer than that before.
    """

    sku: str
    quantity: int
    below: int | None = None


@dataclass(frozen=True, slots=True)
class ReturnStock:
    """Add `quantity` units to a SKU, on condition that it exists."""

    sku: str
    quantity: int


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
class CreateReservation:
    """Record an order, on condition that it has no record."""

    reservation: Reservation

    @property
    def order_id(self) -> str:
        return self.reservation.order_id


@dataclass(frozen=True, slots=True)
class MarkReleased:
    """Turn a reserved order into a released one, and store the release's answer beside the first.

    The first answer must have been sent by then: this write marks it as published.
    """

    answer: Answer

    @property
    def order_id(self) -> str:
        return self.answer.order_id


StockWrite = TakeStock | ReturnStock | ProveBelow | ProveAbsent
ReservationWrite = CreateReservation | MarkReleased
Write = StockWrite | ReservationWrite
