"""Bugs in how holds end, and how long records are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from chalicelib.consumer import holds
from chalicelib.consumer.holds import HoldSweep
from chalicelib.domain import planner, rulings
from chalicelib.domain.commands import ChangeType
from chalicelib.domain.rulings import Ruling
from chalicelib.services import demand_settler
from chalicelib.services.change_settler import ChangeSettler
from chalicelib.store import items, order_store
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()
_LONG_AGO = "2000-01-01T00:00:00.000Z"


@MUTATIONS("a hold ends early")
def _(patch: Patch) -> None:
    patch(holds, "GRACE", timedelta(seconds=-10))
    patch(rulings, "GRACE", timedelta(seconds=-10))


@MUTATIONS("a fast clock ends a hold early", 400)
def _(patch: Patch) -> None:
    patch(holds, "GRACE", timedelta())
    patch(rulings, "GRACE", timedelta())


@MUTATIONS("the end of a hold trusts the index", 400)
def _(patch: Patch) -> None:
    original = rulings._rule_due

    def rule_due(found: Any, *args: Any) -> Any:
        return original(replace(found, due_at=_LONG_AGO), *args)

    patch(rulings, "_rule_due", rule_due)


@MUTATIONS("the end of a hold that was confirmed gives its units back", 400)
def _(patch: Patch) -> None:
    original = rulings._rule_due

    def rule_due(found: Any, *args: Any) -> Any:
        if found.is_open and found.expires_at is None and found.due_at is None:
            return original(replace(found, due_at=_LONG_AGO, expires_at=_LONG_AGO), *args)
        return original(found, *args)

    patch(rulings, "_rule_due", rule_due)


@MUTATIONS("a record is replaced though it has changed", 400)
def _(patch: Patch) -> None:
    original = order_store._unchanged

    def unchanged(seen: Any) -> Any:
        condition = original(seen)
        if seen is not None and seen.change is not None:
            condition["ConditionExpression"] = "outcome = :outcome"
            del condition["ExpressionAttributeValues"][":change"]
        return condition

    patch(order_store, "_unchanged", unchanged)


@MUTATIONS("an old order is released, and not shipped")
def _(patch: Patch) -> None:
    original = rulings._without

    def without(found: Any, units: Any, *, shipped: bool, **gone: Any) -> Any:
        aged = found.due_at is not None and found.expires_at is None and units == found.holding
        return original(found, units, shipped=shipped and not aged, **gone)

    patch(rulings, "_without", without)


@MUTATIONS("a hold counts from when it was sent, not from when it is settled")
def _(patch: Patch) -> None:
    original = planner.plan
    patch(demand_settler, "plan", lambda demands, stock, _="": original(demands, stock))


@MUTATIONS("the sweep reads one part of the index")
def _(patch: Patch) -> None:
    original = HoldSweep._sweep

    def sweep(self: HoldSweep, shard: str, *args: Any) -> timedelta | None:
        return original(self, shard, *args) if shard == "0" else timedelta()

    patch(HoldSweep, "_sweep", sweep)


@MUTATIONS("nobody tells that a hold has ended")
def _(patch: Patch) -> None:
    patch(holds, "ChangeSettler", lambda store, _, *args: ChangeSettler(store, None, *args))


@MUTATIONS("the end of a hold is told without its reason")
def _(patch: Patch) -> None:
    original = rulings._rule_due

    def rule_due(*args: Any) -> Any:
        verdict = original(*args)
        return replace(verdict, expired_at=None) if isinstance(verdict, Ruling) else verdict

    patch(rulings, "_rule_due", rule_due)


@MUTATIONS("a hold is not in the index", 400)
def _(patch: Patch) -> None:
    _item(patch, lambda item, _: item.pop("hold_shard", None))


@MUTATIONS("an open record expires")
def _(patch: Patch) -> None:
    _item(patch, lambda item, expires: item.setdefault("ttl", {"N": str(expires)}))


@MUTATIONS("a closed record stays for ever")
def _(patch: Patch) -> None:
    _item(patch, lambda item, _: item.pop("ttl", None))


def _item(patch: Patch, change: Any) -> None:
    """Change the items that store reservations."""
    original = items.reservation_to_item

    def reservation_to_item(record: Any, expires: int) -> Any:
        item = original(record, expires)
        change(item, expires)
        return item

    patch(order_store, "reservation_to_item", reservation_to_item)


@MUTATIONS("an aged order is answered", 400)
def _(patch: Patch) -> None:
    original = rulings._rule_due

    def rule_due(*args: Any) -> Any:
        verdict: Any = original(*args)
        aged = isinstance(verdict, Ruling) and verdict.command.type is ChangeType.FULFILL
        return replace(verdict, silent=False) if aged else verdict

    patch(rulings, "_rule_due", rule_due)
