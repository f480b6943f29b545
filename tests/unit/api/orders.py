"""What makes orders on the stage of the API's tests: the OMS by messages, and the end of holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.delivery import Publisher, Relay
from chalicelib.consumer.inbox import Message
from chalicelib.consumer.report import Report
from chalicelib.domain.commands import due_change
from chalicelib.services.change_settler import ChangeSettler
from chalicelib.services.settler import Hints
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore
from tests.support.deadlines import after, at
from tests.support.engines import FakeStage
from tests.support.executors import ImmediateExecutor
from tests.support.invariants import State, check
from tests.support.messages import text

STOCK = {"A": 10, "B": 10, "C": 0}


def in_(**span: float) -> str:
    """The time that is so far ahead."""
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


class Oms:
    """Sends messages to a consumer, and sees the answers in its queue."""

    def __init__(self, stage: FakeStage) -> None:
        self.stage = stage
        self.sent: list[str] = []
        store, outbox = OrderStore(stage.dynamodb, stage.tables), OutboxStore(stage.dynamodb, stage.tables)
        publisher = Publisher(stage.sqs, stage.oms_queue_url)
        self.consumer = Consumer(store, outbox, publisher, stage.tables.record_ttl_days, ImmediateExecutor())

    def send(self, *bodies: Mapping[str, Any], ago: timedelta = timedelta()) -> None:
        """Have messages settled, as if it were `ago`; each has to be done."""
        then = datetime.now(UTC) - ago
        messages = [
            Message(f"m{number}", text({**body, "timestamp": then.isoformat()}), 0, 1)
            for number, body in enumerate(bodies)
        ]
        assert self.consumer.settle(messages, replace(after(60), now=lambda: then)) == set()
        self.sent += [message.body for message in messages]

    def end_hold(self, order_id: str, **ahead: float) -> None:
        """Do what the sweep of holds does when it finds the order due, so far ahead."""
        deadline = at(datetime.now(UTC) + timedelta(**ahead))
        consumer = self.consumer
        relay = Relay(consumer.publisher, consumer.outbox, deadline, Report(), consumer.executor)
        settler = ChangeSettler(consumer.store, relay, Hints(), deadline, Report())
        assert settler.run({order_id: [due_change(order_id)]}) == set()

    @property
    def answers(self) -> list[dict[str, Any]]:
        """All answers that it received, repeats included."""
        return [json.loads(sent.body) for sent in self.stage.sqs.history]

    def check(self, initial: Mapping[str, int] = STOCK) -> None:
        """Check the invariants."""
        tables = self.stage.dynamodb.snapshot()
        names = self.stage.tables
        state = State(
            inventory=list(tables[names.inventory_table].values()),
            records=list(tables[names.processed_events_table].values()),
            answers=[sent.body for sent in self.stage.sqs.history],
            sent=self.sent,
            outbox=list(tables[names.outbox_table].values()),
        )
        check(state, initial)
