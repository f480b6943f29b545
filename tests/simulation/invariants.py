"""What must hold at every point of a history: the promises of the design.

It parses stored items and messages itself, without the code that wrote them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.answer_rules import ANSWERED, AnswerRules
from tests.simulation.ledger import Ledger, is_old
from tests.simulation.messages import OmsMessage
from tests.simulation.model import Wrong
from tests.simulation.order_rules import HOLDS, RECORD, Broken, OrderRules
from tests.simulation.records import Record, answers, first, operations, outcome, text
from tests.simulation.requests import INVALID, Requests, name_of
from tests.simulation.scenario import Scenario
from tests.simulation.timeline import Entry, Responded, Settled
from tests.support.engines import FakeClock
from tests.support.engines.sqs import Sent
from tests.support.engines.tables import Commit

STOCK = "1 stock adds up"
IDEMPOTENT = "7 REST requests are idempotent"


@dataclass(frozen=True, slots=True)
class Violation:
    """Which invariant does not hold, how, and at which entry of the timeline (or after the last)."""

    invariant: str
    how: str
    entry: int


def check(scenario: Scenario, timeline: Iterable[Entry], dead: set[int], now: float) -> Violation | None:
    """The first violation in a timeline that ended at `now`.

    `dead` are the numbers of the messages that ended in the DLQ.
    """
    checker = StateChecker(scenario)
    number = 0
    try:
        for entry in timeline:
            checker.apply(entry, number)
            number += 1
        checker.finish(dead, now)
    except Broken as broken:
        return Violation(broken.invariant, str(broken), number)
    return None


@dataclass
class StateChecker:
    """Follows a timeline: the stored state after each entry, and what it should be."""

    scenario: Scenario
    records: dict[str, Record] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    settled: set[int] = field(default_factory=set)
    responses: dict[Any, Any] = field(default_factory=dict)
    known_since: dict[str, int] = field(default_factory=dict)
    made: defaultdict[str, list[tuple[int, str, list[str]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """The operations on each order: in which entry, by which commit, their ids."""

    def __post_init__(self) -> None:
        requests = Requests(self.scenario)
        self.orders = OrderRules(self.scenario, requests, FakeClock().now)
        self.answers = AnswerRules(requests, self.records)
        about = [message.order_id for message in self.scenario.messages]
        about += [call.order_id for calls in self.scenario.life.calls for call in calls]
        self._alone = {order_id for order_id in about if about.count(order_id) == 1}

    def apply(self, entry: Entry, number: int) -> None:
        """Check and apply the next entry, which has that number."""
        match entry:
            case Commit():
                self._commit(entry, number)
            case Sent(queue="OMS-OrderEventsQueue"):
                self.answers.receive(entry)
            case Settled(messages, failed, since):
                for done in messages:
                    self._settled(done)
                self._check_order(entry)
                for left in failed:
                    if self._must_succeed(left, since):
                        raise Broken(ANSWERED, f"message {left} failed, though nothing was in its way")
            case Responded(key, response):
                if self.responses.setdefault(key, response) != response:
                    raise Broken(IDEMPOTENT, f"{key}: first {self.responses[key]}, then {response}")

    def finish(self, dead: set[int], now: float) -> None:
        """Check what must hold at the end."""
        for number, message in enumerate(self.scenario.messages):
            if message.poison and (number not in dead or number in self.settled):
                raise Broken(ANSWERED, f"message {number} is poison, but was reported as settled")
            if number not in dead and number not in self.settled:
                raise Broken(ANSWERED, f"message {number} was lost")
            if number in dead and not message.waits and self._must_succeed(number, 0):
                raise Broken(ANSWERED, f"message {number} is dead, though nothing delayed it")
        if wrong := self.answers.unsent(set()):
            raise Broken(ANSWERED, wrong)
        for order_id, record in self.records.items():
            if order_id != self.scenario.refused_order and self.orders.overdue(now, record):
                raise Broken(HOLDS, f"{order_id} is open still, though it was due {text(record, 'due_at')}")

    def _must_succeed(self, number: int, since: int) -> bool:
        """Whether nothing delays a message; an OMS queue that is away must not.

        A change of an order waits for the order. `since` is the entry at which its batch began.
        """
        message = self.scenario.messages[number]
        unanswerable = message.poison or message.order_id == self.scenario.refused_order
        known = not message.waits or self.known_since.get(message.order_id, since) < since
        return self.scenario.undisturbed and not unanswerable and known

    def _commit(self, commit: Commit, number: int) -> None:
        orders: list[tuple[Record | None, Record | None]] = []
        gone: set[str] = set()
        owing: str | None = None
        for change in commit.changes:
            if change.table == "OutboxTable":
                gone |= self.answers.apply(change)
                owing = change.key if change.after else owing
            elif change.table == "ProcessedEventsTable" and not change.key.startswith("adjustment#"):
                orders.append((change.before, change.after))
                if change.after is not None:
                    self.records[change.key] = change.after
                    self.known_since.setdefault(change.key, number)
                else:
                    self.records.pop(change.key, None)
                    self.known_since.pop(change.key, None)
        try:
            self.ledger.apply(commit, orders)
        except Wrong as wrong:
            raise Broken(STOCK, str(wrong)) from None
        for before, after in orders:
            new = [done.id for done in operations(after)[len(operations(before)) :]]
            if after is not None and new:
                self.made[after["order_id"]["S"]].append((number, text(after, "change") or "", new))
            self.orders.check(commit.time, before, after, self.ledger.stock)
        self.answers.check_commit(orders, gone, owing if owing and any(map(_is_ours, orders)) else None)

    def _check_order(self, batch: Settled) -> None:
        """Check that the changes of one order in a batch were made in their order of arrival."""
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for number in batch.arrived:
            asked = self.scenario.messages[number].asked
            if asked and asked.id and asked.id not in wanted[asked.order_id]:
                wanted[asked.order_id].append(asked.id)
        for order_id, ids in wanted.items():
            if self.known_since.get(order_id, batch.since) >= batch.since:
                continue  # some commands may have waited for the order's record
            made = [
                done
                for number, by, new in self.made[order_id]
                if number >= batch.since and by.startswith(f"{batch.by}/")
                for done in new
            ]
            if [id_ for id_ in ids if id_ in made] != [id_ for id_ in made if id_ in ids]:
                raise Broken(RECORD, f"{ids} of {order_id} came in this order, and were done as {made}")

    def _settled(self, number: int) -> None:
        """A message is deleted, so its answer must be sent, or owed by the outbox."""
        message = self.scenario.messages[number]
        if message.poison:
            raise Broken(ANSWERED, f"message {number} is poison, but was reported as settled")
        record = self.records.get(message.order_id)
        if record is None:
            raise Broken(ANSWERED, f"message {number} is settled, but {message.order_id} has no record")
        name = self._answer(message, record)
        if not self.answers.provided(name):
            raise Broken(ANSWERED, f"message {number} is settled, but nobody owes its answer {name!r}")
        small = len(self.scenario.messages) <= 40  # a large batch may have no time to send all answers
        at_once = self._must_succeed(number, 0) and not self.scenario.away[1] and small
        if at_once and message.order_id in self._alone and name not in self.answers.sent:
            raise Broken(ANSWERED, f"message {number} is settled, and its answer waits for the sweep")
        self.settled.add(number)

    def _answer(self, message: OmsMessage, record: Record) -> str:
        """The name of the answer to a message that is settled."""
        asked = message.asked
        if asked is None:
            return next(iter(answers(record)))  # of a tombstone, that of the release
        repeated = any(done.id == asked.id for done in operations(record))
        if asked.whole_release and outcome(record) == "REJECTED" and not repeated:
            return first(message.order_id)
        name = name_of(asked)
        if asked.id is None:
            ids = [done.id for done in operations(record) if done.id.startswith(INVALID)]
            names = [f"{message.order_id}\n{id_}" for id_ in ids]
            found = [known for known in names if self.answers.provided(known)]
            if found or "full_at" not in record:
                return found[0] if found else name
            beyond = {
                known for known in self.answers.owed | self.answers.sent.keys() if known.startswith(name)
            }
            return next(iter(sorted(beyond)), name)
        if name not in answers(record) and "full_at" in record:
            # In one batch, another type of change under the same id is a repeat of the first.
            known = self.answers.owed | self.answers.sent.keys()
            return min((other for other in known if other.startswith(f"{name}\n")), default=name)
        return name


def _is_ours(change: tuple[Record | None, Record | None]) -> bool:
    return not is_old(*change)
