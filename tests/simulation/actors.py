"""Who takes part: processes of the consumer, writers over REST, the OMS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import greenlet
from botocore.exceptions import BotoCoreError, ClientError

from bench.silent import Silent
from chalicelib.consumer import respond
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.pace import Pace
from chalicelib.consumer.publisher import Publisher
from chalicelib.core.adjustments import Adjustment, IdempotencyKey
from chalicelib.core.backoff import full_jitter
from chalicelib.core.catalogue import Product
from chalicelib.core.moments import iso
from chalicelib.errors import AwsError, Contended, ImsError
from chalicelib.store.adjustments import Adjustments
from chalicelib.store.products import Products
from chalicelib.store.transactions import OrderStore
from tests.simulation.crew import Crew
from tests.simulation.meddler import Meddler
from tests.simulation.scenario import Scenario, Write
from tests.simulation.timeline import Answered, Settled, Timeline
from tests.simulation.wire import Line, Wire
from tests.simulation.world import Actor, World
from tests.support.engines import FakeStage, Queue
from tests.support.engines.network import Crash, Network

POLL_SECONDS = 0.5


@dataclass
class Cast:
    """What the actors of one history share."""

    scenario: Scenario
    world: World
    stage: FakeStage
    timeline: Timeline
    log: list[Line] = field(default_factory=list)
    letters: dict[str, int] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """How many threads a consumer has."""
        return self.scenario.chance("threads").choice((1, 2, 4))

    @property
    def inventory(self) -> Queue:
        """The queue that the consumers work on."""
        return self.stage.sqs.find(self.stage.inventory_queue_url)

    def actor(self, name: str) -> Actor:
        """A process with a chance of its own."""
        return Actor(self.world, name, self.scenario.chance(name))

    def wired(self, actor: Actor, meddler: Meddler | None = None) -> tuple[Any, Any]:
        """An actor's clients of DynamoDB and SQS."""
        network = Network(Wire(self.scenario, actor, self.note, meddler))
        return network.client(self.stage.dynamodb), network.client(self.stage.sqs)

    def say(self, actor: str, what: str, details: Any = None) -> None:
        """Note something that an actor did."""
        self.note(Line(self.world.now, actor, what, details))

    def note(self, line: Line) -> None:
        """Enter a line into the log."""
        line.entry = len(self.timeline)
        self.log.append(line)


def post_letters(cast: Cast) -> None:
    """The OMS sends what it has to say."""
    for number, letter in enumerate(cast.scenario.letters):

        def send(number: int = number, body: str = letter.body) -> None:
            answer = cast.stage.sqs.send_message(QueueUrl=cast.stage.inventory_queue_url, MessageBody=body)
            cast.letters[answer["MessageId"]] = number
            cast.say("oms", "sends", number)

        cast.world.at(letter.at, send)


