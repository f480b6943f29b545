"""What must hold at every point of a history: the promises of the design.

It parses stored items and messages itself, without the code that wrote them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from uuid import UUID, uuid5

from tests.simulation.records import Record, answers, first, items, order_of, outcome, release, unqueued
from tests.simulation.scenario import Scenario
from tests.simulation.timeline import Entry, Responded, Settled
from tests.support.engines.sqs import Sent
from tests.support.engines.tables import Change, Commit

# Part of the contract with the OMS: an order's answers have the same ids whoever sends them.
NAMESPACE = UUID("6f0c2a52-4f1e-4b0e-9d0c-3a8f5f6f3c11")
_FIRST = {"RESERVED": "InventoryReserved", "REJECTED": "InventoryReservationFailed"}
_NO_RECORD: Record = {"order_id": {"S": ""}}
_KEPT = ("order_id", "customer_id", "items", "event", "created_at")

STOCK = "1 stock adds up"
RECORD = "2 one record per order"
ANSWERED = "3 answered or dead"
RECORDED = "4 answers are recorded"
REJECTIONS = "5 rejections are true"
IDEMPOTENT = "6 REST requests are idempotent"


@dataclass(frozen=True, slots=True)
class Violation:
    """Which invariant does not hold, how, and at which entry of the timeline (or after the last)."""

    invariant: str
    how: str
    entry: int


class _InvariantBroken(Exception):
    def __init__(self, invariant: str, how: str) -> None:
        super().__init__(how)
        self.invariant = invariant


def check(scenario: Scenario, timeline: Iterable[Entry], dead: set[int]) -> Violation | None:
    """The first violation in a timeline; `dead` are the numbers of the messages that ended in the DLQ."""
    checker = StateChecker(scenario)
    number = 0
    try:
        for entry in timeline:
            checker.apply(entry)
            number += 1
        checker.finish(dead)
    except _InvariantBroken as broken:
        return Violation(broken.invariant, str(broken), number)
    return None


def _violate(invariant: str, how: str) -> NoReturn:
    raise _InvariantBroken(invariant, how)


@dataclass
class StateChecker:
    """Follows a timeline: the stored state after each entry, and what it should be."""

    scenario: Scenario
    stock: dict[str, int | None] = field(default_factory=dict)
    products: set[str] = field(default_factory=set)
    expected_stock: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    records: dict[str, Record] = field(default_factory=dict)
    outbox: dict[str, set[str]] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    bodies: dict[tuple[str, str], str] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    responses: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.requested: defaultdict[str, list[Any]] = defaultdict(list)
        for message in self.scenario.messages:
            if not message.poison:
                wanted = self.requested[message.order_id]
                wanted.append((message.kind, dict(message.items) if message.kind == "reserve" else {}))
                if message.old and message.items:  # version 1.1 took one SKU more
                    wanted.append(("reserve", dict(message.items)))

    def apply(self, entry: Entry) -> None:
        """Check and apply the next entry."""
        match entry:
            case Commit():
                self._commit(entry)
            case Sent(queue="OMS-OrderEventsQueue"):
                self._sent(entry)
            case Settled(messages, failed):
                for number in messages:
                    self._settled(number)
                for number in failed:
                    if self._must_succeed(number):
                        _violate(ANSWERED, f"message {number} failed, though nothing was in its way")
            case Responded(key, response):
                if self.responses.setdefault(key, response) != response:
                    _violate(IDEMPOTENT, f"{key}: first {self.responses[key]}, then {response}")

    def finish(self, dead: set[int]) -> None:
        """Check what must hold at the end."""
        for number, message in enumerate(self.scenario.messages):
            if message.poison and (number not in dead or number in self.settled):
                _violate(ANSWERED, f"message {number} is poison, but was reported as settled")
            if number not in dead and number not in self.settled:
                _violate(ANSWERED, f"message {number} was lost")
            if number in dead and self._must_succeed(number):
                _violate(ANSWERED, f"message {number} is dead, though nothing delayed it")
        recorded = {name for record in self.records.values() for name in answers(record)}
        if left := sorted(self._owed & recorded):
            _violate(ANSWERED, f"the outbox still owes the answers {left}")
        for order_id, record in self.records.items():
            for name, body in answers(record).items():
                if body not in self.sent and name not in unqueued(record):
                    _violate(ANSWERED, f"an answer of {order_id} was never sent: {name!r}")

    def _must_succeed(self, number: int) -> bool:
        """Whether nothing delays a message; an OMS queue that is away must not."""
        message = self.scenario.messages[number]
        unanswerable = message.poison or message.order_id == self.scenario.refused_order
        return self.scenario.undisturbed and not unanswerable

    def _commit(self, commit: Commit) -> None:
        changed_records: list[tuple[Record | None, Record]] = []
        touched: dict[str, None] = {}
        gone: set[str] = set()
        for change in commit.changes:
            if change.table == "InventoryTable":
                self.stock[change.key] = int(change.after["quantity"]["N"]) if change.after else None
                touched[change.key] = None
            elif change.table == "ProductTable":
                (self.products.add if change.after else self.products.discard)(change.key)
                touched[change.key] = None
            elif change.table == "OutboxTable":
                gone |= self._outbox(change)
            elif change.key.startswith("adjustment#"):
                self._adjustment(change)
            else:
                changed_records.append(self._record(change))
        for before, after in changed_records:
            self._effect(before, after)
            self._check_claimed(after)
        for name in gone:
            self._check_sent(name)
        for sku in touched:
            if (self.stock.get(sku) is not None) is not (sku in self.products):
                _violate(STOCK, f"{sku} has stock without being a product, or a product without stock")
        for sku in touched.keys() | self._moved(changed_records):
            quantity = self.stock.get(sku) or 0
            if quantity != self.expected_stock[sku] or quantity < 0:
                expected = self.expected_stock[sku]
                _violate(STOCK, f"{sku} has {self.stock.get(sku)}, but changes and orders leave {expected}")

    def _moved(self, changed_records: Iterable[tuple[Any, Mapping[str, Any]]]) -> set[str]:
        return {
            sku
            for before, after in changed_records
            if outcome(before) != outcome(after)
            for sku in items(after)
        }

    def _adjustment(self, change: Change) -> None:
        after = change.after or _violate(STOCK, f"the record of a change is gone: {change.key}")
        delta, sku = int(after["delta"]["N"]), after["sku"]["S"]
        if change.before is None:
            self.expected_stock[sku] += delta
        elif change.before["delta"] != after["delta"]:
            _violate(STOCK, f"the record of a change was changed: {change.key}")

    def _record(self, change: Change) -> tuple[Record | None, Record]:
        before, after = change.before, change.after
        if after is None:
            _violate(RECORD, f"the record of {change.key} is gone")
        was, is_ = outcome(before), outcome(after)
        if before is not None:
            if was != is_ and (was, is_) != ("RESERVED", "RELEASED"):
                _violate(RECORD, f"{change.key} went from {was} to {is_}")
            for name in _KEPT:
                if before.get(name) != after.get(name):
                    _violate(RECORD, f"{name} of {change.key} was changed")
            for name, body in answers(before).items():
                if answers(after).get(name) != body:
                    _violate(RECORD, f"the answer {name!r} was changed")
        self.records[change.key] = after
        return before, after

    def _outbox(self, change: Change) -> set[str]:
        """Apply a change of the outbox; returns the names that it took out."""
        before = self.outbox.pop(change.key, set())
        after = set(change.after.get("owed", {"SS": ()})["SS"]) if change.after else set()
        if change.after is not None:
            self.outbox[change.key] = after
        return before - after

    @property
    def _owed(self) -> set[str]:
        return set().union(*self.outbox.values())

    def _check_claimed(self, record: Record) -> None:
        """Check that what a record claims of its answers is true: they are sent, or owed by the outbox."""
        missing = unqueued(record)
        for name, body in answers(record).items():
            if name not in missing and body not in self.sent and name not in self._owed:
                _violate(ANSWERED, f"nobody owes the answer {name!r}")

    def _check_sent(self, name: str) -> None:
        """Check that an answer that the outbox owes no more was sent."""
        body = answers(self.records.get(order_of(name)) or _NO_RECORD).get(name)
        if body not in self.sent:
            _violate(ANSWERED, f"the outbox does not owe the answer {name!r} any more, which was not sent")

    def _effect(self, before: Record | None, after: Record) -> None:
        """Check what a new or changed record says against the state after its transaction."""
        was, is_ = outcome(before), outcome(after)
        if was == is_:
            return
        order_id, asked = after["order_id"]["S"], items(after)
        if was is None:
            self._check_requested(order_id, after)
        if is_ == "RESERVED":
            for sku, units in asked.items():
                self.expected_stock[sku] -= units
        elif is_ == "REJECTED":
            self._rejected(order_id, asked, json.loads(after["event"]["S"]))
        else:
            self._released(order_id, asked, json.loads(answers(after)[release(order_id)]))

    def _check_requested(self, order_id: str, record: Record) -> None:
        event = json.loads(record["event"]["S"]) if "event" in record else {}
        if outcome(record) == "RELEASED":
            wanted: Any = ("release", {})
        elif event.get("reason") in {"INVALID_REQUEST", "TOO_MANY_ITEMS"}:
            wanted = ("invalid" if event["reason"] == "INVALID_REQUEST" else "too many", {})
        else:
            wanted = ("reserve", items(record))
        if wanted not in self.requested[order_id]:
            _violate(RECORD, f"no message asked for what is recorded of {order_id}: {wanted}")
        if event.get("type") == "InventoryReserved" and _lines(event) != items(record):
            _violate(RECORDED, f"the answer to {order_id} has other items than its record")

    def _rejected(self, order_id: str, items: Mapping[str, int], event: Mapping[str, Any]) -> None:
        reason = event["reason"]
        if reason in {"INVALID_REQUEST", "TOO_MANY_ITEMS"}:
            return
        true = False
        for line in event["items"]:
            sku, asked, available = line["sku"], line["requested"], line["available"]
            if items.get(sku) != asked or available >= asked:
                _violate(REJECTIONS, f"the answer to {order_id} does not reject what was asked: {line}")
            units = self.stock.get(sku)
            missing = line["reason"] == "SKU_NOT_FOUND"
            if missing and reason != "SKU_NOT_FOUND":
                _violate(REJECTIONS, f"the answer to {order_id} names a missing SKU, but says {reason}")
            if line["reason"] == reason:
                true = true or (units is None if missing else units is not None and units < asked)
        if not true:
            stock = {sku: self.stock.get(sku) for sku in items}
            _violate(REJECTIONS, f"{order_id} asked {items}, there were {stock}, and it was told {reason}")

    def _released(self, order_id: str, items: Mapping[str, int], event: Mapping[str, Any]) -> None:
        missing, back = event.get("missing", []), _lines(event)
        if back.keys() & set(missing) or back | {sku: items.get(sku) for sku in missing} != items:
            _violate(RECORDED, f"{order_id} had {items}, but its release says {event}")
        for sku in missing:
            if self.stock.get(sku) is not None:
                _violate(STOCK, f"{sku} exists, but {order_id}'s units of it were written off")
        for sku, units in back.items():
            self.expected_stock[sku] += units

    def _sent(self, sent: Sent) -> None:
        event = json.loads(sent.body)
        order_id, kind = event["order_id"], event["type"]
        record = self.records.get(order_id) or _NO_RECORD
        name = release(order_id) if kind == "InventoryReleased" else first(order_id)
        if answers(record).get(name) != sent.body:
            _violate(RECORDED, f"an answer was sent that is not recorded: {sent.body}")
        if sent.attributes.get("type", {}).get("StringValue") != kind:
            _violate(RECORDED, f"the attribute of an answer has another type: {sent.attributes}")
        if kind != "InventoryReleased" and kind != _FIRST.get(outcome(record) or "", "InventoryReserved"):
            _violate(RECORDED, f"{order_id} is {outcome(record)}, but was answered {kind}")
        if self.bodies.setdefault((order_id, kind), sent.body) != sent.body:
            _violate(ANSWERED, f"{order_id} was answered twice, differently")
        if event["event_id"] != str(uuid5(NAMESPACE, f"{kind}:{order_id}")):
            _violate(ANSWERED, f"the event_id of {order_id} is wrong: {event['event_id']}")
        self.sent.add(sent.body)

    def _settled(self, number: int) -> None:
        """A message is deleted, so its answer must be sent, or owed by the outbox."""
        message = self.scenario.messages[number]
        if message.poison:
            _violate(ANSWERED, f"message {number} is poison, but was reported as settled")
        record = self.records.get(message.order_id)
        if record is None:
            _violate(ANSWERED, f"message {number} is settled, but {message.order_id} has no record")
        released = outcome(record) == "RELEASED"
        by_release = released and (message.kind == "release" or "event" not in record)
        name = release(message.order_id) if by_release else first(message.order_id)
        if answers(record).get(name) not in self.sent and name not in self._owed:
            _violate(ANSWERED, f"message {number} is settled, but nobody owes its answer")
        alone = sum(other.order_id == message.order_id for other in self.scenario.messages) == 1
        small = len(self.scenario.messages) <= 40  # a large batch may have no time to send all answers
        at_once = self._must_succeed(number) and not self.scenario.away[1] and alone and small
        if at_once and answers(record).get(name) not in self.sent:
            _violate(ANSWERED, f"message {number} is settled, and its answer waits for the sweep")
        self.settled.add(number)


def _lines(event: Mapping[str, Any]) -> dict[str, int]:
    return {line["sku"]: line["quantity"] for line in event["items"]}
