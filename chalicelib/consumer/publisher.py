"""Sends answers to the OMS's queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from chalicelib.consumer.pace import Pace
from chalicelib.core.answers import Answer
from chalicelib.errors import OutOfTime, Refused, Throttled, Unreachable
from chalicelib.store.calls import aws_errors, is_throttle

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

MAX_ENTRIES: Final = 10
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""
MAX_BYTES: Final = 1_000_000
"""Under SQS's 1 MiB for a batch, to leave room for the message attribute."""
_TRIES: Final = 6


class Publisher:
    """Puts answers into the OMS's queue, in batches."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def publish(self, answers: Sequence[Answer], pace: Pace) -> set[str]:
        """Send `answers`, trying again those that SQS could not take; returns the ids of the orders not told.

        Raises nothing that concerns AWS: an answer that is not sent stays owed, and its order is tried again.
        """
        refused: set[str] = set()
        left = list(answers)
        for attempt in range(_TRIES):
            left = [answer for batch in _batches(left) for answer in self._send(batch, refused, pace)]
            if not left:
                break
            try:
                pace.pause(attempt)
            except OutOfTime:
                break
        return refused | {answer.order_id for answer in left}

    def _send(self, batch: Sequence[Answer], refused: set[str], pace: Pace) -> list[Answer]:
        """Send one batch; returns the answers to try again, and adds hopeless ones' orders to `refused`."""
        entries = [_entry(str(number), answer) for number, answer in enumerate(batch)]
        try:
            pace.check()
            with aws_errors():
                result = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
        except (OutOfTime, Throttled, Unreachable):
            return list(batch)
        except Refused:
            refused.update(answer.order_id for answer in batch)
            return []
        again = []
        for failure in result.get("Failed", ()):
            answer = batch[int(failure["Id"])]
            # SQS calls throttling the sender's fault too.
            if failure["SenderFault"] and not is_throttle(failure["Code"]):
                refused.add(answer.order_id)
            else:
                again.append(answer)
        return again


def _entry(entry_id: str, answer: Answer) -> Any:
    return {
        "Id": entry_id,
        "MessageBody": answer.body,
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": answer.type.value}},
    }


def _batches(answers: Sequence[Answer]) -> Iterator[list[Answer]]:
    batch: list[Answer] = []
    size = 0
    for answer in answers:
        if batch and (len(batch) == MAX_ENTRIES or size + len(answer.body) > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(answer)
        size += len(answer.body)  # ASCII: one byte a character
    if batch:
        yield batch
