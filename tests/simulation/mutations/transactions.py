"""Bugs in what a transaction writes, and under which conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chalicelib.consumer import settlers
from chalicelib.domain import planner
from chalicelib.domain.reservation import Outcome
from chalicelib.domain.writes import CreateReservation, MarkReleased, ProveAbsent, ReturnStock, TakeStock
from chalicelib.store.order_store import OrderStore
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()
_CONDITION = ("ConditionExpression", "ReturnValuesOnConditionCheckFailure")


def _change(patch: Patch, kind: type, change: Callable[[Any], None]) -> None:
    """Apply `change` to the request of each action of this kind."""
    original = OrderStore._action

    def request(self: OrderStore, action: Any, now: Any) -> Any:
        made = original(self, action, now)
        if isinstance(action, kind):
            change(next(iter(made.values())))
        return made

    patch(OrderStore, "_action", request)


def _unconditional(request: Any) -> None:
    for name in _CONDITION:
        del request[name]


@MUTATIONS("a record is written without a condition")
def _(patch: Patch) -> None:
    _change(patch, CreateReservation, _unconditional)


@MUTATIONS("stock is taken without a condition")
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["ExpressionAttributeValues"].pop(":limit", None)

    _change(patch, TakeStock, change)


@MUTATIONS("a release does not check that the order is reserved", 400)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        del request["ExpressionAttributeValues"][":reserved"]

    _change(patch, MarkReleased, change)


@MUTATIONS("a release replaces the first answer")
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        request["UpdateExpression"] += ", event = :event"

    _change(patch, MarkReleased, change)


@MUTATIONS("returning stock recreates a deleted SKU", 400)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["UpdateExpression"] = "ADD quantity :units SET updated_at = :now"

    _change(patch, ReturnStock, change)


def _release_without(patch: Patch, kind: type) -> None:
    """Leave writes of this kind out of the plans of releases."""
    original = planner.plan_releases

    def plan_releases(*args: Any) -> planner.ReleasePlan:
        plan = original(*args)
        return replace(plan, writes=tuple(write for write in plan.writes if not isinstance(write, kind)))

    patch(settlers, "plan_releases", plan_releases)


@MUTATIONS("units of missing SKUs are written off without proof", 1000)
def _(patch: Patch) -> None:
    _release_without(patch, ProveAbsent)


@MUTATIONS("an unknown order gets no tombstone")
def _(patch: Patch) -> None:
    original = OrderStore.commit

    def commit(self: OrderStore, writes: Any, now: Any, snapshot: Any) -> bool:
        kept = [
            write
            for write in writes
            if not (isinstance(write, CreateReservation) and write.reservation.outcome is Outcome.RELEASED)
        ]
        return original(self, kept, now, snapshot)

    patch(OrderStore, "commit", commit)
