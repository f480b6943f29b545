"""A model of what DynamoDB does with a plan: all of its writes, or none, and then why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chalicelib.domain.planner import Snapshot
from chalicelib.domain.reservation import Reservation
from chalicelib.domain.writes import (
    MoveStock,
    OweAnswers,
    ProveAbsent,
    ProveBelow,
    RecordReservation,
    Write,
)

NOW = "2026-06-01T12:00:00.000Z"


@dataclass
class ModelStore:
    """The stored state: units of each existing SKU, those reserved, and the reservations of orders."""

    stock: dict[str, int] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)

    def read(self, skus: Iterable[str], order_ids: Iterable[str] = ()) -> Snapshot:
        """What a consistent read returns."""
        return Snapshot(
            {sku: self.stock.get(sku) for sku in skus},
            {order_id: self.reservations.get(order_id) for order_id in order_ids},
        )

    def execute(self, writes: Sequence[Write]) -> list[Snapshot]:
        """Do `writes`, or return the current state for each write whose condition fails."""
        named = [_item(write) for write in writes]
        assert len(set(named)) == len(named), "no item may be named twice in a transaction"
        assert len(writes) <= 100, "a transaction holds 100 actions"
        failures = [self._current(write) for write in writes if not self._holds(write)]
        if not failures:
            for write in writes:
                self._do(write)
            assert all(units >= 0 for units in (*self.stock.values(), *self.reserved.values()))
        return failures

    def _current(self, write: Write) -> Snapshot:
        kind, key = _item(write)
        return self.read((), [key]) if kind == "record" else self.read([key])

    def _holds(self, write: Write) -> bool:
        match write:
            case MoveStock(sku, quantity, _, below):
                enough = sku in self.stock and self.stock[sku] + min(0, quantity) >= 0
                return enough and (below is None or self.stock[sku] < below)
            case ProveBelow(sku, limit):
                return sku in self.stock and self.stock[sku] < limit
            case ProveAbsent(sku):
                return sku not in self.stock
            case RecordReservation(reservation, seen):
                return self.reservations.get(reservation.order_id) == seen
            case OweAnswers():
                return True

    def _do(self, write: Write) -> None:
        match write:
            case MoveStock(sku, quantity, reserved):
                self.stock[sku] += quantity
                self.reserved[sku] = self.reserved.get(sku, 0) + reserved
            case RecordReservation(reservation):
                self.reservations[reservation.order_id] = reservation
            case ProveBelow() | ProveAbsent() | OweAnswers():
                pass


def _item(write: Write) -> tuple[str, str]:
    match write:
        case RecordReservation():
            return "record", write.order_id
        case OweAnswers(change):
            return "outbox", change
        case _:
            return "sku", write.sku
