"""Settles a batch of messages: releases first, then reservations, each in groups of their own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.consumer.groups import Group, work_through
from chalicelib.consumer.hints import Hints
from chalicelib.consumer.outbox import Outbox
from chalicelib.consumer.pace import Pace
from chalicelib.consumer.publisher import Publisher
from chalicelib.consumer.releasing import Releasing
from chalicelib.consumer.report import Report
from chalicelib.consumer.reserving import Reserving
from chalicelib.core.inbox import Message, Task, sort
from chalicelib.core.messages import Release, Reserve
from chalicelib.core.packing import pack
from chalicelib.core.releases import Cancelled
from chalicelib.store.batch_get import MAX_KEYS
from chalicelib.store.transactions import OrderStore


@dataclass(frozen=True)
class Consumer:
    """Settles batches of messages from the inventory queue; it keeps nothing between batches but hints.

    Answers go out by `executor` while the next group is settled.
    """

    store: OrderStore
    publisher: Publisher
    record_ttl_days: int
    executor: Executor
    report: Report = field(default_factory=Report)
    hints: Hints = field(default_factory=Hints)

    def settle(self, messages: Sequence[Message], pace: Pace) -> set[str]:
        """Settle `messages`; returns the ids of those that SQS shall deliver again.

        Every order in a message whose id is not returned is recorded, and its answer is in the OMS's queue.
        """
        # A record lives from when its order was settled, which is after the message was made; the day is
        # for clocks that disagree.
        oldest = pace.now() - timedelta(days=self.record_ttl_days - 1)
        inbox = sort(messages, oldest)
        self.report.received(messages, inbox)
        failed = {message.id for message, _ in inbox.poison}
        left: list[str] = []
        # Releases first: a reservation whose release is in the same batch then takes no stock at all.
        # Half of the time is kept for the reservations, which a release that is stuck must not hold back.
        first = pace.half() if inbox.reserves else pace
        passes = ((inbox.releases, self._release, first), (inbox.reserves, self._reserve, pace))
        for tasks, work, its_pace in passes:
            outbox = Outbox(self.publisher, self.store, its_pace, self.report, self.executor)
            unsettled = work(list(tasks.values()), outbox, its_pace) | outbox.collect()
            failed |= {message.id for order_id in unsettled for message in tasks[order_id].messages}
            left += sorted(unsettled)
            self.report.answered(tasks, outbox.delivered, unsettled)
        self.report.unsettled(left, len(failed))
        return failed

    def _reserve(self, tasks: Sequence[Task], outbox: Outbox, pace: Pace) -> set[str]:
        redelivered = {task.command.order_id for task in tasks if task.redelivered}
        reserving = Reserving(self.store, outbox, self.hints, pace, self.report, redelivered)
        orders = [task.command for task in tasks if isinstance(task.command, Reserve)]
        return work_through([Group(group) for group in pack(orders)], reserving.settle, pace, self.report)

    def _release(self, tasks: Sequence[Task], outbox: Outbox, pace: Pace) -> set[str]:
        releasing = Releasing(self.store, outbox, pace, self.report)
        orders: list[Cancelled] = []

        def look_up(group: Group[Release]) -> None:
            # What an order gives back, and so how many fit into a transaction, stands in its record.
            records = self.store.read(group.order_ids, (), pace.pause).records
            orders.extend(Cancelled(order_id, records[order_id]) for order_id in group.order_ids)

        asked = [task.command for task in tasks if isinstance(task.command, Release)]
        chunks = [Group(asked[start : start + MAX_KEYS]) for start in range(0, len(asked), MAX_KEYS)]
        unread = work_through(chunks, look_up, pace, self.report)
        groups = [Group(group) for group in pack(orders)]
        return unread | work_through(groups, releasing.settle, pace, self.report)
