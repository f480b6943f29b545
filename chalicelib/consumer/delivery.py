"""Delivers answers: first into the OMS's queue, then marked as published in their records."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from chalicelib.aws.deadline import Deadline
from chalicelib.aws.errors import aws_errors, is_passing, is_throttle
from chalicelib.consumer.report import Report
from chalicelib.domain.reservation import Answer
from chalicelib.errors import OutOfTime, Refused, Throttled, Unreachable
from chalicelib.store.order_store import OrderStore

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef

MAX_ENTRIES: Final = 10
"""So many answers are always below SQS's 1 MiB for a batch (tests/unit/consumer/test_limits.py).

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""
DELIVERY: Final = 2 * MAX_ENTRIES
"""Answers of one delivery: two sends and one mark, which takes up to 25."""
THREADS: Final = 4
"""Deliveries at the same time: those of a full group of orders that share SKUs."""
IN_PROGRESS: Final = 2 * THREADS
"""Deliveries begun and not finished: commits must not run far ahead of their answers."""
_TRIES: Final = 6


class Publisher:
    """Puts answers into the OMS's queue, in batches."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def publish(self, answers: Sequence[Answer], deadline: Deadline) -> dict[str, Exception]:
        """Send `answers`, one an order, and retry those that SQS could not take.

        Returns why the others were not sent, by order. Raises nothing: an answer that is not sent stays
        owed, and its order is retried.
        """
        given_up: dict[str, Exception] = {}
        left = list(answers)
        for attempt in range(_TRIES):
            failed: dict[str, Exception] = {}
            for start in range(0, len(left), MAX_ENTRIES):
                failed |= self._send(left[start : start + MAX_ENTRIES], deadline)
            again = {
                order: why for order, why in failed.items() if is_passing(why) or isinstance(why, OutOfTime)
            }
            given_up |= {order: why for order, why in failed.items() if order not in again}
            if not again:
                break
            left = [answer for answer in left if answer.order_id in again]
            try:
                deadline.pause(attempt)
            except OutOfTime:
                break
        return given_up | again

    def _send(self, batch: Sequence[Answer], deadline: Deadline) -> dict[str, Exception]:
        """Send one batch; returns why answers were not sent, by order."""
        entries = [_entry(str(number), answer) for number, answer in enumerate(batch)]
        try:
            deadline.check()
            with aws_errors():
                result = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            return {batch[int(entry["Id"])].order_id: _why(entry) for entry in result.get("Failed", ())}
        except Exception as error:  # noqa: BLE001 - an unforeseen fault must not take other batches with it
            return dict.fromkeys((answer.order_id for answer in batch), error)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of some answers: when each was sent, or why not, and how many could not be marked."""

    sent: Mapping[str, datetime]
    unsent: Mapping[str, Exception]
    unmarked: int = 0
    why: Exception | None = None


@dataclass
class Outbox:
    """The answers to the commands of one kind in a batch.

    `delivered` says when each order's answer was sent, `unsent` has the orders of which one was not. Only the
    caller's thread changes them, and reports: what `executor` runs talks to AWS and returns a `Delivery`.
    """

    publisher: Publisher
    store: OrderStore
    deadline: Deadline
    report: Report
    executor: Executor
    delivered: dict[str, datetime] = field(default_factory=dict)
    unsent: set[str] = field(default_factory=set)
    _in_progress: deque[Future[Delivery]] = field(default_factory=deque)

    def send(self, answers: Sequence[Answer]) -> None:
        """Send `answers` without marking them."""
        self._note(self._send(answers))

    def deliver(self, answers: Sequence[Answer]) -> None:
        """Begin to send and mark `answers`, while the caller goes on; `collect` waits for the end of it.

        A mark that fails is only reported: the answer is sent, and at worst it is sent once more.
        """
        for start in range(0, len(answers), DELIVERY):
            self._wait_until(IN_PROGRESS - 1)
            part = answers[start : start + DELIVERY]
            self._in_progress.append(self.executor.submit(self._deliver, part))

    def collect(self) -> set[str]:
        """Wait for all deliveries; returns the ids of the orders of which an answer was not sent."""
        self._wait_until(0)
        return self.unsent

    def _wait_until(self, in_progress: int) -> None:
        """Wait for the oldest deliveries until no more than `in_progress` are left."""
        while len(self._in_progress) > in_progress:
            self._note(self._in_progress.popleft().result())

    def _note(self, delivery: Delivery) -> None:
        self.delivered |= delivery.sent
        self.unsent.update(delivery.unsent)
        if delivery.unsent:
            self.report.unsent(delivery.unsent)
        if delivery.unmarked:
            self.report.unmarked(delivery.unmarked, delivery.why)

    def _send(self, answers: Sequence[Answer]) -> Delivery:
        unsent = self.publisher.publish(answers, self.deadline)
        now = self.deadline.now()
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
            self.deadline.check()
            return self.store.mark_published(answers, self.deadline.now()), None
        except Exception as error:  # noqa: BLE001 - the answers are sent, whatever is wrong with the marks
            return len(answers), error


def _why(failure: BatchResultErrorEntryTypeDef) -> Exception:
    code = failure["Code"]
    if is_throttle(code):  # SQS reports throttling as the sender's fault too
        return Throttled(f"SQS throttled an answer: {code}")
    if failure["SenderFault"]:
        return Refused(f"SQS refused an answer: {code}", code)
    return Unreachable(f"SQS failed at an answer: {code}")


def _entry(entry_id: str, answer: Answer) -> Any:
    return {
        "Id": entry_id,
        "MessageBody": answer.body,
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": answer.type.value}},
    }
