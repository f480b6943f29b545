"""Bugs in answers: what is sent, when, and how that is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

from chalicelib.consumer import answers
from chalicelib.consumer.delivery import Delivery, Outbox, Publisher
from chalicelib.consumer.settlers import ReleaseSettler, ReserveSettler
from chalicelib.contracts import events
from chalicelib.domain.reservation import Answer, AnswerType, Outcome, Reservation
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import CreateReservation
from chalicelib.store.items import expiry, reservation_to_item
from chalicelib.store.order_store import OrderStore
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


def _owed() -> Callable[[Reservation], Answer | None]:
    """What `Reservation.owed` computes, unpatched."""
    return Reservation.owed.fget  # type: ignore[attr-defined, no-any-return]


@MUTATIONS("an answer is marked before it is published")
def _(patch: Patch) -> None:
    def deliver(self: Outbox, what: Any) -> Delivery:
        for answer in what:
            self.store.mark_published([answer], self.deadline.now())
        return self._send(what)

    patch(Outbox, "_deliver", deliver)


@MUTATIONS("an answer in flight is treated as sent")
def _(patch: Patch) -> None:
    patch(Outbox, "collect", lambda self: self.unsent)


@MUTATIONS("a mark overwrites the whole record", 1000)
def _(patch: Patch) -> None:
    commit, mark = OrderStore.commit, OrderStore.mark_published

    def remember(self: Any, writes: Any, now: Any, snapshot: Any) -> bool:
        remembered = self.__dict__.setdefault("remembered", {})
        remembered |= {
            write.order_id: write.reservation for write in writes if isinstance(write, CreateReservation)
        }
        return commit(self, writes, now, snapshot)

    def overwrite(self: Any, what: Any, now: Any) -> int:
        for answer in what:
            reservation = self.remembered.get(answer.order_id)
            if reservation is None or reservation.event != answer.body:
                mark(self, [answer], now)
                continue
            item = reservation_to_item(replace(reservation, published_at=iso(now)), expiry(now, 90))
            self._client.batch_write_item(RequestItems={self._records: [{"PutRequest": {"Item": item}}]})
        return 0

    patch(OrderStore, "commit", remember)
    patch(OrderStore, "mark_published", overwrite)


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
    settle = ReserveSettler.settle

    class PublishesFirst:
        def __init__(self, settler: ReserveSettler) -> None:
            self.settler = settler

        def __getattr__(self, name: str) -> Any:
            return getattr(self.settler.store, name)

        def commit(self, writes: Any, now: Any, snapshot: Any) -> bool:
            made = [write.reservation for write in writes if isinstance(write, CreateReservation)]
            self.settler.outbox.send([answer for reservation in made if (answer := reservation.owed)])
            return self.settler.store.commit(writes, now, snapshot)

    patch(
        ReserveSettler, "settle", lambda self, group: settle(replace(self, store=PublishesFirst(self)), group)
    )


@MUTATIONS("a release does not send the first answer", 400)
def _(patch: Patch) -> None:
    patch(ReleaseSettler, "_send_first", lambda self, orders: None)


@MUTATIONS("a recorded answer is treated as sent")
def _(patch: Patch) -> None:
    patch(Reservation, "owed", None)


@MUTATIONS("a release's answer is not sent again")
def _(patch: Patch) -> None:
    original = _owed()
    patch(Reservation, "owed", property(lambda r: None if r.outcome is Outcome.RELEASED else original(r)))


@MUTATIONS("an answer is rebuilt at redelivery")
def _(patch: Patch) -> None:
    original = _owed()

    def rebuilt(reservation: Reservation) -> Answer | None:
        answer = original(reservation)
        if answer is None:
            return None
        event = json.loads(answer.body) | {"timestamp": "2025-06-15T15:06:41.000Z"}
        return replace(answer, body=json.dumps(event, separators=(",", ":")))

    patch(Reservation, "owed", property(rebuilt))


@MUTATIONS("event_id is random")
def _(patch: Patch) -> None:
    patch(answers, "event_id", lambda order_id, event_type: str(uuid4()))


@MUTATIONS("one event_id for all answers of an order")
def _(patch: Patch) -> None:
    patch(answers, "event_id", lambda order_id, event_type: events.event_id(order_id, AnswerType.RESERVED))


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
