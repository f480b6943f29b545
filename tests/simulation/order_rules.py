"""Follows the records of orders through a history, and checks each change of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.ledger import is_old
from tests.simulation.life import LATER
from tests.simulation.model import State, Wrong, apply, check_short
from tests.simulation.records import (
    WHOLE,
    Done,
    Record,
    answers,
    counted,
    held,
    is_open,
    items,
    operations,
    outcome,
    seconds,
    text,
    units,
)
from tests.simulation.requests import Requests
from tests.simulation.scenario import CALM_SECONDS, Scenario

_KEPT = ("order_id", "customer_id", "items", "event", "created_at")
_SWEEP_SECONDS = 30.0
"""A sweep takes as long at the most, once everything works; clocks are wrong, and it waits 5 s on purpose."""

RECORD = "2 one record per order"
REJECTIONS = "5 rejections are true"
HOLDS = "6 holds end when they are due"


class Broken(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: str, how: str) -> None:
        super().__init__(how)
        self.invariant = invariant


@dataclass
class OrderRules:
    """Checks the changes of records; `start` is the time at which the history began."""

    scenario: Scenario
    requests: Requests
    start: float
    old_orders: set[str] = field(default_factory=set)
    """The orders that version 1.1 recorded."""
    _firm_since: dict[str, str] = field(default_factory=dict)
    _due_since: dict[str, float] = field(default_factory=dict)

    def check(
        self, time: float, before: Record | None, after: Record | None, stock: Mapping[str, int | None]
    ) -> None:
        """Check one change of a record, committed at `time`; `stock` is what there is after the commit."""
        if after is None:
            _check_end(time, before)
            return
        order_id, old = after["order_id"]["S"], is_old(before, after)
        if before is None:
            self._check_new(order_id, after, stock, old=old)
        else:
            _check_kept(order_id, before, after)
        was, new = operations(before), operations(after)
        if new[: len(was)] != was and [_fixed(d) for d in new[: len(was)]] != [_fixed(d) for d in was]:
            raise Broken(RECORD, f"the operations of {order_id} were changed: first {was}, then {new}")
        if len({done.id for done in new}) < len(new):
            raise Broken(RECORD, f"an operation is on the record of {order_id} twice: {new}")
        state = State.new(after) if before is None else State.of(before)
        for done in new[len(was) :]:
            self._check_time(order_id, time, before, done)
            self._check_room(order_id, was, done, before)
            was = [*was, done]
            if done.id == "EXPIRED" and not done.queued:
                raise Broken(HOLDS, f"nobody tells the OMS that the hold of {order_id} has ended")
            try:
                now = apply(state, done, self.requests.of(order_id, done), stock)
            except Wrong as wrong:
                late = "was wanted, there were" in str(wrong)
                raise Broken(REJECTIONS if late else RECORD, f"{order_id}: {wrong}") from None
            if now.open and now.expires_at is None and (state.expires_at is not None or not state.open):
                self._firm_since[order_id] = done.at
            state = now
        self._check_state(order_id, state, after, old=old)
        self._check_full(order_id, before, after)
        if not old:
            self._check_form(order_id, after)
        if text(before, "due_at") != text(after, "due_at"):
            self._due_since[order_id] = time

    def overdue(self, now: float, record: Record) -> bool:
        """Whether an order is open though it was to be closed long before `now`."""
        due_at = text(record, "due_at")
        return is_open(record) and due_at is not None and self._patience(record, seconds(due_at)) < now

    def _check_new(self, order_id: str, after: Record, stock: Mapping[str, int | None], *, old: bool) -> None:
        if old:
            self.old_orders.add(order_id)
        event = json.loads(after["event"]["S"]) if "event" in after else {}
        reason, until = event.get("reason"), text(after, "expires_at")
        if outcome(after) == "RELEASED":
            wanted: Any = None
            known = any(asked.whole_release for asked in self.requests.changes[order_id])
        elif reason in {"INVALID_REQUEST", "TOO_MANY_ITEMS"}:
            wanted = ("invalid" if reason == "INVALID_REQUEST" else "too many", {}, None)
            known = wanted in self.requests.reserves[order_id]
        else:
            wanted = ("reserve", items(after), until)
            known = wanted in self.requests.reserves[order_id]
        if not known:
            raise Broken(RECORD, f"nobody asked for what is recorded of {order_id}: {wanted}")
        if event.get("type") == "InventoryReserved":
            lines = {line["sku"]: line["quantity"] for line in event["items"]}
            if (lines, event.get("expires_at")) != (items(after), until):
                raise Broken(RECORD, f"the answer to {order_id} says other things than its record")
            if until is None:
                self._firm_since[order_id] = after["created_at"]["S"]
        over = until is not None and until <= after["created_at"]["S"]
        if (
            event
            and (reason == "EXPIRED") is not over
            and reason not in {"INVALID_REQUEST", "TOO_MANY_ITEMS"}
        ):
            raise Broken(REJECTIONS, f"{order_id} was wanted until {until}, and it was told {reason}")
        if reason in {"SKU_NOT_FOUND", "INSUFFICIENT_STOCK"}:
            missing = any(line["reason"] == "SKU_NOT_FOUND" for line in event["items"])
            try:
                check_short(event["items"], items(after), stock)
            except Wrong as wrong:
                raise Broken(REJECTIONS, f"{order_id}: {wrong}") from None
            if (reason == "SKU_NOT_FOUND") is not missing:
                raise Broken(REJECTIONS, f"{order_id} was told {reason}: {event['items']}")

    def _check_time(self, order_id: str, time: float, before: Record | None, done: Done) -> None:
        """Check that the sweep ends an order when it is due, and not much later."""
        if done.id not in {"EXPIRED", "AGED"}:
            return
        due = seconds(text(before, "due_at") or done.at)
        if before is None or "due_at" not in before or time < due:
            raise Broken(HOLDS, f"{order_id} {done.id} before it was due, at {text(before, 'due_at')}")
        if time > self._patience(before, due) and order_id != self.scenario.refused_order:
            raise Broken(HOLDS, f"{order_id} {done.id} long after it was due, at {text(before, 'due_at')}")

    def _patience(self, record: Record, due: float) -> float:
        """The time until which the sweep must have ended an order that was `due`."""
        scenario = self.scenario
        calm = self.start + max(scenario.chaos_until + CALM_SECONDS, scenario.away[1])
        since = max(due, calm, self._due_since.get(record["order_id"]["S"], 0.0))
        if since > self.start + scenario.life.horizon:  # nobody sweeps before records have expired
            since = max(since, self.start + LATER)
        life = scenario.life
        # A sweep shares its time between the parts of the index: if it has little, it may need several tries.
        tries = 15 if life.shards * scenario.latency > scenario.time_limit / 20 else 4
        return since + _SWEEP_SECONDS + life.index_lag + tries * (life.sweep_every + scenario.time_limit)

    def _check_room(self, order_id: str, was: list[Done], done: Done, before: Record | None) -> None:
        if done.id in WHOLE:
            return
        if "full_at" in (before or ()) or _many(was) >= self.scenario.life.max_operations:
            raise Broken(RECORD, f"{order_id} took the operation {done.id}, though it takes no more")

    def _check_full(self, order_id: str, before: Record | None, after: Record) -> None:
        was, is_ = text(before, "full_at"), text(after, "full_at")
        if was is not None and was != is_:
            raise Broken(RECORD, f"{order_id} was full at {was}, and then at {is_}")
        if is_ is not None and _many(operations(after)) < self.scenario.life.max_operations:
            raise Broken(RECORD, f"{order_id} is full, but has {_many(operations(after))} operations")

    def _check_state(self, order_id: str, state: State, after: Record, *, old: bool) -> None:
        on_record, shipped = State.of(after), any(state.fulfilled.values())
        if old and not on_record.open:  # version 1.1 leaves what it does not know
            state, on_record = State(state.open, state.held), State(on_record.open, on_record.held)
        if on_record != state:
            raise Broken(RECORD, f"the operations of {order_id} leave {state}, but it is {on_record}")
        closed = "REJECTED" if _is_rejected(after) else "FULFILLED" if shipped else "RELEASED"
        if outcome(after) != ("RESERVED" if state.open else closed):
            raise Broken(
                RECORD, f"{order_id} is {outcome(after)}, and not what its operations leave: {state}"
            )
        asked = items(after)
        for sku in held(after) | units(after, "fulfilled") | units(after, "expired"):
            parts = (held(after), units(after, "fulfilled"), units(after, "expired"))
            if sum(part.get(sku, 0) for part in parts) > asked.get(sku, 0):
                raise Broken(RECORD, f"{order_id} holds or has shipped more of {sku} than it asked: {parts}")

    def _check_form(self, order_id: str, record: Record) -> None:
        """Check when a record expires, and when it is due."""
        due_at, until = text(record, "due_at"), text(record, "expires_at")
        if is_open(record) is ("ttl" in record):
            raise Broken(RECORD, f"{order_id} is {outcome(record)}, and its ttl {record.get('ttl')}")
        if (due_at is None) is ("hold_shard" in record):
            raise Broken(HOLDS, f"{order_id} is due at {due_at}, in {record.get('hold_shard')} of the index")
        if not is_open(record):
            if due_at is not None and not counted(record):  # else version 1.1 released it
                raise Broken(HOLDS, f"{order_id} is closed, and due at {due_at}")
        elif until is not None:
            if due_at != until:
                raise Broken(HOLDS, f"{order_id} is a hold until {until}, and due at {due_at}")
        elif order_id not in self.old_orders:
            aging = self.scenario.life.aging
            expected = None if aging is None else seconds(self._firm_since[order_id]) + aging
            if (due_at is None) is not (expected is None) or (
                due_at is not None and expected is not None and abs(seconds(due_at) - expected) > 0.01
            ):
                raise Broken(HOLDS, f"{order_id} is firm, and due at {due_at} instead of {expected}")


def _check_end(time: float, before: Record | None) -> None:
    """Check that a record may expire. One of version 1.1 that cannot be migrated does, open or not."""
    stays = is_open(before) and "change" in (before or ())
    if before is None or stays or "ttl" not in before or int(before["ttl"]["N"]) > time:
        raise Broken(RECORD, f"the record is gone: {before}")


def _check_kept(order_id: str, before: Record, after: Record) -> None:
    for name in _KEPT:
        if before.get(name) != after.get(name):
            raise Broken(RECORD, f"{name} of {order_id} was changed")
    for name, body in answers(before).items():
        if answers(after).get(name) != body:
            raise Broken(RECORD, f"the answer {name!r} was changed")
    if is_open(after) and not is_open(before) and not units(before, "expired"):
        raise Broken(RECORD, f"{order_id} went from {outcome(before)} to {outcome(after)}")


def _is_rejected(record: Record) -> bool:
    return "event" in record and json.loads(record["event"]["S"])["type"] == "InventoryReservationFailed"


def _fixed(done: Done) -> tuple[Any, ...]:
    return done.id, done.type, done.at, done.body


def _many(done: list[Done]) -> int:
    return sum(one.id not in WHOLE for one in done)
