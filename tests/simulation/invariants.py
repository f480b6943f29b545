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

from tests.simulation.scenario import Scenario
from tests.simulation.timeline import Entry, Responded, Settled
from tests.support.engines.sqs import Sent
from tests.support.engines.tables import Change, Commit

# Part of the contract with the OMS: an order's answers have the same ids whoever sends them.
_NAMESPACE = UUID("6f0c2a52-4f1e-4b0e-9d0c-3a8f5f6f3c11")
_FIRST = {"RESERVED": "InventoryReserved", "REJECTED": "InventoryReservationFailed"}
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
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    bodies: dict[tuple[str, str], str] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    responses: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.requested: defaultdict[str, list[Any]] = defaultdict(list)
        for message in self.scenario.messages:
            if not message.poison:
                self.requested[message.order_id].append((message.kind, dict(message.items)))

    def apply(self, entry: Entry) -> None:
        """Check and apply the next entry."""
        match entry:
            case Commit():
                self._commit(entry)
            case Sent(queue="OMS-OrderEventsQueue"):
                self._sent(entry)
            case Settled(messages):
                for number in messages:
                    self._settled(number)
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
            unanswerable = message.poison or message.order_id == self.scenario.refused_order
            if self.scenario.undisturbed and number in dead and not unanswerable:
                _violate(ANSWERED, f"message {number} is dead, though nothing delayed it")

    def _commit(self, commit: Commit) -> None:
        changed_records: list[tuple[Mapping[str, Any] | None, Mapping[str, Any]]] = []
        touched: dict[str, None] = {}
        for change in commit.changes:
            if change.table == "InventoryTable":
                self.stock[change.key] = int(change.after["quantity"]["N"]) if change.after else None
                touched[change.key] = None
            elif change.table == "ProductTable":
                (self.products.add if change.after else self.products.discard)(change.key)
                touched[change.key] = None
            elif change.key.startswith("adjustment#"):
                self._adjustment(change)
            else:
                changed_records.append(self._record(change))
        for before, after in changed_records:
            self._effect(before, after)
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
            if _outcome(before) != _outcome(after)
            for sku in _items(after)
        }

    def _adjustment(self, change: Change) -> None:
        after = change.after or _violate(STOCK, f"the record of a change is gone: {change.key}")
        delta, sku = int(after["delta"]["N"]), after["sku"]["S"]
        if change.before is None:
            self.expected_stock[sku] += delta
        elif change.before["delta"] != after["delta"]:
            _violate(STOCK, f"the record of a change was changed: {change.key}")

    def _record(self, change: Change) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
        before, after = change.before, change.after
        if after is None:
            _violate(RECORD, f"the record of {change.key} is gone")
        was, is_ = _outcome(before), _outcome(after)
        if before is not None:
            if was != is_ and (was, is_) != ("RESERVED", "RELEASED"):
                _violate(RECORD, f"{change.key} went from {was} to {is_}")
            kept = [*_KEPT, *(("release_event",) if was == "RELEASED" else ())]
            for name in kept:
                if before.get(name) != after.get(name):
                    _violate(RECORD, f"{name} of {change.key} was changed")
        for event, mark in (("event", "published_at"), ("release_event", "release_published_at")):
            sent = event in after and after[event]["S"] in self.sent
            if mark in after and mark not in (before or {}) and not sent:
                _violate(ANSWERED, f"{change.key} has {mark}, but its {event} was not sent")
            if mark in (before or {}) and mark not in after:
                _violate(RECORD, f"{mark} of {change.key} is gone")
        self.records[change.key] = after
        return before, after

    def _effect(self, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """Check what a new or changed record says against the state after its transaction."""
        was, is_ = _outcome(before), _outcome(after)
        if was == is_:
            return
        order_id, items = after["order_id"]["S"], _items(after)
        if was is None:
            self._check_requested(order_id, after)
        if is_ == "RESERVED":
            for sku, units in items.items():
                self.expected_stock[sku] -= units
        elif is_ == "REJECTED":
            self._rejected(order_id, items, json.loads(after["event"]["S"]))
        else:
            self._released(order_id, items, json.loads(after["release_event"]["S"]))

    def _check_requested(self, order_id: str, record: Mapping[str, Any]) -> None:
        event = json.loads(record["event"]["S"]) if "event" in record else {}
        if _outcome(record) == "RELEASED":
            wanted: Any = ("release", {})
        elif event.get("reason") in {"INVALID_REQUEST", "TOO_MANY_ITEMS"}:
            wanted = ("invalid" if event["reason"] == "INVALID_REQUEST" else "too many", {})
        else:
            wanted = ("reserve", _items(record))
        if wanted not in self.requested[order_id]:
            _violate(RECORD, f"no message asked for what is recorded of {order_id}: {wanted}")
        if event.get("type") == "InventoryReserved" and _lines(event) != _items(record):
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
        record = self.records.get(order_id) or {}
        name = "release_event" if kind == "InventoryReleased" else "event"
        if record.get(name, {}).get("S") != sent.body:
            _violate(RECORDED, f"an answer was sent that is not recorded: {sent.body}")
        if sent.attributes.get("type", {}).get("StringValue") != kind:
            _violate(RECORDED, f"the attribute of an answer has another type: {sent.attributes}")
        if kind != "InventoryReleased" and kind != _FIRST.get(_outcome(record) or "", "InventoryReserved"):
            _violate(RECORDED, f"{order_id} is {_outcome(record)}, but was answered {kind}")
        if self.bodies.setdefault((order_id, kind), sent.body) != sent.body:
            _violate(ANSWERED, f"{order_id} was answered twice, differently")
        if event["event_id"] != str(uuid5(_NAMESPACE, f"{kind}:{order_id}")):
            _violate(ANSWERED, f"the event_id of {order_id} is wrong: {event['event_id']}")
        self.sent.add(sent.body)

    def _settled(self, number: int) -> None:
        """A message is deleted, so its answer must be sent."""
        message = self.scenario.messages[number]
        if message.poison:
            _violate(ANSWERED, f"message {number} is poison, but was reported as settled")
        record = self.records.get(message.order_id)
        if record is None:
            _violate(ANSWERED, f"message {number} is settled, but {message.order_id} has no record")
        released = _outcome(record) == "RELEASED"
        owed = (
            "release_event" if released and (message.kind == "release" or "event" not in record) else "event"
        )
        if record[owed]["S"] not in self.sent:
            _violate(ANSWERED, f"message {number} is settled, but its answer was not sent")
        self.settled.add(number)


def _outcome(record: Mapping[str, Any] | None) -> str | None:
    return str(record["outcome"]["S"]) if record else None


def _items(record: Mapping[str, Any]) -> dict[str, int]:
    return {sku: int(units["N"]) for sku, units in record["items"]["M"].items()}


def _lines(event: Mapping[str, Any]) -> dict[str, int]:
    return {line["sku"]: line["quantity"] for line in event["items"]}
