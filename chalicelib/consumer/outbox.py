"""Delivers answers: into the OMS's queue first, then marked as published in their records."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chalicelib.consumer.pace import Pace
from chalicelib.consumer.publisher import MAX_ENTRIES, Publisher
from chalicelib.consumer.report import Report
from chalicelib.core.answers import Answer
from chalicelib.store.transactions import OrderStore

DELIVERY: Final = 2 * MAX_ENTRIES
"""Answers of one delivery: two sends and one mark, which takes up to 25."""
THREADS: Final = 4
"""Deliveries at the same time: those of a full group of orders that share SKUs."""
UNDER_WAY: Final = 2 * THREADS
"""Deliveries begun and not finished: commits must not run far ahead of their answers."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of some answers: when each went out, or why not, and how many could not be marked."""

    sent: Mapping[str, datetime]
    unsent: Mapping[str, Exception]
    unmarked: int = 0
    why: Exception | None = None


@dataclass
class Outbox:
    """The answers of one batch.

    `delivered` says when each order's answer went out, `unsent` has the orders of which one did not. The
    caller's thread alone keeps them, and reports: what `executor` runs talks to AWS and returns a `Delivery`.
    """

    publisher: Publisher
    store: OrderStore
    pace: Pace
    report: Report
    executor: Executor
    delivered: dict[str, datetime] = field(default_factory=dict)
    unsent: set[str] = field(default_factory=set)
    _under_way: deque[Future[Delivery]] = field(default_factory=deque)

    def send(self, answers: Sequence[Answer]) -> None:
        """Send `answers` without marking them."""
        self._note(self._send(answers))

    def deliver(self, answers: Sequence[Answer]) -> None:
        """Begin to send and mark `answers`, while the caller goes on; `collect` waits for the end of it.

        A mark that fails is only reported: the answer is out, and at worst goes out once more.
        """
        for start in range(0, len(answers), DELIVERY):
            self._wait_until(UNDER_WAY - 1)
            part = answers[start : start + DELIVERY]
            self._under_way.append(self.executor.submit(self._deliver, part))

    def collect(self) -> set[str]:
        """Wait for all deliveries; returns the ids of the orders of which an answer did not go out."""
        self._wait_until(0)
        return self.unsent

    def _wait_until(self, under_way: int) -> None:
        """Wait for the oldest deliveries until no more than `under_way` are left."""
        while len(self._under_way) > under_way:
            self._note(self._under_way.popleft().result())

    def _note(self, delivery: Delivery) -> None:
        self.delivered |= delivery.sent
        self.unsent.update(delivery.unsent)
        if delivery.unsent:
            self.report.unsent(delivery.unsent)
        if delivery.unmarked:
            self.report.unmarked(delivery.unmarked, delivery.why)

    def _send(self, answers: Sequence[Answer]) -> Delivery:
        unsent = self.publisher.publish(answers, self.pace)
        now = self.pace.now()
        return Delivery({a.order_id: now for a in answers if a.order_id not in unsent}, unsent)

    def _deliver(self, answers: Sequence[Answer]) -> Delivery:
        delivery = self._send(answers)
        unmarked, why = self._mark([answer for answer in answers if answer.order_id in delivery.sent])
        return Delivery(delivery.sent, delivery.unsent, unmarked, why)

    def _mark(self, answers: Sequence[Answer]) -> tuple[int, Exception | None]:
        """Mark `answers`; returns how many could not be marked, and why if it was all of them."""
        if not answers:
            return 0, None
        try:
            self.pace.check()
            return self.store.mark(answers, self.pace.now()), None
        except Exception as error:  # noqa: BLE001 - the answers are out, whatever is wrong with the marks
            return len(answers), error
