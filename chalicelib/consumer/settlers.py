"""Settlers: how the commands of each kind are settled, group by group. `SETTLERS` has a row for each kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.aws.deadline import Deadline
from chalicelib.aws.dynamodb import MAX_KEYS
from chalicelib.consumer.answers import release_answer, release_write, reserve_answer, reserve_write
from chalicelib.consumer.delivery import Outbox
from chalicelib.consumer.groups import Group, work_through
from chalicelib.consumer.inbox import Task
from chalicelib.consumer.report import Report
from chalicelib.domain.commands import Command, Release, Reserve
from chalicelib.domain.planner import OrderToRelease, Plan, Snapshot, pack, plan, plan_releases
from chalicelib.domain.reservation import Answer
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import TakeStock
from chalicelib.errors import Contended
from chalicelib.store.order_store import OrderStore

PLANS: Final = 5
"""How many times a group is planned in a row before it counts as contended."""
MAX_HINTS: Final = 10_000


class Hints:
    """The stock of SKUs as last seen, kept between invocations: a hint, since conditions guard each write."""

    def __init__(self) -> None:
        self._stock: dict[str, int | None] = {}

    def of(self, skus: Iterable[str]) -> dict[str, int | None]:
        """What was last seen of `skus`, without those never seen."""
        return {sku: self._stock[sku] for sku in skus if sku in self._stock}

    def learn(self, stock: Mapping[str, int | None]) -> None:
        """Keep `stock`, and forget the SKUs that were seen longest ago."""
        for sku, units in stock.items():
            self._stock.pop(sku, None)
            self._stock[sku] = units
        while len(self._stock) > MAX_HINTS:
            del self._stock[next(iter(self._stock))]


@dataclass(frozen=True)
class Settler(ABC):
    """Settles the commands of one kind in a batch."""

    store: OrderStore
    outbox: Outbox
    hints: Hints
    deadline: Deadline
    report: Report

    @abstractmethod
    def run(self, tasks: Sequence[Task]) -> set[str]:
        """Settle `tasks` before the deadline; returns the ids of the orders that are not settled."""


@dataclass(frozen=True)
class ReserveSettler(Settler):
    """Takes stock for orders; `redelivered` orders may have been settled before."""

    redelivered: Set[str] = frozenset()

    def run(self, tasks: Sequence[Task]) -> set[str]:
        """See `Settler.run`."""
        settler = replace(self, redelivered={task.order_id for task in tasks if task.redelivered})
        orders = [task.command for task in tasks if isinstance(task.command, Reserve)]
        groups = [Group(group) for group in pack(orders)]
        return work_through(groups, settler.settle, self.deadline, self.report)

    def settle(self, group: Group[Reserve]) -> None:
        """Settle `group`, and begin to deliver its answers.

        Raises `AwsError`, `Contended` or `OutOfTime` where nothing was written, or where that is unknown.
        """
        snapshot = group.snapshot
        self._look_ahead(group)
        for _ in range(PLANS):
            new = [order for order in group.orders if snapshot.reservations.get(order.order_id) is None]
            decided = self._plan(new, snapshot)
            now = self.deadline.now()
            at = iso(now)
            answers = [reserve_answer(decision, at) for decision in decided.decisions]
            records = [
                reserve_write(decision, answer, at)
                for decision, answer in zip(decided.decisions, answers, strict=True)
            ]
            self.deadline.check()
            if self.store.commit([*decided.writes, *records], now, snapshot):
                self.outbox.deliver([*answers, *self._owed(group)])
                self._committed(decided, snapshot)
                return
        raise Contended("the stock kept changing")

    def _look_ahead(self, group: Group[Reserve]) -> None:
        """Read first where a blind try is likely to fail: redelivered orders, SKUs that were short."""
        if group.attempt:
            return
        again = [order.order_id for order in group.orders if order.order_id in self.redelivered]
        skus = {sku for order in group.orders for sku in order.skus}
        hints = self.hints.of(skus)
        short = bool(hints) and plan(group.orders, hints).rejects
        if again or short:
            group.snapshot.update(self.store.read(again, skus if short else (), self.deadline))

    def _plan(self, orders: Sequence[Reserve], snapshot: Snapshot) -> Plan:
        decided = plan(orders, snapshot.stock)
        while decided.unseen:
            snapshot.update(self.store.read((), decided.unseen, self.deadline))
            decided = plan(orders, snapshot.stock)
        return decided

    def _committed(self, decided: Plan, snapshot: Snapshot) -> None:
        taken = {write.sku: write.quantity for write in decided.writes if isinstance(write, TakeStock)}
        self.hints.learn(
            {
                sku: None if units is None else units - taken.get(sku, 0)
                for sku, units in snapshot.stock.items()
            }
        )
        if decided.decisions:
            self.report.decided(decided.decisions)

    def _owed(self, group: Group[Reserve]) -> list[Answer]:
        """The answers still owed to orders of `group` that were settled before; reports these orders."""
        known = group.snapshot.reservations
        before = [(order, found) for order in group.orders if (found := known.get(order.order_id))]
        if not before:
            return []
        self.report.duplicates([order.order_id for order, _ in before])
        self.report.mismatched(
            [
                order.order_id
                for order, found in before
                if found.items and order.items and found.items != order.items
            ]
        )
        return [answer for _, found in before if (answer := found.owed)]


@dataclass(frozen=True)
class ReleaseSettler(Settler):
    """Gives the stock of cancelled orders back, once their first answers are sent."""

    def run(self, tasks: Sequence[Task]) -> set[str]:
        """See `Settler.run`."""
        orders: list[OrderToRelease] = []

        def look_up(group: Group[Task]) -> None:
            # The record says what an order gives back, and so how many orders fit into a transaction.
            found = self.store.read(group.order_ids, (), self.deadline).reservations
            orders.extend(OrderToRelease(order_id, found[order_id]) for order_id in group.order_ids)

        chunks = [Group(tasks[start : start + MAX_KEYS]) for start in range(0, len(tasks), MAX_KEYS)]
        unread = work_through(chunks, look_up, self.deadline, self.report)
        groups = [Group(group) for group in pack(orders)]
        return unread | work_through(groups, self.settle, self.deadline, self.report)

    def settle(self, group: Group[OrderToRelease]) -> None:
        """Settle `group` and begin to deliver its answers; skip orders whose first answer cannot be sent.

        Raises `AwsError`, `Contended` or `OutOfTime` where nothing was written, or where that is unknown.
        """
        for _ in range(PLANS):
            orders = self._sendable([order.as_seen(group.snapshot) for order in group.orders])
            self._send_first(orders)
            held = [order for order in self._sendable(orders) if order.releasable]
            now = self.deadline.now()
            planned = plan_releases(held, group.snapshot.missing)
            at = iso(now)
            answers = [release_answer(released, at) for released in planned.released]
            records = [
                release_write(released, answer, at)
                for released, answer in zip(planned.released, answers, strict=True)
            ]
            self.deadline.check()
            if self.store.commit([*planned.writes, *records], now, group.snapshot):
                self._committed(orders, answers)
                return
        raise Contended("the orders or the SKUs kept changing")

    def _sendable(self, orders: Sequence[OrderToRelease]) -> list[OrderToRelease]:
        """Those of `orders` of which no answer failed to be sent."""
        return [order for order in orders if order.order_id not in self.outbox.unsent]

    def _send_first(self, orders: Sequence[OrderToRelease]) -> None:
        """Send the answers still owed to reserved orders: a released order owes only its release's answer."""
        self.outbox.send(
            [
                answer
                for order in orders
                if order.releasable
                and order.reservation
                and order.order_id not in self.outbox.delivered
                and (answer := order.reservation.owed)
            ]
        )

    def _committed(self, orders: Sequence[OrderToRelease], answers: Sequence[Answer]) -> None:
        before = [order.reservation for order in orders if order.reservation and not order.releasable]
        self.outbox.deliver([*answers, *(answer for found in before if (answer := found.owed))])
        if answers:
            self.report.released([answer.order_id for answer in answers])
        self.report.duplicates([found.order_id for found in before])


SETTLERS: Final[Mapping[type[Command], type[Settler]]] = {Release: ReleaseSettler, Reserve: ReserveSettler}
"""The settler of each kind of command; within a batch they run in this order.

Releases run first: what they give back may serve the reservations, and a reservation whose release is in the
same batch takes no stock at all.
"""
