"""A consumer on in-memory services, whose calls can be counted and let go wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.pace import Pace
from chalicelib.consumer.publisher import Publisher
from chalicelib.core.inbox import Message
from chalicelib.store.transactions import OrderStore
from tests.support.engines import Crash, FakeStage, Network, fake_stage
from tests.support.engines.faults import crash_before
from tests.support.engines.network import Call, Fault
from tests.support.executors import AtOnce
from tests.support.invariants import State, check, check_transaction
from tests.support.messages import text

LIMIT_SECONDS = 60.0
RESERVE_SECONDS = 10.0
TRANSACT, SEND, MARK, READ = (
    "transact_write_items",
    "send_message_batch",
    "batch_execute_statement",
    "batch_get_item",
)
HAPPY = [TRANSACT, SEND, MARK]
"""The calls of a batch that goes well."""


@dataclass
class Script:
    """Faults for the next calls of each operation, None for a call that goes well.

    Each call takes `seconds`; `calls` has them all, `errors` those that raised.
    """

    stage: FakeStage
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def before(self, call: Call) -> Fault | None:
        self.calls.append(call)
        self.stage.clock.advance(self.seconds)
        waiting = self.faults.get(call.operation)
        return waiting.pop(0) if waiting else None

    def after(self, call: Call, result: Any) -> None:
        if isinstance(result, BaseException):
            self.errors.append(result)
        elif call.operation == TRANSACT:
            check_transaction(call.parameters["TransactItems"])


class Shop:
    """Stock, a consumer and the OMS; every message goes in by `settle`."""

    def __init__(self, stock: Mapping[str, int] | None = None, **options: Any) -> None:
        self.stage = fake_stage(**options)
        self.script = Script(self.stage)
        self.initial = dict(stock or {})
        self.sent: list[str] = []
        self.dead: list[str] = []
        self.consumer = self.new_consumer()
        self._messages = 0
        for sku, units in self.initial.items():
            self.set_stock(sku, units)

    def new_consumer(self, executor: Executor | None = None) -> Consumer:
        """A consumer as a fresh process has it, without threads but for those of `executor`."""
        network = Network(self.script)
        store = OrderStore(network.client(self.stage.dynamodb), self.stage.tables)
        publisher = Publisher(network.client(self.stage.sqs), self.stage.oms_queue_url)
        return Consumer(store, publisher, self.stage.tables.record_ttl_days, executor or AtOnce())

    def pace(self, seconds: float = LIMIT_SECONDS) -> Pace:
        """The pace of an invocation that may take so many seconds."""
        clock, end = self.stage.clock, self.stage.clock.now + seconds
        return Pace(
            remaining=lambda: end - clock.now,
            reserve=min(RESERVE_SECONDS, seconds / 2),
            now=lambda: datetime.fromtimestamp(clock.now, UTC),
            sleep=clock.advance,
            rng=Random(7),
        )

    def fail(self, operation: str, *faults: Fault | None) -> None:
        """Let the next calls of an operation go wrong, one fault each."""
        self.script.faults.setdefault(operation, []).extend(faults)

    def message(self, body: Any, *, receives: int = 1) -> Message:
        """One delivery; its id counts from m0."""
        body = body if isinstance(body, str) else text(body)
        message = Message(f"m{self._messages}", body, int(self.stage.clock.now * 1000), receives)
        self._messages += 1
        return message

    def settle(self, *bodies: Any, receives: int = 1, seconds: float = LIMIT_SECONDS) -> list[int]:
        """Hand over one batch; returns the positions of the messages that failed."""
        return self.deliver([self.message(body, receives=receives) for body in bodies], seconds)

    def die_before(self, operation: str, *bodies: Any) -> None:
        """Hand over a batch whose process dies before its next call of an operation."""
        self.fail(operation, crash_before)
        with pytest.raises(Crash):
            self.settle(*bodies)

    def deliver(self, messages: list[Message], seconds: float = LIMIT_SECONDS) -> list[int]:
        """Hand over messages as they are; returns the positions of those that failed."""
        self.script.calls.clear()
        failed = self.consumer.settle(messages, self.pace(seconds))
        assert failed <= {message.id for message in messages}
        self.sent += [message.body for message in messages if message.id not in failed]
        return [number for number, message in enumerate(messages) if message.id in failed]

    @property
    def calls(self) -> list[str]:
        """The operations of the last batch, in order."""
        return [call.operation for call in self.script.calls]

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.calls)

    @property
    def answers(self) -> list[dict[str, Any]]:
        """All that the OMS got, repeats included."""
        return [json.loads(sent.body) for sent in self.stage.sqs.history]

    def answer(self, order_id: str) -> dict[str, Any]:
        """The one answer to an order."""
        (only,) = [answer for answer in self.answers if answer["order_id"] == order_id]
        return only

    def told(self) -> dict[str, list[str]]:
        """The types of the answers by order, in order of sending."""
        told: dict[str, list[str]] = {}
        for answer in self.answers:
            told.setdefault(answer["order_id"], []).append(answer["type"].removeprefix("Inventory"))
        return told

    @property
    def stock(self) -> dict[str, int]:
        table = self.stage.dynamodb.snapshot()[self.stage.tables.inventory_table]
        return {sku: int(item["quantity"]["N"]) for sku, item in table.items()}

    def record(self, order_id: str) -> dict[str, Any] | None:
        """An order's record as it is stored."""
        return self.stage.dynamodb.snapshot()[self.stage.tables.processed_events_table].get(order_id)

    def set_stock(self, sku: str, units: int) -> None:
        """Stock as somebody sets it, past the consumer; to be told of in `initial` if `check` is to agree."""
        item = {"sku": {"S": sku}, "quantity": {"N": str(units)}, "updated_at": {"S": "…"}}
        self.stage.dynamodb.put_item(TableName=self.stage.tables.inventory_table, Item=item)

    def check(self) -> None:
        """Check the invariants on all that was settled."""
        tables = self.stage.dynamodb.snapshot()
        check(
            State(
                inventory=list(tables[self.stage.tables.inventory_table].values()),
                records=list(tables[self.stage.tables.processed_events_table].values()),
                answers=[sent.body for sent in self.stage.sqs.history],
                sent=self.sent,
                dead=self.dead,
            ),
            self.initial,
        )
