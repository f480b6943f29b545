"""Bugs in what a transaction writes, and under which conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chalicelib.consumer import answers, settlers
from chalicelib.domain import planner
from chalicelib.domain.reservation import Outcome
from chalicelib.domain.writes import ProveAbsent, RecordReservation, ReturnStock, TakeStock
from chalicelib.store.order_store import OrderStore
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()
_CONDITION = ("ConditionExpression", "ReturnValuesOnConditionCheckFailure")


def _change(patch: Patch, concerned: Callable[[Any], bool], change: Callable[[Any], None]) -> None:
    """Apply `change` to the request of each action that is `concerned`."""
    original = OrderStore._action

    def request(self: OrderStore, action: Any, now: Any) -> Any:
        made = original(self, action, now)
        if concerned(action):
            change(next(iter(made.values())))
        return made

    patch(OrderStore, "_action", request)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda action: isinstance(action, kind)


def _is_new(action: Any) -> bool:
    return isinstance(action, RecordReservation) and action.seen is None


def _is_replaced(action: Any) -> bool:
    return isinstance(action, RecordReservation) and action.seen is not None


def _unconditional(request: Any) -> None:
    for name in _CONDITION:
        del request[name]


@MUTATIONS("a record is written without a condition")
def _(patch: Patch) -> None:
    _change(patch, _is_new, _unconditional)


@MUTATIONS("stock is taken without a condition")
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["ExpressionAttributeValues"].pop(":limit", None)

    _change(patch, _is(TakeStock), change)


@MUTATIONS("a record is replaced without a condition", 400)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        del request["ExpressionAttributeValues"]

    _change(patch, _is_replaced, change)


@MUTATIONS("a record is replaced though version 1.1 has changed it", 400, first=1500)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        request["ConditionExpression"] = request["ConditionExpression"].replace("outcome = :outcome AND ", "")
        del request["ExpressionAttributeValues"][":outcome"]
        if not request["ExpressionAttributeValues"]:
            del request["ExpressionAttributeValues"]

    _change(patch, _is_replaced, change)


@MUTATIONS("a release replaces the first answer")
def _(patch: Patch) -> None:
    original = answers.release_write

    def release_write(*args: Any, **options: Any) -> RecordReservation:
        write = original(*args, **options)
        event = write.reservation.operations[-1].event
        return replace(write, reservation=replace(write.reservation, event=event))

    patch(settlers, "release_write", release_write)


@MUTATIONS("returning stock recreates a deleted SKU", 400)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["UpdateExpression"] = "ADD quantity :units SET updated_at = :now"

    _change(patch, _is(ReturnStock), change)


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
            if not (_is_new(write) and write.reservation.outcome is Outcome.RELEASED)
        ]
        return original(self, kept, now, snapshot)

    patch(OrderStore, "commit", commit)
