"""The sweep: sends the answers that are still in the outbox, as their sender has died or could not send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from chalicelib.aws.deadline import Deadline
from chalicelib.aws.dynamodb import MAX_KEYS
from chalicelib.consumer.delivery import Publisher, Relay
from chalicelib.consumer.report import Report
from chalicelib.domain.reservation import Answer, Reservation
from chalicelib.domain.rulings import answer_to
from chalicelib.errors import OutOfTime
from chalicelib.services.answers import change_answer
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore, Owed

PATIENCE: Final = timedelta(seconds=30)
"""Younger items are left to the consumer that committed them: it is probably sending their answers now."""


@dataclass(frozen=True)
class Sweep:
    """Sends what the outbox owes. Several sweeps at once, or one beside a consumer, cost repeats at most."""

    orders: OrderStore
    outbox: OutboxStore
    publisher: Publisher
    executor: Executor
    report: Report = field(default_factory=Report)

    def run(self, deadline: Deadline) -> None:
        """Send the answers that have been owed for longer than `PATIENCE`, until the deadline is near.

        What is left is for the next sweep. It stops early where the queue takes nothing. Raises `AwsError`.
        """
        now = deadline.now()
        relay = Relay(self.publisher, self.outbox, deadline, self.report, self.executor)
        answers, oldest, complete = 0, timedelta(), False
        try:
            for page in self.outbox.scan(deadline):
                answers += sum(len(owed.references) for owed in page)
                oldest = max([oldest, *(now - owed.created_at for owed in page)])
                self._send([owed for owed in page if now - owed.created_at > PATIENCE], relay, deadline)
            complete = True
        except OutOfTime:
            pass
        finally:
            relay.collect()
            # A sweep that cannot read the outbox must not report that it is empty: silence raises the alarm.
            if complete or answers:
                self.report.swept(answers, oldest, len(relay.delivered))

    def _send(self, page: Sequence[Owed], relay: Relay, deadline: Deadline) -> None:
        for items in _in_batches(page):
            if relay.away:
                return
            order_ids = {reference.order_id for owed in items for reference in owed.references}
            records = self.orders.read(order_ids, (), deadline).reservations
            for owed in items:
                found, lost = _answers(owed, records)
                if lost:
                    self.report.lost(owed.change, lost)
                if found:
                    relay.deliver(owed.change, found, whole=not lost)
                elif not lost:
                    self.outbox.remove(owed.change)


def _answers(owed: Owed, records: Mapping[str, Reservation | None]) -> tuple[list[Answer], list[str]]:
    """The answers that `owed` names, and the orders of those that are lost."""
    found: list[Answer] = []
    lost: list[str] = []
    for reference in owed.references:
        record = records[reference.order_id]
        answer = answer_to(record, reference, change_answer) if record else None
        if answer:
            found.append(answer)
        else:
            lost.append(reference.order_id)
    return found, lost


def _in_batches(page: Sequence[Owed]) -> Iterator[list[Owed]]:
    """Split `page` so that the records of a batch take one call to read."""
    batch: list[Owed] = []
    for owed in page:
        if batch and sum(len(other.references) for other in batch) + len(owed.references) > MAX_KEYS:
            yield batch
            batch = []
        batch.append(owed)
    if batch:
        yield batch
