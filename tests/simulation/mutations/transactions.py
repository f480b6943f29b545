"""Bugs in what a transaction writes, and under which conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib.consumer import releasing
from chalicelib.core import releases
from chalicelib.core.actions import Absent, GiveBack, Record, Take, TurnReleased
from chalicelib.store.transactions import OrderStore
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()
_CONDITION = ("ConditionExpression", "ReturnValuesOnConditionCheckFailure")


def _change(patch: Patch, kind: type, change: Callable[[Any], None]) -> None:
    """Apply `change` to the request of each action of this kind."""
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


@MUTATIONS("a record is written without a condition")
def _(patch: Patch) -> None:
    _change(patch, Record, _unconditional)


@MUTATIONS("stock is taken without a condition")
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["ExpressionAttributeValues"].pop(":limit", None)

    _change(patch, Take, change)


@MUTATIONS("a release does not check that the order is reserved", 400)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        del request["ExpressionAttributeValues"][":reserved"]

    _change(patch, TurnReleased, change)


@MUTATIONS("a release replaces the first answer")
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        request["UpdateExpression"] += ", event = :event"

    _change(patch, TurnReleased, change)


@MUTATIONS("returning stock recreates a deleted SKU", 400)
def _(patch: Patch) -> None:
    def change(request: Any) -> None:
        _unconditional(request)
        request["UpdateExpression"] = "ADD quantity :units SET updated_at = :now"

    _change(patch, GiveBack, change)


def _release_without(patch: Patch, kind: type) -> None:
    """Leave actions of this kind out of the plans of releases."""
    original = releases.plan_releases

    def plan_releases(*args: Any) -> releases.ReleasePlan:
        made = original(*args)
        actions = tuple(action for action in made.actions if not isinstance(action, kind))
        return releases.ReleasePlan(actions, made.answers)

    patch(releasing, "plan_releases", plan_releases)


@MUTATIONS("units of missing SKUs are written off without proof", 1000)
def _(patch: Patch) -> None:
    _release_without(patch, Absent)


@MUTATIONS("an unknown order gets no tombstone")
def _(patch: Patch) -> None:
    _release_without(patch, Record)
