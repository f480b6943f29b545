"""Settles a batch of messages, in groups; the commands of one order in their order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.delivery import Publisher, Relay
from chalicelib.consumer.inbox import Message, Task, sort
from chalicelib.consumer.report import Report
from chalicelib.domain.commands import ChangeOrder, ChangeType, Reserve
from chalicelib.domain.reservation import Reference
from chalicelib.domain.rulings import LateConfirmation
from chalicelib.services.change_settler import ChangeSettler
from chalicelib.services.demand_settler import DemandSettler
from chalicelib.services.settler import Demand, Hints
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore


@dataclass(frozen=True)
class Consumer:
    """Settles batches of messages from the inventory queue; between batches it keeps only hints.

    `executor` delivers answers while the next group is settled; `new_change` makes ids for commits. After
    `aging` the sweep closes a firm order; None: never.
    """

    store: OrderStore
    outbox: OutboxStore
    publisher: Publisher
    record_ttl_days: int
    executor: Executor
    report: Report = field(default_factory=Report)
    hints: Hints = field(default_factory=Hints)
    new_change: Callable[[], str] = lambda: uuid4().hex
    aging: timedelta | None = None

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
        unsettled = _Batch(self, inbox.by_order()).settle(deadline)
        failed = {message.id for message, _ in inbox.poison}
        failed |= {message.id for task in unsettled for message in task.messages}
        self.report.unsettled(sorted({task.order_id for task in unsettled}), len(failed))
        return failed


@dataclass
class _Batch:
    """A batch on its way: of each order the commands that are left, the next one first.

    It alternates between changes of orders and what takes stock. Changes run first: what they give back may
    serve the reservations. `late` are confirmations that have to take stock again.
    """

    consumer: Consumer
    left: dict[str, deque[Task]]
    late: dict[str, LateConfirmation] = field(default_factory=dict)
    unsettled: list[Task] = field(default_factory=list)

    def settle(self, deadline: Deadline) -> list[Task]:
        """Settle all commands; returns those that are not settled."""
        while self.left:
            steps = max(_steps(tuple(tasks)) for tasks in self.left.values())
            for step in (self._change, self._take):
                # The steps share the time, so that orders that are stuck in one do not hold back the next.
                relay = self._relay(deadline.share(steps))
                done = step(relay)
                self.consumer.report.delayed(relay.collect())
                self.consumer.report.answered(done, relay.delivered)
                steps = max(1, steps - 1)
        return self.unsettled

    def _change(self, relay: Relay) -> list[Task]:
        """Settle the changes that are next of each order; returns those that are done."""
        next_: dict[str, list[Task]] = {}
        for order_id, tasks in self.left.items():
            while order_id not in self.late and tasks and isinstance(tasks[0].command, ChangeOrder):
                next_.setdefault(order_id, []).append(tasks.popleft())
        if not next_:
            return []
        settler = ChangeSettler(*self._parts(relay))
        failed = settler.run({order_id: _changes(tasks) for order_id, tasks in next_.items()})
        self.consumer.report.unknown([command.order_id for command in settler.unknown])
        unknown = {Reference(command.order_id, command.operation_id) for command in settler.unknown}
        done: list[Task] = []
        for order_id, chunk in next_.items():
            if order_id in failed:
                self._fail(order_id, chunk)
                continue
            settled = len(chunk)
            if order_id in settler.late:
                self.late[order_id], waiting = settler.late[order_id]
                settled -= len(waiting) + 1
                self.left[order_id].extendleft(reversed(chunk[settled:]))
            self.unsettled += [task for task in chunk[:settled] if task.reference in unknown]
            done += [task for task in chunk[:settled] if task.reference not in unknown]
        self._drop_empty()
        return done

    def _take(self, relay: Relay) -> list[Task]:
        """Settle what takes stock and is next of its order; returns what is done."""
        next_: dict[str, Task] = {}
        demands: list[Demand] = []
        for order_id, tasks in self.left.items():
            next_[order_id] = task = tasks.popleft()
            # Of other changes, `_change` has left none.
            demands.append(task.command if isinstance(task.command, Reserve) else self.late.pop(order_id))
        if not next_:
            return []
        settler = DemandSettler(*self._parts(relay))
        failed = settler.run(demands, [order_id for order_id, task in next_.items() if task.redelivered])
        returned = {late.order_id for late in settler.returned}
        done: list[Task] = []
        for order_id, task in next_.items():
            if order_id in failed:
                self._fail(order_id, [task])
            elif order_id in returned:
                self.left[order_id].appendleft(task)
            else:
                done.append(task)
        self._drop_empty()
        return done

    def _parts(self, relay: Relay) -> tuple[Any, ...]:
        """What a settler is made of."""
        consumer = self.consumer
        return (
            consumer.store,
            relay,
            consumer.hints,
            relay.deadline,
            consumer.report,
            consumer.aging,
            consumer.new_change,
        )

    def _relay(self, deadline: Deadline) -> Relay:
        consumer = self.consumer
        return Relay(consumer.publisher, consumer.outbox, deadline, consumer.report, consumer.executor)

    def _fail(self, order_id: str, tasks: Sequence[Task]) -> None:
        """Leave `tasks`, and what follows them of their order, to be redelivered."""
        self.unsettled += [*tasks, *self.left[order_id]]
        self.left[order_id].clear()

    def _drop_empty(self) -> None:
        self.left = {order_id: tasks for order_id, tasks in self.left.items() if tasks}


def _changes(tasks: Sequence[Task]) -> list[ChangeOrder]:
    return [task.command for task in tasks if isinstance(task.command, ChangeOrder)]


def _steps(tasks: Sequence[Task]) -> int:
    """How many steps `tasks` take at the most: changes and what takes stock, in turn, changes first."""
    steps = 1
    for task in tasks:
        if isinstance(task.command, Reserve) == (steps % 2 == 1):
            steps += 1
    # A confirmation may be late.
    late = any(command.type is ChangeType.CONFIRM for command in _changes(tasks))
    return steps + late
