"""Delivers answers: into the OMS's queue first, then marked as published in their records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chalicelib.consumer.pace import Pace
from chalicelib.consumer.publisher import MAX_ENTRIES, Publisher
from chalicelib.consumer.report import Report
from chalicelib.core.answers import Answer
from chalicelib.errors import AwsError, OutOfTime
from chalicelib.store.transactions import OrderStore

DELIVERY: Final = 2 * MAX_ENTRIES
"""Answers of one delivery: two sends and one mark, which takes up to 25."""


@dataclass
class Outbox:
    """The answers of one batch.

    `delivered` says when each order's answer went out, `unsent` has the orders of which one did not. Both are
    touched by the caller's thread alone; what `executor` runs only talks to AWS.
    """

    publisher: Publisher
    store: OrderStore
    pace: Pace
    report: Report
    executor: Executor
    delivered: dict[str, datetime] = field(default_factory=dict)
    unsent: set[str] = field(default_factory=set)
    _under_way: list[tuple[Sequence[Answer], Future[dict[str, datetime]]]] = field(default_factory=list)

    def send(self, answers: Sequence[Answer]) -> None:
        """Send `answers` without marking them."""
        self._note(answers, self._send(answers))

    def deliver(self, answers: Sequence[Answer]) -> None:
        """Begin to send and mark `answers`, while the caller goes on; `collect` waits for the end of it.

        A mark that fails is only reported: the answer is out, and at worst goes out once more.
        """
        for start in range(0, len(answers), DELIVERY):
            part = answers[start : start + DELIVERY]
            self._under_way.append((part, self.executor.submit(self._deliver, part)))

    def collect(self) -> set[str]:
        """Wait for all deliveries; returns the ids of the orders of which an answer did not go out."""
        for answers, delivery in self._under_way:
            sent: dict[str, datetime] = {}
            try:
                sent = delivery.result()
            except Exception as error:  # noqa: BLE001 - an unforeseen fault must not fail the other deliveries
                self.report.failed(_order_ids(answers), error)
            self._note(answers, sent)
        self._under_way.clear()
        return self.unsent

    def _note(self, answers: Iterable[Answer], sent: dict[str, datetime]) -> None:
        self.delivered |= sent
        self.unsent.update(order_id for order_id in _order_ids(answers) if order_id not in sent)

    def _deliver(self, answers: Sequence[Answer]) -> dict[str, datetime]:
        sent = self._send(answers)
        self._mark([answer for answer in answers if answer.order_id in sent])
        return sent

    def _send(self, answers: Sequence[Answer]) -> dict[str, datetime]:
        """Send `answers`; returns when each went out, by order."""
        unsent = self.publisher.publish(answers, self.pace) if answers else set()
        now = self.pace.now()
        return {order_id: now for order_id in _order_ids(answers) if order_id not in unsent}

    def _mark(self, answers: Sequence[Answer]) -> None:
        if not answers:
            return
        try:
            self.pace.check()
            unmarked = self.store.mark(answers, self.pace.now())
        except (AwsError, OutOfTime) as error:
            self.report.unmarked(len(answers), error)
        else:
            if unmarked:
                self.report.unmarked(unmarked)


def _order_ids(answers: Iterable[Answer]) -> list[str]:
    return [answer.order_id for answer in answers]
