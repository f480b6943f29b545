"""Bugs in planning: which orders are admitted or rejected, and with what proof."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.consumer import consumer, inbox
from chalicelib.domain import planner
from chalicelib.domain.planner import Plan
from chalicelib.domain.writes import MoveStock, ProveAbsent, ProveBelow, StockWrite
from chalicelib.errors import TransactionCancelled
from chalicelib.services import demand_settler
from chalicelib.services.demand_settler import DemandSettler
from chalicelib.store import order_store
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


def _unproved(plan: Plan[Any]) -> Plan[Any]:
    writes: list[StockWrite] = [
        replace(write, below=None) if isinstance(write, MoveStock) else write
        for write in plan.writes
        if not isinstance(write, ProveBelow | ProveAbsent)
    ]
    return replace(plan, writes=tuple(writes))


def _without_proofs(patch: Patch) -> None:
    original = planner.plan
    patch(demand_settler, "plan", lambda *args: _unproved(original(*args)))


@MUTATIONS("rejections without their proving condition")
def _(patch: Patch) -> None:
    _without_proofs(patch)


@MUTATIONS("hints are trusted without proof")
def _(patch: Patch) -> None:
    def look_ahead(self: DemandSettler, group: Any, _: Any) -> None:
        skus = sorted({sku for order in group.orders for sku in order.skus})
        group.snapshot.stock.update(self.hints.of(skus))

    _without_proofs(patch)
    patch(DemandSettler, "_look_ahead", look_ahead)


@MUTATIONS("a conflict is read as out of stock", 1000)
def _(patch: Patch) -> None:
    original = order_store.OrderStore.commit

    def commit(self: Any, writes: Any, change: Any, now: Any, snapshot: Any) -> bool:
        proofs = [write for write in writes if isinstance(write, ProveBelow)]
        assumed_empty = self.__dict__.setdefault("assumed_empty", set())
        writes = [write for write in writes if write not in proofs or write.sku not in assumed_empty]
        try:
            return original(self, writes, change, now, snapshot)
        except TransactionCancelled as cancelled:
            for write, reason in zip(writes, cancelled.reasons, strict=True):
                if reason.code == "TransactionConflict" and isinstance(write, MoveStock):
                    snapshot.stock[write.sku] = 0
                    assumed_empty.add(write.sku)
            return False

    patch(order_store.OrderStore, "commit", commit)


def _limits(patch: Patch, change: Any) -> None:
    """Replace every witness's limit by `change(limit, taken)`."""
    original = planner._witnesses

    def witnesses(decisions: Any, taken: Any) -> Any:
        absent, limits = original(decisions, taken)
        return absent, {sku: change(limit, taken.get(sku, 0)) for sku, limit in limits.items()}

    patch(planner, "_witnesses", witnesses)


@MUTATIONS("a witness's limit counts takes twice", 400, first=500)
def _(patch: Patch) -> None:
    _limits(patch, lambda limit, taken: limit + taken)


@MUTATIONS("a witness's limit is off by one", 400)
def _(patch: Patch) -> None:
    _limits(patch, lambda limit, taken: limit + 1)


@MUTATIONS("an order repeated in a batch takes stock twice", 400)
def _(patch: Patch) -> None:
    original = planner._admit

    def admit(orders: Any, *args: Any) -> Any:
        takes = original(orders, *args)
        for order in orders:
            if order.order_id in takes.admitted and order.order_id in _REPEATED:
                for sku, units in order.items.items():
                    takes.units[sku] += units
        return takes

    patch(planner, "_admit", admit)
    _collect_repeats(patch)


_REPEATED: set[str] = set()


def _collect_repeats(patch: Patch) -> None:
    original = inbox.sort

    def sort(messages: Any, oldest: Any, newest: Any) -> Any:
        sorted_messages = original(messages, oldest, newest)
        _REPEATED.clear()
        _REPEATED.update(task.order_id for task in sorted_messages.tasks if len(task.messages) > 1)
        return sorted_messages

    patch(consumer, "sort", sort)
