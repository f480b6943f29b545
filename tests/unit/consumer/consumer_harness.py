"""A consumer on in-memory services, whose calls are counted and can fail, with faults for them."""

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

from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.delivery import Publisher
from chalicelib.consumer.holds import HoldSweep
from chalicelib.consumer.inbox import Message
from chalicelib.consumer.sweep import Sweep
from chalicelib.services.orders import Orders
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore
from tests.support.engines import Crash, FakeStage, Network, fake_stage
from tests.support.engines.errors import Refusal
from tests.support.engines.faults import crash_before
from tests.support.engines.network import Call, Fault
from tests.support.executors import ImmediateExecutor
from tests.support.invariants import State, check, check_transaction
from tests.support.messages import reserve, text

LIMIT_SECONDS = 60.0
MARGIN_SECONDS = 10.0
TRANSACT, SEND, REMOVE, NARROW, READ, QUERY = (
    "transact_write_items",
    "send_message_batch",
    "delete_item",
    "update_item",
    "batch_get_item",
    "query",
)
FOREVER = 100_000
"""More faults than any test has calls."""
HAPPY_PATH = [TRANSACT, SEND, REMOVE]
"""The calls of a batch without faults."""


@dataclass
class CallScript:
    """Faults for the next calls of each operation, None for a call without one.

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


class ConsumerHarness:
    """Stock, a consumer and the OMS's queue; `settle` hands messages to the consumer."""

    def __init__(self, stock: Mapping[str, int] | None = None, **options: Any) -> None:
        self.stage = fake_stage(**options)
        self.script = CallScript(self.stage)
        self.initial = dict(stock or {})
        self.sent: list[str] = []
        self.dead: list[str] = []
        self.consumer = self.new_consumer()
        self._messages = 0
        for sku, units in self.initial.items():
            self.set_stock(sku, units)

    def new_consumer(self, executor: Executor | None = None) -> Consumer:
        """A consumer as in a new process; it has no threads but those of `executor`."""
        network = Network(self.script)
        store = OrderStore(network.client(self.stage.dynamodb), self.stage.tables)
        outbox = OutboxStore(network.client(self.stage.dynamodb), self.stage.tables)
        publisher = Publisher(network.client(self.stage.sqs), self.stage.oms_queue_url)
        days, executor = self.stage.tables.record_ttl_days, executor or ImmediateExecutor()
        return Consumer(store, outbox, publisher, days, executor)

    def deadline(self, seconds: float = LIMIT_SECONDS) -> Deadline:
        """The deadline of an invocation with this time limit."""
        clock, end = self.stage.clock, self.stage.clock.now + seconds
        return Deadline(
            remaining=lambda: end - clock.now,
            margin=min(MARGIN_SECONDS, seconds / 2),
            early_margin=min(MARGIN_SECONDS, seconds / 2) * 1.5,
            now=lambda: datetime.fromtimestamp(clock.now, UTC),
            sleep=clock.advance,
            rng=Random(7),
        )

    def fail(self, operation: str, *faults: Fault | None) -> None:
        """Let the next calls of an operation meet `faults`, one each."""
        self.script.faults.setdefault(operation, []).extend(faults)

    def message(self, body: Any, *, receives: int = 1) -> Message:
        """One delivery; its id counts from m0."""
        body = body if isinstance(body, str) else text(body)
        message = Message(f"m{self._messages}", body, int(self.stage.clock.now * 1000), receives)
        self._messages += 1
        return message

    def settle(self, *bodies: Any, receives: int = 1, seconds: float = LIMIT_SECONDS) -> list[int]:
        """Hand over one batch; returns the positions of the failed messages."""
        return self.deliver([self.message(body, receives=receives) for body in bodies], seconds)

    def crash_before_call(self, operation: str, *bodies: Any) -> None:
        """Hand over a batch; the process crashes before its next call of `operation`."""
        self.fail(operation, crash_before)
        with pytest.raises(Crash):
            self.settle(*bodies)

    def deliver(self, messages: list[Message], seconds: float = LIMIT_SECONDS) -> list[int]:
        """Hand over messages as they are; returns the positions of the failed ones."""
        self.script.calls.clear()
        failed = self.consumer.settle(messages, self.deadline(seconds))
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
        """All answers that the OMS received, repeats included."""
        return [json.loads(sent.body) for sent in self.stage.sqs.history]

    def answer(self, order_id: str) -> dict[str, Any]:
        """The one answer to an order."""
        (only,) = [answer for answer in self.answers if answer["order_id"] == order_id]
        return only

    def answer_types(self) -> dict[str, list[str]]:
        """The types of the answers by order, in order of sending."""
        types: dict[str, list[str]] = {}
        for answer in self.answers:
            types.setdefault(answer["order_id"], []).append(answer["type"].removeprefix("Inventory"))
        return types

    @property
    def stock(self) -> dict[str, int]:
        table = self.stage.dynamodb.snapshot()[self.stage.tables.inventory_table]
        return {sku: int(item["quantity"]["N"]) for sku, item in table.items()}

    def record(self, order_id: str) -> dict[str, Any] | None:
        """An order's record as it is stored."""
        records: dict[str, dict[str, Any]] = self.stage.dynamodb.snapshot()[
            self.stage.tables.processed_events_table
        ]
        return records.get(order_id)

    def set_stock(self, sku: str, units: int, *, reserved: int | None = None) -> None:
        """Set stock without the consumer; a test that calls `check` puts the change into `initial`, too."""
        item = {"sku": {"S": sku}, "quantity": {"N": str(units)}, "updated_at": {"S": "…"}}
        if reserved is not None:
            item["reserved"] = {"N": str(reserved)}
        self.stage.dynamodb.put_item(TableName=self.stage.tables.inventory_table, Item=item)

    @property
    def reserved(self) -> dict[str, int]:
        """What is reserved of each SKU of which anything was ever reserved."""
        table = self.stage.dynamodb.snapshot()[self.stage.tables.inventory_table]
        return {sku: int(item["reserved"]["N"]) for sku, item in table.items() if "reserved" in item}

    @property
    def outbox(self) -> list[set[str]]:
        """The references in each item of the outbox."""
        items = self.stage.dynamodb.snapshot()[self.stage.tables.outbox_table].values()
        return [set(item.get("owed", {"SS": []})["SS"]) for item in items]

    def sweep(self, *, after: float = 31, seconds: float = LIMIT_SECONDS) -> None:
        """Let `after` seconds pass, and sweep the outbox."""
        self.stage.clock.advance(after)
        self.script.calls.clear()
        consumer = self.consumer
        Sweep(consumer.store, consumer.outbox, consumer.publisher, consumer.executor).run(
            self.deadline(seconds)
        )

    def end_holds(self, *, after: float = 0.0, seconds: float = LIMIT_SECONDS) -> None:
        """Let `after` seconds pass, and sweep the holds."""
        self.stage.clock.advance(after)
        self.script.calls.clear()
        consumer = self.consumer
        HoldSweep(
            consumer.store, consumer.outbox, consumer.publisher, consumer.executor, consumer.report
        ).run(self.deadline(seconds))

    @property
    def orders(self) -> Orders:
        """The calls over REST."""
        return Orders(self.consumer.store, self.consumer.aging)

    def check(self) -> None:
        """Check the invariants on all settled messages."""
        tables = self.stage.dynamodb.snapshot()
        check(
            State(
                inventory=list(tables[self.stage.tables.inventory_table].values()),
                records=list(tables[self.stage.tables.processed_events_table].values()),
                answers=[sent.body for sent in self.stage.sqs.history],
                sent=self.sent,
                dead=self.dead,
                outbox=list(tables[self.stage.tables.outbox_table].values()),
            ),
            self.initial,
        )


