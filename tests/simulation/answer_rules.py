"""Follows the outbox and the OMS's queue through a history, and checks what is owed and sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from tests.simulation.ledger import is_old
from tests.simulation.order_rules import Broken
from tests.simulation.records import RELEASE, Record, answers, first, order_of, outcome, text, unqueued
from tests.simulation.requests import INVALID, Requests
from tests.support.engines.sqs import Sent
from tests.support.engines.tables import Change

# Part of the contract with the OMS: an order's answers have the same ids whoever sends them.
NAMESPACE = UUID("6f0c2a52-4f1e-4b0e-9d0c-3a8f5f6f3c11")
_FULL = "TOO_MANY_OPERATIONS"

ANSWERED = "3 answered or dead"
RECORDED = "4 answers are recorded"


@dataclass
class AnswerRules:
    """`outbox` is what is owed, by commit; `sent` are the texts of answers, by their names."""

    requests: Requests
    records: Mapping[str, Record]
    outbox: dict[str, set[str]] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)

    def apply(self, change: Change) -> set[str]:
        """Apply a change of the outbox; returns the names that it took out."""
        before = self.outbox.pop(change.key, set())
        after = set(change.after.get("owed", {"SS": ()})["SS"]) if change.after else set()
        if change.after is not None:
            self.outbox[change.key] = after
        return before - after

    @property
    def owed(self) -> set[str]:
        """The names of all answers that the outbox owes."""
        return set().union(*self.outbox.values())

    def provided(self, name: str) -> bool:
        """Whether an answer is sent, or owed."""
        return name in self.sent or name in self.owed

    def check_commit(
        self, orders: Iterable[tuple[Record | None, Record | None]], gone: Iterable[str], change: str | None
    ) -> None:
        """Check what records claim of their answers, and that what is `gone` from the outbox was sent."""
        for before, after in orders:
            if after is not None:
                self._check_claimed(before, after)
        for name in gone:
            if name not in self.sent:
                raise Broken(ANSWERED, f"the outbox does not owe the answer {name!r} any more, never sent")
        for name in self.outbox.get(change or "", ()):
            self._check_known(name)

    def _check_claimed(self, before: Record | None, after: Record) -> None:
        """Check that what a record claims of its answers is true, and that somebody asked for it."""
        claimed = answers(after).keys() - unqueued(after)
        claimed_before = answers(before).keys() - unqueued(before) if before else set()
        for name in claimed:
            if not self.provided(name):
                raise Broken(ANSWERED, f"nobody owes the answer {name!r}")
            ours = "change" in (before or after) and not is_old(before, after)
            rejected = outcome(after) == "REJECTED"
            asked = self.requests.by_message(name, rejected=rejected)
            if ours and name not in claimed_before and not asked:
                raise Broken(ANSWERED, f"the answer {name!r} was queued, though no message asks for it")

    def _check_known(self, name: str) -> None:
        """Check that what the outbox owes is on record, or refused by an order that takes no more."""
        order_id, *more = name.split("\n")
        record = self.records.get(order_id)
        if record is None or (len(more) < 2 and name not in answers(record)):
            raise Broken(RECORDED, f"{name!r} is owed, but on no record")
        if len(more) == 2:
            self._check_refused(record, more[0], more[1])

    def _check_refused(self, record: Record, id_: str, kind: str) -> None:
        order_id = record["order_id"]["S"]
        name = f"{order_id}\n{id_}"
        if "full_at" not in record or name in answers(record) or not self.requests.by_message(name):
            raise Broken(RECORDED, f"{kind} {id_} of {order_id} was refused as one too many, wrongly")

    def receive(self, sent: Sent) -> None:
        """Check an answer that was sent."""
        event = json.loads(sent.body)
        order_id, kind = event["order_id"], event["type"]
        record = self.records.get(order_id) or {"order_id": {"S": ""}}
        known = next((name for name, body in answers(record).items() if body == sent.body), None)
        name = known or self._beyond(event, record)
        if sent.attributes.get("type", {}).get("StringValue") != kind:
            raise Broken(RECORDED, f"the attribute of an answer has another type: {sent.attributes}")
        rejected = kind == "InventoryReservationFailed"
        if name == first(order_id) and (outcome(record) == "REJECTED") is not rejected:
            raise Broken(RECORDED, f"{order_id} is {outcome(record)}, but was answered {kind}")
        if known and event["event_id"] != _event_id(kind, name):
            raise Broken(ANSWERED, f"the event_id of {name!r} is wrong: {event['event_id']}")
        if self.sent.setdefault(name, sent.body) != sent.body:
            raise Broken(ANSWERED, f"{name!r} was answered twice, differently")

    def _beyond(self, event: Mapping[str, Any], record: Record) -> str:
        """The name of an answer that is on no record, since its order takes no more operations."""
        wrong = Broken(RECORDED, f"an answer was sent that is not recorded: {event}")
        if event.get("reason") != _FULL or event["timestamp"] != text(record, "full_at"):
            raise wrong
        order_id, kind = record["order_id"]["S"], event["operation"]
        for asked in self.requests.changes[order_id]:
            id_ = event.get("operation_id")
            if asked.type == kind and asked.id == id_ and id_ is not None:
                self._check_refused(record, id_, kind)
                if event["event_id"] != _event_id(event["type"], f"{order_id}\n{id_}"):
                    raise Broken(ANSWERED, f"the event_id of {event} is wrong")
                return f"{order_id}\n{id_}\n{kind}"
        for name in self.owed | self.sent.keys():  # an invalid message without a usable id
            ours = name.startswith(f"{order_id}\n{INVALID}") and name.count("\n") == 2
            if ours and event["event_id"] == _event_id(event["type"], name.rpartition("\n")[0]):
                return name
        raise wrong

    def unsent(self, gone: set[str]) -> str | None:
        """What is wrong at the end, when everything must be sent but of orders that are `gone`."""
        known = {name for record in self.records.values() for name in answers(record)}
        full = {name for name in self.owed if name.count("\n") == 2 and order_of(name) in self.records}
        if left := sorted(self.owed & (known | full)):
            return f"the outbox still owes the answers {left}"
        for order_id, record in self.records.items():
            for name in answers(record):
                if name not in self.sent and name not in unqueued(record):
                    return f"an answer of {order_id} was never sent: {name!r}"
        return None


def _event_id(kind: str, name: str) -> str:
    order_id, _, id_ = name.partition("\n")
    return str(uuid5(NAMESPACE, f"{kind}:{order_id}" if id_ in {"", RELEASE} else f"{kind}:{name}"))
