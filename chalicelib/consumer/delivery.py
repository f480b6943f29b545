"""Delivers answers: first into the OMS's queue, then out of the outbox."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from chalicelib.aws.deadline import Deadline
from chalicelib.aws.errors import aws_errors, is_passing, is_throttle
from chalicelib.consumer.report import Report
from chalicelib.domain.reservation import Answer, Reference
from chalicelib.errors import OutOfTime, Refused, Throttled, Unreachable
from chalicelib.store.outbox_store import OutboxStore

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef

MAX_ENTRIES: Final = 10
"""So many answers are always below SQS's 1 MiB for a batch (tests/unit/consumer/test_limits.py).

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""
THREADS: Final = 8
"""Sends at the same time: those of the answers of a full group, nearly."""
IN_PROGRESS: Final = 2 * THREADS
"""Sends begun and not finished: commits must not run far ahead of their answers."""
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Published:
    """Why answers were not sent, by reference, and whether the queue took none because the call failed."""

    failed: Mapping[Reference, Exception]
    away: bool


class Publisher:
    """Puts answers into the OMS's queue, in batches."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def publish(self, answers: Sequence[Answer], deadline: Deadline) -> Published:
        """Send `answers`, at most `MAX_ENTRIES`, and a few times more those that SQS could not take.

        Raises nothing: an answer that is not sent stays in the outbox.
        """
        no_time = OutOfTime("there was no time left to send the answer")
        failed: dict[Reference, Exception] = {answer.reference: no_time for answer in answers}
        left, away = answers, False
        try:
            for _ in deadline.tries(_TRIES):
                problems, away = self._send(left)
                for answer in left:
                    del failed[answer.reference]
                failed |= problems
                left = [a for a in left if (why := problems.get(a.reference)) and is_passing(why)]
                if not left:
                    break
        except OutOfTime:
            pass
        return Published(failed, away)

    def _send(self, batch: Sequence[Answer]) -> tuple[dict[Reference, Exception], bool]:
        """Send one batch; returns why answers were not sent, and whether that was because the call failed."""
        entries = [_entry(str(number), answer) for number, answer in enumerate(batch)]
        try:
            with aws_errors():
                result = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            return {
                batch[int(entry["Id"])].reference: _why(entry) for entry in result.get("Failed", ())
            }, False
        except Exception as error:  # noqa: BLE001 - an unforeseen fault must not take other batches with it
            return dict.fromkeys((answer.reference for answer in batch), error), True


@dataclass
class _Delivery:
    """The answers of one commit on their way, in `parts`, which threads send."""

    change: str
    whole: bool
    parts: int
    sent: list[Reference] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def part_done(self, sent: Sequence[Reference], complete: bool) -> bool:
        """Note what a part has sent; returns whether it was the last."""
        with self.lock:
            self.sent += sent
            self.whole &= complete
            self.parts -= 1
            return self.parts == 0


@dataclass(frozen=True, slots=True)
class _Part:
    """What became of some answers: when they were sent, or why not, and why the outbox still has them."""

    answers: Sequence[Answer]
    published: Published
    at: datetime
    kept: Exception | None = None


@dataclass
class Relay:
    """Sends answers that the outbox owes, and removes them from it.

    `delivered` says when each answer was sent. Only the caller's thread changes it, and reports: what
    `executor` runs talks to AWS and returns what became of it.
    """

    publisher: Publisher
    outbox: OutboxStore
    deadline: Deadline
    report: Report
    executor: Executor
    delivered: dict[Reference, datetime] = field(default_factory=dict)
    away: bool = False
    """Whether a call to the queue failed: then no more are made, since the answers are safe in the outbox."""
    _unsent: dict[Reference, Exception | None] = field(default_factory=dict)
    _in_progress: deque[Future[_Part]] = field(default_factory=deque)

    def deliver(self, change: str, answers: Sequence[Answer], *, whole: bool = True) -> None:
        """Begin to send `answers`, which the commit `change` owes, while the caller goes on.

        `whole`: they are all that the commit owes. `collect` waits for the end. A failure costs a repeat at
        most: the sweep sends what is still in the outbox.
        """
        parts = [answers[start : start + MAX_ENTRIES] for start in range(0, len(answers), MAX_ENTRIES)]
        delivery = _Delivery(change, whole, len(parts))
        for part in parts:
            self._wait_until(IN_PROGRESS - 1)
            if self.away:
                delivery.part_done((), complete=False)
                self._unsent |= {answer.reference: None for answer in part}
            else:
                self._in_progress.append(self.executor.submit(self._deliver, delivery, part))

    def collect(self) -> int:
        """Wait for all deliveries, and report what was not sent; returns how many answers that is."""
        self._wait_until(0)
        unsent, self._unsent = self._unsent, {}
        if unsent:
            self.report.owed(unsent)
        return len(unsent)

    def _wait_until(self, in_progress: int) -> None:
        """Take note of sends that have ended, and wait until no more than `in_progress` are left."""
        while len(self._in_progress) > in_progress or (self._in_progress and self._in_progress[0].done()):
            self._note(self._in_progress.popleft().result())

    def _note(self, part: _Part) -> None:
        self.away |= part.published.away
        for answer in part.answers:
            if why := part.published.failed.get(answer.reference):
                self._unsent[answer.reference] = why
            else:
                self.delivered[answer.reference] = part.at
        if part.kept:
            self.report.kept(part.kept)

    def _deliver(self, delivery: _Delivery, answers: Sequence[Answer]) -> _Part:
        # What was sent has to be removed too: without time for that, each sweep would send the same again.
        published = self.publisher.publish(answers, self.deadline.early())
        now = self.deadline.now()
        sent = [answer.reference for answer in answers if answer.reference not in published.failed]
        kept = None
        if delivery.part_done(sent, complete=not published.failed):
            kept = self._remove(delivery)
        return _Part(answers, published, now, kept)

    def _remove(self, delivery: _Delivery) -> Exception | None:
        """Remove what is sent from the outbox; returns why that failed, if it did."""
        try:
            self.deadline.check()
            if delivery.whole:
                self.outbox.remove(delivery.change)
            elif delivery.sent:
                self.outbox.narrow(delivery.change, delivery.sent)
        except Exception as error:  # noqa: BLE001 - the answers are sent, whatever is wrong with the outbox
            return error
        return None


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
