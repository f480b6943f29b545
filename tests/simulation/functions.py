"""The Lambda functions: the consumer with its poller, and the sweep with its schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import greenlet
from botocore.exceptions import BotoCoreError, ClientError

from bench.null_report import NullReport
from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.delivery import Publisher
from chalicelib.consumer.holds import HoldSweep
from chalicelib.consumer.sweep import Sweep
from chalicelib.errors import AwsError
from chalicelib.handlers.inventory_queue import respond
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore
from tests.simulation.actors import Simulation
from tests.simulation.adversary import Adversary
from tests.simulation.scheduler import Actor, ThreadPool
from tests.simulation.timeline import Settled
from tests.support.engines.network import Crash

POLL_SECONDS = 0.5
LAST_SWEEPS = 15
"""So many sweeps in a row may remove nothing once everything works, and nobody else sends answers any more.

One that is cut short after 6 s may send only a few.
"""

_R = TypeVar("_R")


class Function:
    """One invocation at a time. After a crash, a new process follows."""

    def __init__(self, simulation: Simulation, name: str, adversary: Adversary | None = None) -> None:
        self.simulation = simulation
        self.actor = simulation.actor(name)
        self.dynamodb, self.sqs = simulation.clients(self.actor, adversary)
        stage = simulation.stage
        self.orders = OrderStore(self.dynamodb, stage.tables)
        self.outbox = OutboxStore(self.dynamodb, stage.tables)
        self.publisher = Publisher(self.sqs, stage.oms_queue_url)
        self.start()
        self._clock_skew = timedelta(seconds=self.actor.rng.uniform(-2, 2))

    def start(self) -> None:
        """Start a process."""
        self.threads = ThreadPool(self.actor, self.simulation.threads)

    def invoke(self, work: Callable[[Deadline], _R]) -> _R:
        """Run `work` within the time limit; raises `Crash` if its process dies."""
        actor = self.actor
        end = actor.dies_at = actor.scheduler.now + self.simulation.scenario.time_limit
        deadline = replace(
            Deadline.of(_Context(actor, end)),
            now=lambda: datetime.fromtimestamp(self.simulation.stage.clock.now, UTC) + self._clock_skew,
            sleep=actor.wait,
            rng=actor.rng,
        )
        try:
            return work(deadline)
        except Crash as crash:
            self.simulation.log_action(actor.name, "DIES", crash)
            self.threads.die()
            actor.dead_threads.discard(greenlet.getcurrent())
            self.start()
            raise
        finally:
            actor.dies_at = None


@dataclass(slots=True)
class _Context:
    """What Lambda tells a function about its invocation."""

    actor: Actor
    end: float
    aws_request_id: str = "simulated"

    def get_remaining_time_in_millis(self) -> float:
        return (self.end - self.actor.scheduler.now) * 1000


class Worker(Function):
    """A consumer and its poller, as Lambda has them: one batch at a time.

    It deletes the messages that the function does not return as failed; none if the function raises or dies.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._changes = count()
        adversary = Adversary(
            simulation.scheduler, simulation.stage, simulation.log_action, simulation.scenario.messages
        )
        super().__init__(simulation, name, adversary)
        simulation.consumers += 1

    def start(self) -> None:
        """Start a process; what the last one kept is gone."""
        super().start()
        aging = self.simulation.scenario.life.aging
        self._consumer = Consumer(
            self.orders,
            self.outbox,
            self.publisher,
            self.simulation.stage.tables.record_ttl_days,
            self.threads,
            NullReport(),
            new_change=lambda: f"{self.actor.name}/{next(self._changes)}",
            aging=None if aging is None else timedelta(seconds=aging),
        )

    def __call__(self) -> None:
        """Work until every message has been sent, and is settled or dead."""
        while (idle := self._idle_seconds()) is not None:
            batch = self._receive() if idle <= 0 else []
            if batch:
                failed = self._settle(batch)
                self._delete([message for message in batch if message["MessageId"] not in failed])
            else:
                self.actor.wait(max(idle, 0) + self.actor.rng.uniform(0, POLL_SECONDS))
        self.simulation.consumers -= 1

    def _idle_seconds(self) -> float | None:
        """Seconds until there may be a message to receive, None if there will be none any more."""
        simulation = self.simulation
        moments = [m.visible_at - simulation.scheduler.start for m in simulation.inventory.messages.values()]
        moments += [message.at for message in simulation.coming[:1]]
        return min(moments) - simulation.scheduler.now if moments else None

    def _receive(self) -> list[Any]:
        batch: dict[str, Any] = {}
        limit = self.simulation.scenario.batch
        for _ in range(-(-limit // 10)):
            try:
                got = self.sqs.receive_message(
                    QueueUrl=self.simulation.stage.inventory_queue_url,
                    MaxNumberOfMessages=min(10, limit - len(batch)),
                    MessageSystemAttributeNames=["All"],
                ).get("Messages", [])
            except (ClientError, BotoCoreError, Crash):
                break
            batch |= {message["MessageId"]: message for message in got}
            if not got:
                break
        return list(batch.values())

    def _settle(self, batch: list[Any]) -> set[str]:
        """Call the function; returns the ids of the messages that stay in the queue."""
        ids = {message["MessageId"] for message in batch}
        numbers = self.simulation.message_numbers
        records = [
            {"messageId": m["MessageId"], "body": m["Body"], "attributes": m["Attributes"]} for m in batch
        ]
        log = self.simulation.log_action
        log(self.actor.name, "invoked", [numbers[m["MessageId"]] for m in batch])
        since = len(self.simulation.timeline)
        try:
            response = self.invoke(lambda deadline: respond({"Records": records}, self._consumer, deadline))
        except Crash:
            self.actor.wait(self.actor.rng.uniform(0, 1))
            return ids
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        if not failed <= ids:
            return ids
        done, left = (sorted(numbers[id_] for id_ in some) for some in (ids - failed, failed))
        arrived = tuple(numbers[message["MessageId"]] for message in batch)
        settled = Settled(tuple(done), tuple(left), since, self.actor.name, arrived)
        self.simulation.timeline.append(settled)
        log(self.actor.name, "returns", (done, left))
        return failed

    def _delete(self, batch: list[Any]) -> None:
        for start in range(0, len(batch), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(batch[start : start + 10])
            ]
            try:
                self.sqs.delete_message_batch(
                    QueueUrl=self.simulation.stage.inventory_queue_url, Entries=entries
                )
            except (ClientError, BotoCoreError, Crash):
                return


class Sweeper(Function):
    """The sweep and its schedule; a second one may run at the same time."""

    def __call__(self) -> None:
        """Sweep until nobody can owe an answer any more, and the outbox is empty; then give up some day."""
        every, peace = self.simulation.scenario.sweep_every, 0.0
        self.actor.wait(self.actor.rng.choice((every, self.actor.rng.uniform(0, every))))
        patience = self.simulation.scenario.patience
        while self.simulation.owed and peace <= patience + LAST_SWEEPS * every:
            before = self.simulation.outbox_size
            self._sweep()
            self.actor.wait(every)
            at_peace = self.simulation.at_peace and not self.simulation.hold_sweeps
            removed = self.simulation.outbox_size < before
            peace = peace + every if at_peace and not removed else 0.0

    def _work(self, deadline: Deadline) -> None:
        Sweep(self.orders, self.outbox, self.publisher, self.threads, NullReport()).run(deadline)

    def _sweep(self) -> None:
        try:
            self.invoke(self._work)
        except AwsError as error:
            self.simulation.log_action(self.actor.name, "fails", error)
        except Crash:
            pass


class HoldSweeper(Sweeper):
    """What ends holds and closes old orders, and its schedule; others may run at the same time."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        super().__init__(simulation, name)
        simulation.hold_sweeps += 1

    def __call__(self) -> None:
        """Sweep until nobody can reserve any more, and nothing is due soon; then give up some day."""
        life, simulation, peace = self.simulation.scenario.life, self.simulation, 0.0
        self.actor.wait(self.actor.rng.uniform(0, life.sweep_every))
        while not simulation.at_peace or simulation.due(life.horizon):
            self._sweep()
            self.actor.wait(life.sweep_every)
            peace += life.sweep_every if simulation.at_peace and simulation.due(0) else 0.0
            if peace > life.index_lag + LAST_SWEEPS * life.sweep_every:
                break
        simulation.hold_sweeps -= 1

    def _work(self, deadline: Deadline) -> None:
        HoldSweep(self.orders, self.outbox, self.publisher, self.threads, NullReport()).run(deadline)
