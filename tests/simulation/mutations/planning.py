"""Bugs in planning: which orders are admitted or rejected, and with what proof."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.consumer import reserving
from chalicelib.consumer.reserving import Reserving
from chalicelib.core import inbox, planner
from chalicelib.core.actions import Absent, Below, StockAction, Take
from chalicelib.core.planner import Plan
from chalicelib.errors import TransactionCancelled
from chalicelib.store import transactions
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


def _unproved(plan: Plan) -> Plan:
    actions: list[StockAction] = [
        replace(action, below=None) if isinstance(action, Take) else action
        for action in plan.actions
        if not isinstance(action, Below | Absent)
    ]
    return replace(plan, actions=tuple(actions))


def _without_proofs(patch: Patch) -> None:
    original = planner.plan
    patch(reserving, "plan", lambda orders, stock: _unproved(original(orders, stock)))


@MUTATIONS("rejections without their proving condition")
def _(patch: Patch) -> None:
    _without_proofs(patch)


@MUTATIONS("hints are trusted without proof")
def _(patch: Patch) -> None:
    def look_ahead(self: Reserving, group: Any) -> None:
        skus = sorted({sku for order in group.orders for sku in order.skus})
        group.known.stock.update(self.hints.of(skus))

    _without_proofs(patch)
    patch(Reserving, "_look_ahead", look_ahead)


@MUTATIONS("a conflict is read as out of stock", 1000)
def _(patch: Patch) -> None:
    original = transactions.OrderStore.commit

    def commit(self: Any, actions: Any, now: Any, known: Any) -> bool:
        proofs = [action for action in actions if isinstance(action, Below)]
        assumed_empty = self.__dict__.setdefault("assumed_empty", set())
        actions = [action for action in actions if action not in proofs or action.sku not in assumed_empty]
        try:
            return original(self, actions, now, known)
        except TransactionCancelled as cancelled:
            for action, reason in zip(actions, cancelled.reasons, strict=True):
                if reason.code == "TransactionConflict" and isinstance(action, Take):
                    known.stock[action.sku] = 0
                    assumed_empty.add(action.sku)
            return False

    patch(transactions.OrderStore, "commit", commit)


def _limits(patch: Patch, change: Any) -> None:
    """Replace every witness's limit by `change(limit, taken)`."""
    original = planner._witnesses

    def witnesses(decisions: Any, taken: Any) -> Any:
        absent, limits = original(decisions, taken)
        return absent, {sku: change(limit, taken.get(sku, 0)) for sku, limit in limits.items()}

    patch(planner, "_witnesses", witnesses)


@MUTATIONS("a witness's limit counts takes twice", 1000)
def _(patch: Patch) -> None:
    _limits(patch, lambda limit, taken: limit + taken)


@MUTATIONS("a witness's limit is off by one", 400)
def _(patch: Patch) -> None:
    _limits(patch, lambda limit, taken: limit + 1)


@MUTATIONS("an order repeated in a batch takes stock twice", 400)
def _(patch: Patch) -> None:
    original = planner._admit

    def admit(orders: Any, stock: Any) -> Any:
        takes = original(orders, stock)
        for order in orders:
            if order.order_id in takes.admitted and order.order_id in _REPEATED:
                for sku, units in order.items.items():
                    takes.units[sku] += units
        return takes

    patch(planner, "_admit", admit)
    _collect_repeats(patch)


_REPEATED: set[str] = set()


def _collect_repeats(patch: Patch) -> None:
    from chalicelib.consumer import consumer

    original = inbox.sort

    def sort(messages: Any, oldest: Any) -> Any:
        sorted_messages = original(messages, oldest)
        _REPEATED.clear()
        _REPEATED.update(
            order_id for order_id, task in sorted_messages.reserves.items() if len(task.messages) > 1
        )
        return sorted_messages

    patch(consumer, "sort", sort)
