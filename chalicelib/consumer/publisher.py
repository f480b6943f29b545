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
    from types_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef

MAX_ENTRIES: Final = 10
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""
MAX_BYTES: Final = 1_000_000
"""Under SQS's 1 MiB for a batch, to leave room for the message attribute."""
_TRIES: Final = 6
_MAY_PASS: Final = (OutOfTime, Throttled, Unreachable)


class Publisher:
    """Puts answers into the OMS's queue, in batches."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def publish(self, answers: Sequence[Answer], pace: Pace) -> dict[str, Exception]:
        """Send `answers`, one an order, trying again those that SQS could not take.

        Returns why the others were not sent, by order. Raises nothing: an answer that is not sent stays
        owed, and its order is tried again.
        """
        given_up: dict[str, Exception] = {}
        left = list(answers)
        for attempt in range(_TRIES):
            failed: dict[str, Exception] = {}
            for batch in _batches(left):
                failed |= self._send(batch, pace)
            again = {order: why for order, why in failed.items() if isinstance(why, _MAY_PASS)}
            given_up |= {order: why for order, why in failed.items() if order not in again}
            if not again:
                break
            left = [answer for answer in left if answer.order_id in again]
            try:
                pace.pause(attempt)
            except OutOfTime:
                break
        return given_up | again

    def _send(self, batch: Sequence[Answer], pace: Pace) -> dict[str, Exception]:
        """Send one batch; returns why answers were not sent, by order."""
        entries = [_entry(str(number), answer) for number, answer in enumerate(batch)]
        try:
            pace.check()
            with aws_errors():
                result = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            return {batch[int(entry["Id"])].order_id: _why(entry) for entry in result.get("Failed", ())}
        except Exception as error:  # noqa: BLE001 - an unforeseen fault must not take other batches with it
            return dict.fromkeys((answer.order_id for answer in batch), error)


def _why(failure: BatchResultErrorEntryTypeDef) -> Exception:
    code = failure["Code"]
    if is_throttle(code):  # SQS calls throttling the sender's fault too
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
