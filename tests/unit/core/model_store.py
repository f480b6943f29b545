"""A model of what DynamoDB does with a plan: all of its actions, or none, and then why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.core.actions import Absent, Action, Below, GiveBack, Record, Take, TurnReleased
from chalicelib.core.fields import Outcome
from chalicelib.core.records import Known, OrderRecord

NOW = "2026-06-01T12:00:00.000Z"


@dataclass
class ModelStore:
    """The stored state: units of each existing SKU, and the records of orders."""

    stock: dict[str, int] = field(default_factory=dict)
    records: dict[str, OrderRecord] = field(default_factory=dict)

    def read(self, skus: Iterable[str], order_ids: Iterable[str] = ()) -> Known:
        """What a consistent read returns."""
        return Known(
            {sku: self.stock.get(sku) for sku in skus},
            {order_id: self.records.get(order_id) for order_id in order_ids},
        )

    def execute(self, actions: Sequence[Action]) -> list[Known]:
        """Do `actions`, or return the current state for each action whose condition fails."""
        named = [_item(action) for action in actions]
        assert len(set(named)) == len(named), "no item may be named twice in a transaction"
        assert len(actions) <= 100, "a transaction holds 100 actions"
        failures = [self._current(action) for action in actions if not self._holds(action)]
        if not failures:
            for action in actions:
                self._do(action)
            assert all(units >= 0 for units in self.stock.values())
        return failures

    def _current(self, action: Action) -> Known:
        kind, key = _item(action)
        return self.read((), [key]) if kind == "record" else self.read([key])

    def _holds(self, action: Action) -> bool:
        match action:
            case Take(sku, quantity, below):
                return quantity <= self.stock.get(sku, -1) and (below is None or self.stock[sku] < below)
            case Below(sku, limit):
                return sku in self.stock and self.stock[sku] < limit
            case Absent(sku):
                return sku not in self.stock
            case GiveBack(sku):
                return sku in self.stock
            case Record(record):
                return record.order_id not in self.records
            case TurnReleased(order_id):
                return order_id in self.records and self.records[order_id].outcome is Outcome.RESERVED

    def _do(self, action: Action) -> None:
        match action:
            case Take(sku, quantity):
                self.stock[sku] -= quantity
            case GiveBack(sku, quantity):
                self.stock[sku] += quantity
            case Record(record):
                self.records[record.order_id] = record
            case TurnReleased(order_id, release_event):
                first = self.records[order_id]
                published_at = first.published_at or NOW
                self.records[order_id] = replace(
                    first, outcome=Outcome.RELEASED, release_event=release_event, published_at=published_at
                )
            case Below() | Absent():
                pass


def _item(action: Action) -> tuple[str, str]:
    match action:
        case Record(record):
            return "record", record.order_id
        case TurnReleased(order_id):
            return "record", order_id
        case _:
            return "sku", action.sku
