"""Delivers answers: into the OMS's queue first, then marked as published in their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.consumer.pace import Pace
from chalicelib.consumer.publisher import Publisher
from chalicelib.consumer.report import Report
from chalicelib.core.answers import Answer
from chalicelib.errors import AwsError, OutOfTime
from chalicelib.store.transactions import MAX_STATEMENTS, OrderStore


@dataclass
class Outbox:
    """The answers of one batch; `delivered` says when each order's answer went out."""

    publisher: Publisher
    store: OrderStore
    pace: Pace
    report: Report
    delivered: dict[str, datetime] = field(default_factory=dict)

    def send(self, answers: Sequence[Answer]) -> set[str]:
        """Send `answers` without marking them; returns the ids of the orders whose answer did not go out."""
        unsent = self.publisher.publish(answers, self.pace) if answers else set()
        now = self.pace.now()
        self.delivered |= {a.order_id: now for a in answers if a.order_id not in unsent}
        return unsent

    def deliver(self, answers: Sequence[Answer]) -> set[str]:
        """Send `answers` and mark them; returns the ids of the orders whose answer did not go out.

        A mark that fails is only reported: the answer is out, and at worst goes out once more.
        """
        unsent = self.send(answers)
        sent = [answer for answer in answers if answer.order_id not in unsent]
        for start in range(0, len(sent), MAX_STATEMENTS):
            self._mark(sent[start : start + MAX_STATEMENTS])
        return unsent

    def _mark(self, answers: Sequence[Answer]) -> None:
        try:
            self.pace.check()
            unmarked = self.store.mark(answers, self.pace.now())
        except (AwsError, OutOfTime) as error:
            self.report.unmarked(len(answers), error)
        else:
            if unmarked:
                self.report.unmarked(unmarked)
