"""Settles a batch of messages, kind by kind, each in groups of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.delivery import Publisher, Relay
from chalicelib.consumer.inbox import Message, Task, sort
from chalicelib.consumer.report import Report
from chalicelib.consumer.settlers import SETTLERS, Hints
from chalicelib.domain.commands import Command
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore


@dataclass(frozen=True)
class Consumer:
    """Settles batches of messages from the inventory queue; between batches it keeps only hints.

    `executor` delivers answers while the next group is settled; `new_change` makes ids for commits.
    """

    store: OrderStore
    outbox: OutboxStore
    publisher: Publisher
    record_ttl_days: int
    executor: Executor
    report: Report = field(default_factory=Report)
    hints: Hints = field(default_factory=Hints)
    new_change: Callable[[], str] = lambda: uuid4().hex

    def settle(self, messages: Sequence[Message], deadline: Deadline) -> set[str]:
        """Settle `messages`; returns the ids of those that SQS must redeliver.

        Every order in a message whose id is not returned is recorded, and its answer is in the OMS's queue
        or owed by the outbox.
        """
        # A record is kept from when its order was settled, which is after the message was made. The extra day
        # allows for clock differences.
        now = deadline.now()
        oldest = now - timedelta(days=self.record_ttl_days - 1)
        inbox = sort(messages, oldest, newest=now + timedelta(days=1))
        self.report.received(messages, inbox)
        kinds = [(kind, tasks) for kind in SETTLERS if (tasks := inbox.of(kind))]
        unsettled: list[Task] = []
        for number, (kind, tasks) in enumerate(kinds):
            # The kinds share the time, so that orders that are stuck in one do not hold back the next.
            unsettled += self._run(kind, tasks, deadline.share(len(kinds) - number))
        failed = {message.id for message, _ in inbox.poison}
        failed |= {message.id for task in unsettled for message in task.messages}
        self.report.unsettled(sorted({task.order_id for task in unsettled}), len(failed))
        return failed

    def _run(self, kind: type[Command], tasks: Sequence[Task], deadline: Deadline) -> list[Task]:
        """Settle `tasks`, all of one kind; returns those that are not settled."""
        relay = Relay(self.publisher, self.outbox, deadline, self.report, self.executor)
        settler = SETTLERS[kind](self.store, relay, self.hints, deadline, self.report, self.new_change)
        unsettled = settler.run(tasks)
        self.report.delayed(relay.collect())
        self.report.answered(tasks, relay.delivered, unsettled)
        return [task for task in tasks if task.order_id in unsettled]
