"""Bugs in answers: what is sent, when, and how that is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

from chalicelib.consumer import releasing, reserving
from chalicelib.consumer.outbox import Delivery, Outbox
from chalicelib.consumer.publisher import Publisher
from chalicelib.consumer.releasing import Releasing
from chalicelib.consumer.reserving import Reserving
from chalicelib.core import answers
from chalicelib.core.actions import Record
from chalicelib.core.answers import Answer, AnswerType
from chalicelib.core.fields import Outcome
from chalicelib.core.moments import iso
from chalicelib.store.records import expiry, to_item
from chalicelib.store.transactions import OrderStore
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


@MUTATIONS("an answer is marked before it is published")
def _(patch: Patch) -> None:
    def deliver(self: Outbox, what: Any) -> Delivery:
        for answer in what:
            self.store.mark([answer], self.pace.now())
        return self._send(what)

    patch(Outbox, "_deliver", deliver)


@MUTATIONS("an answer in flight is treated as sent")
def _(patch: Patch) -> None:
    patch(Outbox, "collect", lambda self: self.unsent)


@MUTATIONS("a mark overwrites the whole record", 1000)
def _(patch: Patch) -> None:
    commit, mark = OrderStore.commit, OrderStore.mark

    def remember(self: Any, actions: Any, now: Any, known: Any) -> bool:
        remembered = self.__dict__.setdefault("remembered", {})
        remembered |= {
            action.record.order_id: action.record for action in actions if isinstance(action, Record)
        }
        return commit(self, actions, now, known)

    def overwrite(self: Any, what: Any, now: Any) -> int:
        for answer in what:
            record = self.remembered.get(answer.order_id)
            if record is None or record.event != answer.body:
                mark(self, [answer], now)
                continue
            item = to_item(replace(record, published_at=iso(now)), expiry(now, 90))
            self._client.batch_write_item(RequestItems={self._records: [{"PutRequest": {"Item": item}}]})
        return 0

    patch(OrderStore, "commit", remember)
    patch(OrderStore, "mark", overwrite)


@MUTATIONS("a mark sets the other answer's attribute")
def _(patch: Patch) -> None:
    original = OrderStore._mark

    def mark(self: OrderStore, answer: Answer, now: Any) -> Any:
        request = original(self, answer, now)
        swapped = {" published_at": " release_published_at", " release_published_at": " published_at"}
        for right, wrong in swapped.items():
            if f"SET{right} " in request["Statement"]:
                return request | {"Statement": request["Statement"].replace(right, wrong)}
        return request

    patch(OrderStore, "_mark", mark)


@MUTATIONS("an answer is published before the commit")
def _(patch: Patch) -> None:
    settle = Reserving.settle

    class PublishesFirst:
        def __init__(self, reserving: Reserving) -> None:
            self.reserving = reserving

        def __getattr__(self, name: str) -> Any:
            return getattr(self.reserving.store, name)

        def commit(self, actions: Any, now: Any, known: Any) -> bool:
            records = [action.record for action in actions if isinstance(action, Record)]
            self.reserving.outbox.send(list(filter(None, map(answers.owed, records))))
            return self.reserving.store.commit(actions, now, known)

    patch(Reserving, "settle", lambda self, group: settle(replace(self, store=PublishesFirst(self)), group))


@MUTATIONS("a release does not send the first answer", 400)
def _(patch: Patch) -> None:
    patch(Releasing, "_send_first", lambda self, orders: None)


@MUTATIONS("a recorded answer is treated as sent")
def _(patch: Patch) -> None:
    for module in (reserving, releasing):
        patch(module, "owed", lambda record: None)


@MUTATIONS("a release's answer is not sent again")
def _(patch: Patch) -> None:
    original = answers.owed
    for module in (reserving, releasing):
        patch(module, "owed", lambda r: None if r.outcome is Outcome.RELEASED else original(r))


@MUTATIONS("an answer is rebuilt at redelivery")
def _(patch: Patch) -> None:
    original = answers.owed

    def rebuilt(record: Any) -> Answer | None:
        answer = original(record)
        if answer is None:
            return None
        event = json.loads(answer.body) | {"timestamp": "2025-06-15T15:06:41.000Z"}
        return replace(answer, body=json.dumps(event, separators=(",", ":")))

    for module in (reserving, releasing):
        patch(module, "owed", rebuilt)


@MUTATIONS("event_id is random")
def _(patch: Patch) -> None:
    patch(answers, "event_id", lambda order_id, kind: str(uuid4()))


@MUTATIONS("one event_id for all answers of an order")
def _(patch: Patch) -> None:
    original = answers.event_id
    patch(answers, "event_id", lambda order_id, kind: original(order_id, AnswerType.RESERVED))


@MUTATIONS("partial failures of a send are ignored", 400)
def _(patch: Patch) -> None:
    class IgnoresFailures:
        def __init__(self, client: Any) -> None:
            self._client = client

        def send_message_batch(self, **request: Any) -> Any:
            return self._client.send_message_batch(**request) | {"Failed": []}

    original = Publisher.__init__
    patch(
        Publisher,
        "__init__",
        lambda self, client, url: original(self, cast(Any, IgnoresFailures(client)), url),
    )
