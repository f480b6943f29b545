"""Releases: what a group of cancelled orders gives back, and the one transaction that does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from chalicelib.core.actions import Absent, Action, GiveBack, Record, TurnReleased
from chalicelib.core.answers import Answer, release_answer
from chalicelib.core.fields import Outcome
from chalicelib.core.records import LINE_BYTES, RECORD_BYTES, Known, OrderRecord


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An order to release, with its record, or None where there is none."""

    order_id: str
    record: OrderRecord | None

    @property
    def releasable(self) -> bool:
        """Whether a release changes anything: the order holds stock, or nobody has heard of it yet."""
        return self.record is None or self.record.outcome is Outcome.RESERVED

    def as_known(self, known: Known) -> Cancelled:
        """The order with its record as `known` has it, if it does."""
        return Cancelled(self.order_id, known.records.get(self.order_id, self.record))

    @property
    def items(self) -> Mapping[str, int]:
        """What the order holds, by SKU: nothing unless it is reserved."""
        return self.record.items if self.record and self.record.outcome is Outcome.RESERVED else {}

    @property
    def skus(self) -> Iterable[str]:
        return self.items.keys()

    @property
    def size(self) -> int:
        return RECORD_BYTES + LINE_BYTES * len(self.items)


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """The transaction that releases a group of orders, and the answers that are true once it is done."""

    actions: tuple[Action, ...]
    answers: tuple[Answer, ...]


def plan_releases(orders: Sequence[Cancelled], missing: Set[str], now: str) -> ReleasePlan:
    """Give back the stock of `orders`, each reserved or without a record, at `now` (ISO 8601, UTC).

    `missing` are the SKUs known to be gone: their absence is proved instead.
    """
    answers = tuple(release_answer(order.order_id, order.items, missing, now) for order in orders)
    back: dict[str, int] = {}
    for order in orders:
        for sku, units in order.items.items():
            back[sku] = back.get(sku, 0) + units
    actions: list[Action] = [
        Absent(sku) if sku in missing else GiveBack(sku, units) for sku, units in back.items()
    ]
    for order, answer in zip(orders, answers, strict=True):
        actions.append(
            Record(_tombstone(order.order_id, answer.body, now))
            if order.record is None
            else TurnReleased(order.order_id, answer.body)
        )
    return ReleasePlan(tuple(actions), answers)


def _tombstone(order_id: str, release_event: str, now: str) -> OrderRecord:
    return OrderRecord(order_id, Outcome.RELEASED, created_at=now, release_event=release_event)
