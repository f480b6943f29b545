"""Bugs in what a transaction writes, and under which conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chalicelib.domain import changes, rulings
from chalicelib.domain.commands import ChangeType
from chalicelib.domain.reservation import Outcome
from chalicelib.domain.writes import MoveStock, ProveAbsent, RecordReservation
from chalicelib.services import change_settler
from chalicelib.store.order_store import OrderStore
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()
_CONDITION = ("ConditionExpression", "ReturnValuesOnConditionCheckFailure")


def _change(patch: Patch, concerned: Callable[[Any], bool], change: Callable[[Any], None]) -> None:
    """Apply `change` to the request of each action that is `concerned`."""
    original = OrderStore._action

    def request(self: OrderStore, action: Any, *args: Any) -> Any:
        made = original(self, action, *args)
        if concerned(action):
            change(next(iter(made.values())))
        return made

    patch(OrderStore, "_action", request)


def _is_taken(action: Any) -> bool:
    return isinstance(action, MoveStock) and action.quantity < 0


def _is_given_back(action: Any) -> bool:
    return isinstance(action, MoveStock) and action.quantity > 0


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
        for name in (":limit", ":taken"):
            request["ExpressionAttributeValues"].pop(name, None)

    _change(patch, _is_taken, change)


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
    original = rulings.recorded

    def recorded(ruling: Any, rules: Any) -> Any:
        record, other = original(ruling, rules)
        if ruling.command.type is ChangeType.RELEASE and not ruling.refusal:
            record = replace(record, event=record.operations[-1].event)
        return record, other

    patch(changes, "recorded", recorded)


@MUTATIONS("returning stock recreates a deleted SKU", 400, first=800)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["UpdateExpression"] = (
            "ADD quantity :units, reserved :reserved, version :one SET updated_at = :now, change = :change"
        )

    _change(patch, _is_given_back, change)


def _change_without(patch: Patch, kind: type) -> None:
    """Leave writes of this kind out of the plans of changes."""
    original = changes.plan_changes

    def plan_changes(*args: Any) -> changes.ChangePlan:
        plan = original(*args)
        return replace(plan, writes=tuple(write for write in plan.writes if not isinstance(write, kind)))

    patch(change_settler, "plan_changes", plan_changes)


@MUTATIONS("units of missing SKUs are written off without proof", 400, first=1700)
def _(patch: Patch) -> None:
    _change_without(patch, ProveAbsent)


@MUTATIONS("an unknown order gets no tombstone")
def _(patch: Patch) -> None:
    original = OrderStore.commit

    def commit(self: OrderStore, writes: Any, *args: Any) -> bool:
        kept = [
            write
            for write in writes
            if not (_is_new(write) and write.reservation.outcome is Outcome.RELEASED)
        ]
        return original(self, kept, *args)

    patch(OrderStore, "commit", commit)
