"""Who takes part: processes of the consumer, writers over REST, the OMS."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import greenlet
from botocore.exceptions import BotoCoreError, ClientError

from bench.null_report import NullReport
from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.delivery import Publisher
from chalicelib.domain.stock import Adjustment, IdempotencyKey, Product
from chalicelib.domain.timestamps import iso
from chalicelib.errors import AwsError, Contended, ImsError, Unavailable
from chalicelib.handlers.inventory_queue import respond
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.order_store import OrderStore
from chalicelib.store.product_store import ProductStore
from chalicelib.store.stock_store import StockStore
from tests.simulation.adversary import Adversary
from tests.simulation.network import LogLine, SimulatedNetwork
from tests.simulation.scenario import Scenario, Write
from tests.simulation.scheduler import Actor, Scheduler, ThreadPool
from tests.simulation.timeline import Responded, Settled, Timeline
from tests.support.deadlines import endless
from tests.support.engines import FakeStage, Queue
from tests.support.engines.network import Crash, Network

POLL_SECONDS = 0.5


@dataclass
class Simulation:
    """What the actors of one history share."""

    scenario: Scenario
    scheduler: Scheduler
    stage: FakeStage
    timeline: Timeline
    log: list[LogLine] = field(default_factory=list)
    message_numbers: dict[str, int] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """How many threads a consumer has."""
        return self.scenario.rng("threads").choice((1, 2, 4))

    @property
    def inventory(self) -> Queue:
        """The queue that the consumers work on."""
        queue: Queue = self.stage.sqs.find(self.stage.inventory_queue_url)
        return queue

    def actor(self, name: str) -> Actor:
        """A process with a random number generator of its own."""
        return Actor(self.scheduler, name, self.scenario.rng(name))

    def clients(self, actor: Actor, adversary: Adversary | None = None) -> tuple[Any, Any]:
        """An actor's clients of DynamoDB and SQS."""
        network = Network(SimulatedNetwork(self.scenario, actor, self.add_line, adversary))
        return network.client(self.stage.dynamodb), network.client(self.stage.sqs)

    def log_action(self, actor: str, action: str, details: Any = None) -> None:
        """Log something that an actor did."""
        self.add_line(LogLine(self.scheduler.now, actor, action, details))

    def add_line(self, line: LogLine) -> None:
        """Append a line to the log."""
        line.entry = len(self.timeline)
        self.log.append(line)


def schedule_messages(simulation: Simulation) -> None:
    """Let the OMS send each message at its time."""
    for number, message in enumerate(simulation.scenario.messages):

        def send(number: int = number, body: str = message.text) -> None:
            response = simulation.stage.sqs.send_message(
                QueueUrl=simulation.stage.inventory_queue_url, MessageBody=body
            )
            simulation.message_numbers[response["MessageId"]] = number
            simulation.log_action("oms", "sends", number)

        simulation.scheduler.call_at(message.at, send)


