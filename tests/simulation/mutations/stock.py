"""Bugs in what orders, counts and the migration do to the stock, and in orders over REST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chalicelib.consumer import inbox
from chalicelib.consumer.inbox import Inbox
from chalicelib.domain import changes, planner
from chalicelib.domain.reservation import Reference, Reservation
from chalicelib.domain.rulings import LateConfirmation
from chalicelib.domain.stock import Stock
from chalicelib.domain.writes import MoveStock
from chalicelib.services import demand_settler
from chalicelib.services.change_settler import ChangeSettler
from chalicelib.services.settler import Settler
from chalicelib.store import order_store
from chalicelib.store.order_store import OrderStore
from deploy import migrate
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


def _move(
    patch: Patch, concerned: Callable[[MoveStock], bool], change: Callable[[MoveStock], MoveStock]
) -> None:
    """Change the moves of stock that are `concerned`."""
    original = OrderStore._move

    def move(self: OrderStore, write: MoveStock, *args: Any) -> Any:
        return original(self, change(write) if concerned(write) else write, *args)

    patch(OrderStore, "_move", move)


def _uncounted(write: MoveStock) -> MoveStock:
    return replace(write, reserved=0)


@MUTATIONS("a reservation does not count as reserved")
def _(patch: Patch) -> None:
    _move(patch, lambda move: move.quantity < 0, _uncounted)


@MUTATIONS("units that are given back stay reserved")
def _(patch: Patch) -> None:
    _move(patch, lambda move: move.quantity > 0, _uncounted)


@MUTATIONS("units that were shipped stay reserved")
def _(patch: Patch) -> None:
    _move(patch, lambda move: move.quantity == 0, _uncounted)


@MUTATIONS("units that were shipped leave what is available")
def _(patch: Patch) -> None:
    _move(patch, lambda move: move.quantity == 0, lambda move: replace(move, quantity=move.reserved))


@MUTATIONS("a change of stock is not counted")
def _(patch: Patch) -> None:
    original = OrderStore._move

    def move(self: OrderStore, *args: Any) -> Any:
        request = original(self, *args)
        update = request["Update"]
        update["UpdateExpression"] = update["UpdateExpression"].replace(", version :one", "")
        del update["ExpressionAttributeValues"][":one"]
        return request

    patch(OrderStore, "_move", move)


@MUTATIONS("stock does not tell the commit that changed it")
def _(patch: Patch) -> None:
    original = OrderStore._move
    patch(OrderStore, "_move", lambda self, move, change, now: original(self, move, f"{change}+", now))


@MUTATIONS("a late confirmation takes units without a condition", 1000)
def _(patch: Patch) -> None:
    original, action = planner.plan, OrderStore._action

    class Unconditional(MoveStock):
        pass

    def plan(demands: Any, stock: Any, now: str = "") -> Any:
        late = any(isinstance(demand, LateConfirmation) for demand in demands)
        planned = original(demands, {} if late else stock, now)
        writes = [
            Unconditional(write.sku, write.quantity, write.reserved)
            if late and isinstance(write, MoveStock)
            else write
            for write in planned.writes
        ]
        return replace(planned, writes=tuple(writes))

    def request(self: OrderStore, write: Any, *args: Any) -> Any:
        made = action(self, write, *args)
        if isinstance(write, Unconditional):
            made["Update"]["ConditionExpression"] = "attribute_exists(sku)"
            made["Update"]["ExpressionAttributeValues"].pop(":taken", None)
        return made

    patch(demand_settler, "plan", plan)
    patch(OrderStore, "_action", request)


@MUTATIONS("a late confirmation takes nothing", 400)
def _(patch: Patch) -> None:
    original = planner.plan

    def plan(demands: Any, *args: Any) -> Any:
        planned = original(demands, *args)
        if not any(isinstance(demand, LateConfirmation) for demand in demands):
            return planned
        return replace(planned, writes=tuple(w for w in planned.writes if not isinstance(w, MoveStock)))

    patch(demand_settler, "plan", plan)


@MUTATIONS("a reservation overwrites a tombstone")
def _(patch: Patch) -> None:
    original = order_store._unchanged

    def unchanged(seen: Any) -> Any:
        condition = original(seen)
        if seen is None:
            condition["ConditionExpression"] += " OR attribute_not_exists(event)"
        return condition

    patch(order_store, "_unchanged", unchanged)


@MUTATIONS("a change of an unknown order is reported as done")
def _(patch: Patch) -> None:
    original = ChangeSettler._settled

    def settled(self: ChangeSettler, *args: Any) -> None:
        original(self, *args)
        self.unknown.clear()

    patch(ChangeSettler, "_settled", settled)


@MUTATIONS("commands of an order are settled last first", 400)
def _(patch: Patch) -> None:
    original = inbox.Inbox.by_order

    def by_order(self: Inbox) -> Any:
        orders = original(self)
        for tasks in orders.values():
            tasks.reverse()
        return orders

    patch(Inbox, "by_order", by_order)


@MUTATIONS("the OMS is told what was answered over REST")
def _(patch: Patch) -> None:
    original = Settler._rules
    patch(Settler, "_rules", lambda self, now: replace(original(self, now), queue=True))


@MUTATIONS("a message about what was settled over REST is not answered")
def _(patch: Patch) -> None:
    patch(Reservation, "with_queued", lambda self, _: self)


@MUTATIONS("the sweep forgets which answers are on no record", 400)
def _(patch: Patch) -> None:
    patch(Reference, "parse", lambda text: Reference(*text.split("\n")[:2]))


@MUTATIONS("a count forgets the reserved units", 400)
def _(patch: Patch) -> None:
    patch(Stock, "on_hand", property(lambda self: self.quantity))


@MUTATIONS("the migration counts twice", 400)
def _(patch: Patch) -> None:
    original = changes.stock_writes

    def stock_writes(records: Any) -> Any:
        writes = original(records)
        return [replace(w, reserved=2 * w.reserved) if isinstance(w, MoveStock) else w for w in writes]

    patch(migrate, "stock_writes", stock_writes)


@MUTATIONS("the migration does not count what is reserved", 400)
def _(patch: Patch) -> None:
    patch(migrate, "stock_writes", lambda _: ())


@MUTATIONS("the migration does not look whether a record has changed", 1000)
def _(patch: Patch) -> None:
    original = order_store._unchanged

    def unchanged(seen: Any) -> Any:
        condition = original(seen)
        if seen is not None and seen.change is None:
            del condition["ExpressionAttributeValues"]
            condition["ConditionExpression"] = "attribute_not_exists(change)"
        return condition

    patch(order_store, "_unchanged", unchanged)
