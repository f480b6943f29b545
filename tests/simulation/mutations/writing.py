"""Bugs in what a transaction writes, and under which conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib.consumer import releasing
from chalicelib.core.actions import Absent, GiveBack, Record, Take, TurnReleased
from chalicelib.store.transactions import OrderStore
from tests.simulation.mutations.mutation import Bugs, Patch

BUGS = Bugs()
_CONDITION = ("ConditionExpression", "ReturnValuesOnConditionCheckFailure")


def _change(patch: Patch, kind: type, change: Callable[[Any], None]) -> None:
    """Let `change` have its way with the request that an action of this kind becomes."""
    original = OrderStore._request

    def request(self: OrderStore, action: Any, now: Any) -> Any:
        made = original(self, action, now)
        if isinstance(action, kind):
            change(next(iter(made.values())))
        return made

    patch(OrderStore, "_request", request)


def _unconditional(request: Any) -> None:
    for name in _CONDITION:
        del request[name]


@BUGS("no condition on the record")
def _(patch: Patch) -> None:
    _change(patch, Record, _unconditional)


@BUGS("stock is taken without a condition")
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["ExpressionAttributeValues"].pop(":limit", None)

    _change(patch, Take, change)


@BUGS("a release does not ask whether the order is still reserved", 400)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        del request["ExpressionAttributeValues"][":reserved"]

    _change(patch, TurnReleased, change)


@BUGS("a release replaces the first answer")
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        request["UpdateExpression"] += ", event = :event"

    _change(patch, TurnReleased, change)


@BUGS("giving back brings a deleted SKU to life", 400)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["UpdateExpression"] = "ADD quantity :units SET updated_at = :now"

    _change(patch, GiveBack, change)


def _release_without(patch: Patch, kind: type) -> None:
    """Leave the actions of this kind out of what releases do."""
    original = releasing.plan_releases

    def plan_releases(*args: Any) -> releasing.ReleasePlan:
        made = original(*args)
        actions = tuple(action for action in made.actions if not isinstance(action, kind))
        return releasing.ReleasePlan(actions, made.answers)

    patch(releasing, "plan_releases", plan_releases)


@BUGS("units of missing SKUs are given up without proof", 1000)
def _(patch: Patch) -> None:
    _release_without(patch, Absent)


@BUGS("no tombstone for an unknown order")
def _(patch: Patch) -> None:
    _release_without(patch, Record)
