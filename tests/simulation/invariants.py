"""What must hold at every point of a history: section by section what the design promises.

It reads stored items and messages for itself, without the code that wrote them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from uuid import UUID, uuid5

from tests.simulation.scenario import Scenario
from tests.simulation.timeline import Answered, Entry, Settled
from tests.support.engines.sqs import Sent
from tests.support.engines.tables import Change, Commit

# Part of the contract with the OMS: an order's answers have the same ids whoever sends them.
_NAMESPACE = UUID("6f0c2a52-4f1e-4b0e-9d0c-3a8f5f6f3c11")
_FIRST = {"RESERVED": "InventoryReserved", "REJECTED": "InventoryReservationFailed"}
_KEPT = ("order_id", "customer_id", "items", "event", "created_at")

STOCK = "1 stock adds up"
RECORD = "2 one record an order"
ANSWERED = "3 answered or dead"
RECORDED = "4 answers are recorded"
TRUE = "5 rejections are true"
REST = "6 REST answers once"


@dataclass(frozen=True, slots=True)
class Violation:
    """Which invariant does not hold, how, and at which entry of the timeline (or after the last)."""

    invariant: str
    how: str
    entry: int


class _Broken(Exception):
    def __init__(self, invariant: str, how: str) -> None:
        super().__init__(how)
        self.invariant = invariant


def check(scenario: Scenario, timeline: Iterable[Entry], dead: set[int]) -> Violation | None:
    """The first violation in a timeline; `dead` are the numbers of the letters that ended in the DLQ."""
    books = Books(scenario)
    number = 0
    try:
        for entry in timeline:
            books.enter(entry)
            number += 1
        books.close(dead)
    except _Broken as broken:
        return Violation(broken.invariant, str(broken), number)
    return None


def _break(invariant: str, how: str) -> NoReturn:
    raise _Broken(invariant, how)


@dataclass
class Books:
    """The state that a timeline leads to, and what it should be."""

    scenario: Scenario
    stock: dict[str, int | None] = field(default_factory=dict)
    products: set[str] = field(default_factory=set)
    due: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    answers: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.asked: defaultdict[str, list[Any]] = defaultdict(list)
        for letter in self.scenario.letters:
            if not letter.poison:
                self.asked[letter.order_id].append((letter.kind, dict(letter.items)))

    def enter(self, entry: Entry) -> None:
        """Go on by one entry."""
        match entry:
            case Commit():
                self._commit(entry)
            case Sent(queue="OMS-OrderEventsQueue"):
                self._sent(entry)
            case Settled(letters):
                for number in letters:
                    self._settled(number)
            case Answered(key, answer):
                if self.answers.setdefault(key, answer) != answer:
                    _break(REST, f"{key}: first {self.answers[key]}, then {answer}")

    def close(self, dead: set[int]) -> None:
        """Check what must hold once everything has come to rest."""
        for number, letter in enumerate(self.scenario.letters):
            if letter.poison and (number not in dead or number in self.settled):
                _break(ANSWERED, f"letter {number} is poison, but was taken for settled")
            if number not in dead and number not in self.settled:
                _break(ANSWERED, f"letter {number} was lost")
            hopeless = letter.poison or letter.order_id == self.scenario.cursed
            if self.scenario.calm and number in dead and not hopeless:
                _break(ANSWERED, f"letter {number} is dead, though nothing was in its way")

    def _commit(self, commit: Commit) -> None:
        news: list[tuple[Mapping[str, Any] | None, Mapping[str, Any]]] = []
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
                news.append(self._record(change))
        for before, after in news:
            self._effect(before, after)
        for sku in touched:
            if (self.stock.get(sku) is not None) is not (sku in self.products):
                _break(STOCK, f"{sku} has stock without being a product, or the other way round")
        for sku in touched.keys() | self._moved(news):
            quantity = self.stock.get(sku) or 0
            if quantity != self.due[sku] or quantity < 0:
                _break(
                    STOCK, f"{sku} has {self.stock.get(sku)}, but changes and orders leave {self.due[sku]}"
                )

    def _moved(self, news: Iterable[tuple[Any, Mapping[str, Any]]]) -> set[str]:
        return {sku for before, after in news if _outcome(before) != _outcome(after) for sku in _items(after)}

    def _adjustment(self, change: Change) -> None:
        after = change.after or _break(STOCK, f"the record of a change is gone: {change.key}")
        delta, sku = int(after["delta"]["N"]), after["sku"]["S"]
        if change.before is None:
            self.due[sku] += delta
        elif change.before["delta"] != after["delta"]:
            _break(STOCK, f"the record of a change was changed: {change.key}")

    def _record(self, change: Change) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
        before, after = change.before, change.after
        if after is None:
            _break(RECORD, f"the record of {change.key} is gone")
        was, is_ = _outcome(before), _outcome(after)
        if before is not None:
            if was != is_ and (was, is_) != ("RESERVED", "RELEASED"):
                _break(RECORD, f"{change.key} went from {was} to {is_}")
            kept = [*_KEPT, *(("release_event",) if was == "RELEASED" else ())]
            for name in kept:
                if before.get(name) != after.get(name):
                    _break(RECORD, f"{name} of {change.key} was changed")
        for event, mark in (("event", "published_at"), ("release_event", "release_published_at")):
            sent = event in after and after[event]["S"] in self.sent
            if mark in after and mark not in (before or {}) and not sent:
                _break(ANSWERED, f"{change.key} has {mark}, but its {event} was not sent")
            if mark in (before or {}) and mark not in after:
                _break(RECORD, f"{mark} of {change.key} is gone")
        self.records[change.key] = after
        return before, after

    def _effect(self, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """What a new record, or a changed one, says must be true now, after all that was written with it."""
        was, is_ = _outcome(before), _outcome(after)
        if was == is_:
            return
        order_id, items = after["order_id"]["S"], _items(after)
        if was is None:
            self._was_asked(order_id, after)
        if is_ == "RESERVED":
            for sku, units in items.items():
                self.due[sku] -= units
        elif is_ == "REJECTED":
            self._rejected(order_id, items, json.loads(after["event"]["S"]))
        else:
            self._released(order_id, items, json.loads(after["release_event"]["S"]))

    def _was_asked(self, order_id: str, record: Mapping[str, Any]) -> None:
        event = json.loads(record["event"]["S"]) if "event" in record else {}
        if _outcome(record) == "RELEASED":
            wanted: Any = ("release", {})
        elif event.get("reason") in {"INVALID_REQUEST", "TOO_MANY_ITEMS"}:
            wanted = ("invalid" if event["reason"] == "INVALID_REQUEST" else "too many", {})
        else:
            wanted = ("reserve", _items(record))
        if wanted not in self.asked[order_id]:
            _break(RECORD, f"nobody asked for what is recorded of {order_id}: {wanted}")
        if event.get("type") == "InventoryReserved" and _lines(event) != _items(record):
            _break(RECORDED, f"the answer to {order_id} has other items than its record")

    def _rejected(self, order_id: str, items: Mapping[str, int], event: Mapping[str, Any]) -> None:
        reason = event["reason"]
        if reason in {"INVALID_REQUEST", "TOO_MANY_ITEMS"}:
            return
        true = False
        for line in event["items"]:
            sku, asked, available = line["sku"], line["requested"], line["available"]
            if items.get(sku) != asked or available >= asked:
                _break(TRUE, f"the answer to {order_id} does not reject what was asked: {line}")
            units = self.stock.get(sku)
            missing = line["reason"] == "SKU_NOT_FOUND"
            if missing and reason != "SKU_NOT_FOUND":
                _break(TRUE, f"the answer to {order_id} names a missing SKU, but says {reason}")
            if line["reason"] == reason:
                true = true or (units is None if missing else units is not None and units < asked)
        if not true:
            stock = {sku: self.stock.get(sku) for sku in items}
            _break(TRUE, f"{order_id} asked {items}, there were {stock}, and it was told {reason}")

    def _released(self, order_id: str, items: Mapping[str, int], event: Mapping[str, Any]) -> None:
        missing, back = event.get("missing", []), _lines(event)
        if back.keys() & set(missing) or back | {sku: items.get(sku) for sku in missing} != items:
            _break(RECORDED, f"{order_id} had {items}, but its release says {event}")
        for sku in missing:
            if self.stock.get(sku) is not None:
                _break(STOCK, f"{sku} exists, but {order_id}'s units of it were taken for gone")
        for sku, units in back.items():
            self.due[sku] += units

    def _sent(self, sent: Sent) -> None:
        event = json.loads(sent.body)
        order_id, kind = event["order_id"], event["type"]
        record = self.records.get(order_id) or {}
        name = "release_event" if kind == "InventoryReleased" else "event"
        if record.get(name, {}).get("S") != sent.body:
            _break(RECORDED, f"an answer was sent that is not recorded: {sent.body}")
        if sent.attributes.get("type", {}).get("StringValue") != kind:
            _break(RECORDED, f"the attribute of an answer has another type: {sent.attributes}")
        if kind != "InventoryReleased" and kind != _FIRST.get(_outcome(record) or "", "InventoryReserved"):
            _break(RECORDED, f"{order_id} is {_outcome(record)}, but was answered {kind}")
        if self.texts.setdefault((order_id, kind), sent.body) != sent.body:
            _break(ANSWERED, f"{order_id} was answered twice, differently")
        if event["event_id"] != str(uuid5(_NAMESPACE, f"{kind}:{order_id}")):
            _break(ANSWERED, f"the event_id of {order_id} is made up: {event['event_id']}")
        self.sent.add(sent.body)

    def _settled(self, number: int) -> None:
        """A letter is deleted, so its answer must be out."""
        letter = self.scenario.letters[number]
        if letter.poison:
            _break(ANSWERED, f"letter {number} is poison, but was taken for settled")
        record = self.records.get(letter.order_id)
        if record is None:
            _break(ANSWERED, f"letter {number} is settled, but {letter.order_id} has no record")
        released = _outcome(record) == "RELEASED"
        owed = (
            "release_event" if released and (letter.kind == "release" or "event" not in record) else "event"
        )
        if record[owed]["S"] not in self.sent:
            _break(ANSWERED, f"letter {number} is settled, but its answer was not sent")
        self.settled.add(number)


def _outcome(record: Mapping[str, Any] | None) -> str | None:
    return str(record["outcome"]["S"]) if record else None


def _items(record: Mapping[str, Any]) -> dict[str, int]:
    return {sku: int(units["N"]) for sku, units in record["items"]["M"].items()}


def _lines(event: Mapping[str, Any]) -> dict[str, int]:
    return {line["sku"]: line["quantity"] for line in event["items"]}
