"""What the actors of a history share, the OMS, and the writers over REST."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from chalicelib.domain.stock import Adjustment, Count, IdempotencyKey, Product
from chalicelib.domain.timestamps import iso
from chalicelib.errors import AwsError, Contended, ImsError, Unavailable
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.product_store import ProductStore
from chalicelib.store.stock_store import StockStore
from tests.simulation.adversary import Adversary
from tests.simulation.life import LATER
from tests.simulation.messages import OmsMessage
from tests.simulation.network import LogLine, SimulatedNetwork
from tests.simulation.records import is_open, order_of, seconds, text
from tests.simulation.scenario import CALM_SECONDS, Scenario, Write
from tests.simulation.scheduler import Actor, Scheduler
from tests.simulation.timeline import Responded, Timeline
from tests.support.deadlines import endless
from tests.support.engines import FakeStage, Queue
from tests.support.engines.network import Crash, Network


@dataclass
class Simulation:
    """What the actors of one history share."""

    scenario: Scenario
    scheduler: Scheduler
    stage: FakeStage
    timeline: Timeline
    log: list[LogLine] = field(default_factory=list)
    message_numbers: dict[str, int] = field(default_factory=dict)
    consumers: int = 0
    """How many consumers, and others who change orders, still work."""
    hold_sweeps: int = 0
    """How many of those who end holds still work."""
    later: bool = False
    """Whether records have expired."""

    @property
    def threads(self) -> int:
        """How many threads a function has."""
        return self.scenario.rng("threads").choice((1, 2, 4))

    @property
    def inventory(self) -> Queue:
        """The queue that the consumers work on."""
        queue: Queue = self.stage.sqs.find(self.stage.inventory_queue_url)
        return queue

    @property
    def at_peace(self) -> bool:
        """Whether everything works, and no consumer is left that could send an answer."""
        scenario = self.scenario
        calm_at = max(scenario.chaos_until + CALM_SECONDS, scenario.away[1])
        return not self.consumers and self.scheduler.now >= calm_at

    @property
    def coming(self) -> list[OmsMessage]:
        """The messages that the OMS will send, before records expire or after that."""
        left = self.scenario.messages[len(self.message_numbers) :]
        return [message for message in left if self.later or message.at < LATER]

    def due(self, within: float) -> bool:
        """Whether an order is due within so many seconds."""
        until = self.stage.clock.now + within
        records = self.stage.dynamodb.tables[self.stage.tables.processed_events_table].items.values()
        due = (text(record, "due_at") for record in records if is_open(record))
        return any(due_at is not None and seconds(due_at) <= until for due_at in due)

    @property
    def owed(self) -> bool:
        """Whether the outbox owes an answer, or may still come to do so."""
        if not self.at_peace or self.hold_sweeps:
            return True
        tables, names = self.stage.dynamodb.tables, self.stage.tables
        records = tables[names.processed_events_table].items
        items = tables[names.outbox_table].items.values()
        owed = {name for item in items for name in item.get("owed", {"SS": ()})["SS"]}
        return any("owed" not in item for item in items) or any(order_of(name) in records for name in owed)

    @property
    def outbox_size(self) -> int:
        """How many answers the outbox owes, and how many items it has."""
        items = self.stage.dynamodb.tables[self.stage.tables.outbox_table].items.values()
        return sum(1 + len(item.get("owed", {"SS": ()})["SS"]) for item in items)

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
    first = len(simulation.message_numbers)
    for number, message in enumerate(simulation.coming, first):

        def send(number: int = number, body: str = message.text) -> None:
            response = simulation.stage.sqs.send_message(
                QueueUrl=simulation.stage.inventory_queue_url, MessageBody=body
            )
            simulation.message_numbers[response["MessageId"]] = number
            simulation.log_action("oms", "sends", number)

        simulation.scheduler.call_at(message.at, send)


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
        if write.kind == "count":
            count = Count(write.units, reference=f"counted {write.units}")
            return self._changes.count(write.sku, count, deadline, key)
        delta = {"adjust": write.units or 1, "one more": 1, "stock": abs(write.units) + 1}[write.kind]
        return self._changes.adjust(write.sku, Adjustment(delta, "CORRECTION"), deadline, key)