class Worker:
    """A poller and the function that it calls, as Lambda has them: one batch at a time.

    What the function does not return as failed is deleted; if it raises or dies, nothing is.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    def __init__(self, cast: Cast, name: str) -> None:
        self._cast = cast
        self._actor = cast.actor(name)
        meddler = Meddler(cast.world, cast.stage, cast.say)
        self._dynamodb, self._sqs = cast.wired(self._actor, meddler)
        self._crew, self._consumer = self._new_process()
        self._skew = timedelta(seconds=self._actor.rng.uniform(-2, 2))

    def _new_process(self) -> tuple[Crew, Consumer]:
        stage, crew = self._cast.stage, Crew(self._actor, self._cast.threads)
        store = OrderStore(self._dynamodb, stage.tables)
        publisher = Publisher(self._sqs, stage.oms_queue_url)
        return crew, Consumer(store, publisher, stage.tables.record_ttl_days, crew, Silent())

    def __call__(self) -> None:
        """Work until every letter has been sent, and is settled or dead."""
        while (idle := self._nothing_to_do_for()) is not None:
            batch = self._receive() if idle <= 0 else []
            if batch:
                failed = self._invoke(batch)
                self._delete([message for message in batch if message["MessageId"] not in failed])
            else:
                self._actor.wait(max(idle, 0) + self._actor.rng.uniform(0, POLL_SECONDS))

    def _nothing_to_do_for(self) -> float | None:
        """Seconds until there may be a message to receive, None if there will be none any more."""
        cast = self._cast
        moments = [m.visible_at - cast.world.start for m in cast.inventory.messages.values()]
        moments += [letter.at for letter in cast.scenario.letters[len(cast.letters) :][:1]]
        return min(moments) - cast.world.now if moments else None

    def _receive(self) -> list[Any]:
        batch: dict[str, Any] = {}
        most = self._cast.scenario.batch
        for _ in range(-(-most // 10)):
            try:
                got = self._sqs.receive_message(
                    QueueUrl=self._cast.stage.inventory_queue_url,
                    MaxNumberOfMessages=min(10, most - len(batch)),
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
        actor, limit = self._actor, self._cast.scenario.time_limit
        ids = {message["MessageId"] for message in batch}
        deadline = actor.dies_at = actor.world.now + limit
        pace = replace(
            Pace.of(_Context(actor, deadline)),
            now=lambda: datetime.fromtimestamp(self._cast.stage.clock.now, UTC) + self._skew,
            sleep=actor.wait,
            rng=actor.rng,
        )
        records = [
            {"messageId": m["MessageId"], "body": m["Body"], "attributes": m["Attributes"]} for m in batch
        ]
        self._cast.say(actor.name, "invoked", [self._cast.letters[m["MessageId"]] for m in batch])
        try:
            answer = respond({"Records": records}, self._consumer, pace)
        except Crash as crash:
            self._cast.say(actor.name, "DIES", crash)
            self._crew.die()
            actor.ghosts.discard(greenlet.getcurrent())
            self._crew, self._consumer = self._new_process()
            actor.dies_at = None
            actor.wait(actor.rng.uniform(0, 1))
            return ids
        finally:
            actor.dies_at = None
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        if not failed <= ids:
            return ids
        done = [self._cast.letters[id_] for id_ in ids - failed]
        self._cast.timeline.append(Settled(tuple(sorted(done))))
        self._cast.say(
            actor.name, "returns", (sorted(done), sorted(self._cast.letters[id_] for id_ in failed))
        )
        return failed

    def _delete(self, batch: list[Any]) -> None:
        for start in range(0, len(batch), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(batch[start : start + 10])
            ]
            try:
                self._sqs.delete_message_batch(QueueUrl=self._cast.stage.inventory_queue_url, Entries=entries)
            except (ClientError, BotoCoreError, Crash):
                return


@dataclass(frozen=True, slots=True)
class _Context:
    """What Lambda tells a function about its invocation."""

    actor: Actor
    deadline: float
    aws_request_id: str = "simulated"

    def get_remaining_time_in_millis(self) -> float:
        return (self.deadline - self.actor.world.now) * 1000


class Writer:
    """A client of the REST API: the real repositories, each request repeated under its key if it failed."""

    def __init__(self, cast: Cast, name: str, writes: tuple[Write, ...]) -> None:
        self._cast = cast
        self._actor = cast.actor(name)
        self._writes = writes
        dynamodb, _ = cast.wired(self._actor)
        self._adjustments = Adjustments(dynamodb, cast.stage.tables, self._tries)
        self._products = Products(dynamodb, cast.stage.tables, self._tries)
        self._made = 0

    def __call__(self) -> None:
        """Write all there is to write, in order."""
        for write in self._writes:
            self._actor.wait(max(0.0, write.at - self._actor.world.now))
            self._request(write)

    def _tries(self) -> Iterator[int]:
        for attempt in range(8):
            if attempt:
                self._actor.wait(full_jitter(attempt - 1, self._actor.rng))
            yield attempt

    def _request(self, write: Write) -> None:
        self._made += 1
        key = IdempotencyKey(self._actor.name, str(self._made)) if self._actor.rng.random() < 0.7 else None
        for _ in range(3 if key else 1):
            try:
                stock = self._do(write, key)
            except (AwsError, Contended) as error:
                self._cast.say(self._actor.name, write.what, f"{write.sku}: {error}")
            except (ImsError, Crash) as error:
                self._cast.say(self._actor.name, write.what, f"{write.sku}: {error}")
                return
            else:
                self._cast.say(self._actor.name, write.what, stock)
                if key and write.what not in {"create", "delete"}:
                    self._cast.timeline.append(Answered(key, stock))
                if self._actor.rng.random() < 0.8:
                    return

    def _do(self, write: Write, key: IdempotencyKey | None) -> Any:
        now = datetime.fromtimestamp(self._cast.stage.clock.now, UTC)
        if write.what == "create":
            return self._products.create(
                Product(write.sku, write.sku, Decimal("9.99"), None, None, iso(now), iso(now))
            )
        if write.what == "delete":
            return self._products.delete(write.sku)
        if write.what in {"set", "empty"}:
            units = max(0, write.units) if write.what == "set" else 0
            return self._adjustments.set_quantity(write.sku, units, now, key=key)
        delta = {"adjust": write.units or 1, "one more": 1, "stock": abs(write.units) + 1}[write.what]
        return self._adjustments.adjust(write.sku, Adjustment(delta, "CORRECTION"), now, key)
