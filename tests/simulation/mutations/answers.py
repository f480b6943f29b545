"""Bugs in answers: what they say, and when they are sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.delivery import Publisher
from chalicelib.contracts import events
from chalicelib.domain import changes, rulings
from chalicelib.domain.commands import ChangeType
from chalicelib.domain.reservation import AnswerType, Reservation
from chalicelib.domain.writes import RecordReservation
from chalicelib.services import answers, demand_settler
from chalicelib.services.demand_settler import DemandSettler
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


@MUTATIONS("an answer is published before the commit")
def _(patch: Patch) -> None:
    settle = DemandSettler.settle

    class PublishesFirst:
        def __init__(self, settler: DemandSettler) -> None:
            self.settler = settler

        def __getattr__(self, name: str) -> Any:
            return getattr(self.settler.store, name)

        def commit(self, writes: Any, *args: Any) -> bool:
            records = [write for write in writes if isinstance(write, RecordReservation)]
            sent = [answer for write in records for answer in write.newly_queued]
            cast(Any, self.settler.outlet).publisher.publish(sent[:10], self.settler.deadline)
            return self.settler.store.commit(writes, *args)

    patch(
        DemandSettler,
        "settle",
        lambda self, group: settle(replace(self, store=cast(Any, PublishesFirst(self))), group),
    )


@MUTATIONS("the sweep makes an answer anew")
def _(patch: Patch) -> None:
    original = Reservation.answers.fget  # type: ignore[attr-defined]

    def rebuilt(reservation: Reservation) -> Any:
        return [
            replace(answer, body=json.dumps(json.loads(answer.body) | {"timestamp": "2025-06-15T15:06:41Z"}))
            for answer in original(reservation)
        ]

    patch(Reservation, "answers", property(rebuilt))


@MUTATIONS("event_id is random")
def _(patch: Patch) -> None:
    patch(answers, "event_id", lambda *_: str(uuid4()))


@MUTATIONS("one event_id for all answers of an order")
def _(patch: Patch) -> None:
    patch(answers, "event_id", lambda order_id, *_: events.event_id(order_id, AnswerType.RESERVED))


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


@MUTATIONS("a message fails because its answer could not be sent", 400)
def _(patch: Patch) -> None:
    original = Consumer.settle

    class Notes:
        def __init__(self) -> None:
            self.unsent: set[str] = set()

        def owed(self, why: Any) -> None:
            self.unsent |= {reference.order_id for reference in why}

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    def settle(self: Consumer, messages: Any, deadline: Any) -> set[str]:
        notes = Notes()
        failed = original(replace(self, report=cast(Any, notes)), messages, deadline)
        return failed | {m.id for m in messages if any(f'"{order}"' in m.body for order in notes.unsent)}

    patch(Consumer, "settle", settle)


@MUTATIONS("a release's answer is owed by nobody")
def _(patch: Patch) -> None:
    original = rulings.recorded

    def recorded(ruling: Any, rules: Any) -> Any:
        released = ruling.command.type is ChangeType.RELEASE
        return original(ruling, replace(rules, queue=False) if released else rules)

    patch(changes, "recorded", recorded)


@MUTATIONS("what version 1.1 did not send is not queued", 400)
def _(patch: Patch) -> None:
    patch(demand_settler, "queue_writes", lambda records, change: [])
    patch(Reservation, "all_queued", lambda self: self)


@MUTATIONS("releases before reservations leave their answers to the sweep", 400, first=1300)
def _(patch: Patch) -> None:
    patch(Deadline, "early", lambda self: replace(self, margin=self.margin * 1.5))