def as_version_1_1(harness: ConsumerHarness, order_id: str, *, marked: bool = True) -> None:
    """Give an order's record, and the stock of its SKUs, the form of version 1.1.

    `marked`: its answers have the mark of being sent.
    """
    record = harness.record(order_id)
    assert record is not None
    held = record.pop("held", {"M": {}})["M"]
    del record["change"]
    record["ttl"] = {"N": "2000000000"}
    for operation in record.pop("operations", {"L": []})["L"]:
        record["release_event"] = operation["M"]["event"]
    if marked:
        record["published_at"] = {"S": "then"}
        record["release_published_at"] = {"S": "then"}
    harness.stage.dynamodb.put_item(TableName=harness.stage.tables.processed_events_table, Item=record)
    for sku, units in held.items():
        harness.stage.dynamodb.update_item(
            TableName=harness.stage.tables.inventory_table,
            Key={"sku": {"S": sku}},
            UpdateExpression="ADD reserved :units",
            ExpressionAttributeValues={":units": {"N": f"-{units['N']}"}},
        )


def orders(count: int, **items: int) -> list[dict[str, Any]]:
    return [reserve(f"o{n}", items) for n in range(count)]


def refused(code: str) -> Fault:
    def fault(call: Call) -> Any:
        raise call.refuse(Refusal(code, "no"))

    return fault


def names(call: Call) -> set[str]:
    """The SKUs and orders in a transaction."""
    found = set()
    for action in call.parameters["TransactItems"]:
        ((_, request),) = action.items()
        key = request.get("Key") or request["Item"]
        found |= {key[name]["S"] for name in ("sku", "order_id") if name in key}
    return found


def if_it_names(name: str, fault: Fault) -> Fault:
    """`fault` for transactions that name this SKU or order."""
    return lambda call: fault(call) if name in names(call) else call.proceed()


def sent_batches(harness: ConsumerHarness) -> list[list[str]]:
    return [
        [entry["MessageBody"] for entry in call.parameters["Entries"]]
        for call in harness.script.calls
        if call.operation == SEND
    ]
