"""Bugs in deciding: who is admitted, who is rejected, and with what proof."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.consumer import reserving
from chalicelib.consumer.reserving import Reserving
from chalicelib.core import planner
from chalicelib.core.actions import Absent, Below, StockAction, Take
from chalicelib.core.planner import Plan
from chalicelib.errors import TransactionCancelled
from chalicelib.store import transactions
from tests.simulation.mutations.mutation import Bugs, Patch

BUGS = Bugs()


def _unproved(plan: Plan) -> Plan:
    actions: list[StockAction] = [
        replace(action, below=None) if isinstance(action, Take) else action
        for action in plan.actions
        if not isinstance(action, Below | Absent)
    ]
    return replace(plan, actions=tuple(actions))


def _without_proofs(patch: Patch) -> None:
    original = reserving.plan
    patch(reserving, "plan", lambda orders, stock: _unproved(original(orders, stock)))


@BUGS("rejections without their proving condition")
def _(patch: Patch) -> None:
    _without_proofs(patch)


@BUGS("hints are believed")
def _(patch: Patch) -> None:
    def look_ahead(self: Reserving, group: Any) -> None:
        skus = sorted({sku for order in group.orders for sku in order.skus})
        group.known.stock.update(self.hints.of(skus))

    _without_proofs(patch)
    patch(Reserving, "_look_ahead", look_ahead)


@BUGS("a conflict is read as out of stock", 1000)
def _(patch: Patch) -> None:
    original = transactions.OrderStore.commit

    def commit(self: Any, actions: Any, now: Any, known: Any) -> bool:
        proofs = [action for action in actions if isinstance(action, Below)]
        believed = self.__dict__.setdefault("believed", set())
        actions = [action for action in actions if action not in proofs or action.sku not in believed]
        try:
            return original(self, actions, now, known)
        except TransactionCancelled as cancelled:
            for action, reason in zip(actions, cancelled.reasons, strict=True):
                if reason.code == "TransactionConflict" and isinstance(action, Take):
                    known.stock[action.sku] = 0
                    believed.add(action.sku)
            return False

    patch(transactions.OrderStore, "commit", commit)


def _limits(patch: Patch, change: Any) -> None:
    """Let `change(limit, taken)` have its way with every witness's limit."""
    original = planner._witnesses

    def witnesses(decisions: Any, taken: Any) -> Any:
        absent, limits = original(decisions, taken)
        return absent, {sku: change(limit, taken.get(sku, 0)) for sku, limit in limits.items()}

    patch(planner, "_witnesses", witnesses)


@BUGS("a witness's limit counts the takes twice", 1000)
def _(patch: Patch) -> None:
    _limits(patch, lambda limit, taken: limit + taken)


@BUGS("a witness's limit is off by one", 400)
def _(patch: Patch) -> None:
    _limits(patch, lambda limit, taken: limit + 1)


@BUGS("an order that comes twice in a batch takes twice", 400)
def _(patch: Patch) -> None:
    original = planner._admit

    def admit(orders: Any, stock: Any) -> Any:
        takes = original(orders, stock)
        for order in orders:
            if order.order_id in takes.admitted and order.order_id in _TWICE:
                for sku, units in order.items.items():
                    takes.units[sku] += units
        return takes

    patch(planner, "_admit", admit)
    _notice_twins(patch)


_TWICE: set[str] = set()


def _notice_twins(patch: Patch) -> None:
    from chalicelib.consumer import consumer

    original = consumer.sort

    def sort(messages: Any, oldest: Any) -> Any:
        inbox = original(messages, oldest)
        _TWICE.clear()
        _TWICE.update(order_id for order_id, task in inbox.reserves.items() if len(task.messages) > 1)
        return inbox

    patch(consumer, "sort", sort)