class Worker:
    """A poller and the function that it calls, as Lambda has them: one batch at a time.

    It deletes the messages that the function does not return as failed; none if the function raises or dies.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self._actor = simulation.actor(name)
        adversary = Adversary(simulation.scheduler, simulation.stage, simulation.log_action)
        self._dynamodb, self._sqs = simulation.clients(self._actor, adversary)
        self._threads, self._consumer = self._new_process()
        self._clock_skew = timedelta(seconds=self._actor.rng.uniform(-2, 2))

    def _new_process(self) -> tuple[ThreadPool, Consumer]:
        stage, threads = self._simulation.stage, ThreadPool(self._actor, self._simulation.threads)
        store = OrderStore(self._dynamodb, stage.tables)
        publisher = Publisher(self._sqs, stage.oms_queue_url)
        return threads, Consumer(store, publisher, stage.tables.record_ttl_days, threads, NullReport())

    def __call__(self) -> None:
        """Work until every message has been sent, and is settled or dead."""
        while (idle := self._idle_seconds()) is not None:
            batch = self._receive() if idle <= 0 else []
            if batch:
                failed = self._invoke(batch)
                self._delete([message for message in batch if message["MessageId"] not in failed])
            else:
                self._actor.wait(max(idle, 0) + self._actor.rng.uniform(0, POLL_SECONDS))

    def _idle_seconds(self) -> float | None:
        """Seconds until there may be a message to receive, None if there will be none any more."""
        simulation = self._simulation
        moments = [m.visible_at - simulation.scheduler.start for m in simulation.inventory.messages.values()]
        moments += [
            message.at for message in simulation.scenario.messages[len(simulation.message_numbers) :][:1]
        ]
        return min(moments) - simulation.scheduler.now if moments else None

    def _receive(self) -> list[Any]:
        batch: dict[str, Any] = {}
        limit = self._simulation.scenario.batch
        for _ in range(-(-limit // 10)):
            try:
                got = self._sqs.receive_message(
                    QueueUrl=self._simulation.stage.inventory_queue_url,
                    MaxNumberOfMessages=min(10, limit - len(batch)),
                    MessageSystemAttributeNames=["All"],
                ).get("Messages", [])
            except (ClientError, BotoCoreError, Crash):
                break
            batch |= {message["MessageId"]: message for message in got}
            if not got:
                break
        return list(batch.values())

    def _invoke(self, batch: list[Any]) -> set[str]:
        """Call the function; returns the ids of the messages that stay in the queue."""
        actor, limit = self._actor, self._simulation.scenario.time_limit
        ids = {message["MessageId"] for message in batch}
        end = actor.dies_at = actor.scheduler.now + limit
        deadline = replace(
            Deadline.of(_Context(actor, end)),
            now=lambda: datetime.fromtimestamp(self._simulation.stage.clock.now, UTC) + self._clock_skew,
            sleep=actor.wait,
            rng=actor.rng,
        )
        records = [
            {"messageId": m["MessageId"], "body": m["Body"], "attributes": m["Attributes"]} for m in batch
        ]
        self._simulation.log_action(
            actor.name, "invoked", [self._simulation.message_numbers[m["MessageId"]] for m in batch]
        )
        try:
            response = respond({"Records": records}, self._consumer, deadline)
        except Crash as crash:
            self._simulation.log_action(actor.name, "DIES", crash)
            self._threads.die()
            actor.dead_threads.discard(greenlet.getcurrent())
            self._threads, self._consumer = self._new_process()
            actor.dies_at = None
            actor.wait(actor.rng.uniform(0, 1))
            return ids
        finally:
            actor.dies_at = None
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        if not failed <= ids:
            return ids
        done = [self._simulation.message_numbers[id_] for id_ in ids - failed]
        self._simulation.timeline.append(Settled(tuple(sorted(done))))
        self._simulation.log_action(
            actor.name,
            "returns",
            (sorted(done), sorted(self._simulation.message_numbers[id_] for id_ in failed)),
        )
        return failed

    def _delete(self, batch: list[Any]) -> None:
        for start in range(0, len(batch), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(batch[start : start + 10])
            ]
            try:
                self._sqs.delete_message_batch(
                    QueueUrl=self._simulation.stage.inventory_queue_url, Entries=entries
                )
            except (ClientError, BotoCoreError, Crash):
                return


@dataclass(slots=True)
class _Context:
    """What Lambda tells a function about its invocation."""

    actor: Actor
    end: float
    aws_request_id: str = "simulated"

    def get_remaining_time_in_millis(self) -> float:
        return (self.end - self.actor.scheduler.now) * 1000


class Writer:
    """A client of the REST API: the real repositories, each request repeated under its key if it failed."""

    def __init__(self, simulation: Simulation, name: str, writes: tuple[Write, ...]) -> None:
        self._simulation = simulation
        self._actor = simulation.actor(name)
        self._writes = writes
        dynamodb, _ = simulation.clients(self._actor)
        self._changes = StockChanges(StockStore(dynamodb, simulation.stage.tables))
        self._products = ProductStore(dynamodb, simulation.stage.tables)
        self._deadline = endless(simulation.stage.clock, self._actor.wait, self._actor.rng)
        self._requests = 0

    def __call__(self) -> None:
        """Make all writes, in order."""
        for write in self._writes:
            self._actor.wait(max(0.0, write.at - self._actor.scheduler.now))
            self._request(write)

    def _request(self, write: Write) -> None:
        self._requests += 1
        key = (
            IdempotencyKey(self._actor.name, str(self._requests)) if self._actor.rng.random() < 0.7 else None
        )
        for _ in range(3 if key else 1):
            try:
                stock = self._do(write, key)
            except (AwsError, Contended, Unavailable) as error:
                self._simulation.log_action(self._actor.name, write.kind, f"{write.sku}: {error}")
            except (ImsError, Crash) as error:
                self._simulation.log_action(self._actor.name, write.kind, f"{write.sku}: {error}")
                return
            else:
                self._simulation.log_action(self._actor.name, write.kind, stock)
                if key and write.kind not in {"create", "delete"}:
                    self._simulation.timeline.append(Responded(key, stock))
                if self._actor.rng.random() < 0.8:
                    return

    def _do(self, write: Write, key: IdempotencyKey | None) -> Any:
        deadline, now = self._deadline, iso(self._deadline.now())
        if write.kind == "create":
            return self._products.create(
                Product(write.sku, write.sku, Decimal("9.99"), None, None, now, now), deadline
            )
        if write.kind == "delete":
            return self._products.delete(write.sku, deadline)
        if write.kind in {"set", "empty"}:
            units = max(0, write.units) if write.kind == "set" else 0
            return self._changes.set_quantity(write.sku, units, deadline, key=key)
        delta = {"adjust": write.units or 1, "one more": 1, "stock": abs(write.units) + 1}[write.kind]
        return self._changes.adjust(write.sku, Adjustment(delta, "CORRECTION"), deadline, key)
