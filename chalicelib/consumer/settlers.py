"""Settlers: how the commands of each kind are settled, group by group. `SETTLERS` has a row for each kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from chalicelib.aws.deadline import Deadline
from chalicelib.aws.dynamodb import MAX_KEYS
from chalicelib.consumer.answers import queue_writes, release_write, reserve_write
from chalicelib.consumer.delivery import Relay
from chalicelib.consumer.groups import Group, work_through
from chalicelib.consumer.inbox import Task
from chalicelib.consumer.report import Report
from chalicelib.domain.commands import Command, Release, Reserve
from chalicelib.domain.planner import (
    MAX_ACTIONS,
    OrderToRelease,
    Plan,
    Snapshot,
    pack,
    plan,
    plan_releases,
)
from chalicelib.domain.reservation import Reservation
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import OweAnswers, RecordReservation, TakeStock, Write
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
    """Settles the commands of one kind in a batch; `new_change` makes ids for commits."""

    store: OrderStore
    relay: Relay
    hints: Hints
    deadline: Deadline
    report: Report
    new_change: Callable[[], str]

    @abstractmethod
    def run(self, tasks: Sequence[Task]) -> set[str]:
        """Settle `tasks` before the deadline; returns the ids of the orders that are not settled."""

    def _commit(self, group: Group[Any], change: str, now: datetime, writes: Sequence[Write]) -> bool:
        """Commit `writes` as `change`, with an outbox item for all answers that they leave to send.

        Then begin to deliver these, and those of an earlier try that was committed though nobody heard of it.
        Returns whether it is done; raises what `OrderStore.commit` raises.
        """
        records = [write for write in writes if isinstance(write, RecordReservation)]
        answers = [answer for write in records for answer in write.newly_queued]
        if answers:
            writes = [*writes, OweAnswers(change, [answer.reference for answer in answers])]
        self.deadline.check()
        earlier = dict(group.tries)
        group.tries[change] = answers
        if not self.store.commit(writes, now, group.snapshot):
            return False
        if answers:
            self.relay.deliver(change, answers)
        on_record = {found.order_id: found.change for found in group.recorded}
        for done, owed in earlier.items():
            if mine := [answer for answer in owed if on_record.get(answer.order_id) == done]:
                self.relay.deliver(done, mine, whole=len(mine) == len(owed))
        return True


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
            now, change = self.deadline.now(), self.new_change()
            records = [reserve_write(decision, iso(now), change) for decision in decided.decisions]
            before = group.recorded
            if self._commit(group, change, now, [*decided.writes, *records, *queue_writes(before, change)]):
                self._committed(decided, snapshot)
                self._repeated(group.orders, before)
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

    def _repeated(self, orders: Sequence[Reserve], before: Sequence[Reservation]) -> None:
        """Report the orders that were settled `before`."""
        self.report.duplicates([found.order_id for found in before])
        items = {order.order_id: order.items for order in orders}
        self.report.mismatched(
            [
                found.order_id
                for found in before
                if found.items and items[found.order_id] and found.items != items[found.order_id]
            ]
        )


@dataclass(frozen=True)
class ReleaseSettler(Settler):
    """Gives the stock of cancelled orders back."""

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
        """Settle `group` and begin to deliver its answers.

        Raises `AwsError`, `Contended` or `OutOfTime` where nothing was written, or where that is unknown.
        """
        for _ in range(PLANS):
            orders = [order.as_seen(group.snapshot) for order in group.orders]
            before = [order.reservation for order in orders if order.reservation and not order.releasable]
            planned = plan_releases([order for order in orders if order.releasable], group.snapshot.missing)
            # Version 1.1 took orders of 99 SKUs. Their release leaves no room for the outbox: then the next
            # plan puts the answer there, and the message is not done before that.
            fits = len(orders) + len(planned.writes) <= MAX_ACTIONS
            now, change = self.deadline.now(), self.new_change()
            at = iso(now)
            records = [release_write(released, at, change, queued=fits) for released in planned.released]
            writes = [*planned.writes, *records, *queue_writes(before, change)]
            if not self._commit(group, change, now, writes):
                continue
            if records:
                self.report.released([record.order_id for record in records])
            self.report.duplicates([found.order_id for found in before])
            if fits:
                return
            group.snapshot.reservations.update((record.order_id, record.reservation) for record in records)
        raise Contended("the orders or the SKUs kept changing")


SETTLERS: Final[Mapping[type[Command], type[Settler]]] = {Release: ReleaseSettler, Reserve: ReserveSettler}
"""The settler of each kind of command; within a batch they run in this order.

Releases run first: what they give back may serve the reservations, and a reservation whose release is in the
same batch takes no stock at all.
"""
