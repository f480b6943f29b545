"""An in-memory stand-in for the SQS client, for standard queues.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html
A receive never waits, since time is simulated: `WaitTimeSeconds` is accepted and ignored.
"""
# ruff: noqa: N803 - the arguments have boto3's names

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from tests.support.engines.batches import Entry, bad_value, check_batch, each, refused
from tests.support.engines.engine import Clock, Engine, operation
from tests.support.engines.errors import Refusal
from tests.support.engines.queues import (
    MAX_BYTES,
    Disorder,
    Message,
    Queue,
    attributes_digest,
    check_message,
    digest,
    message_size,
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that a queue accepted."""

    time: float
    queue: str
    id: str
    body: str
    attributes: Mapping[str, Any]


class FakeSQS(Engine):
    """`FakeSQS([Queue("name", …), …], clock=…)`.

    `queues` has the queues by name; `history` has all sent messages. With a `disorder`, messages arrive in
    any order and more than once; without one, they keep their order.
    """

    service: ClassVar[str] = "sqs"

    def __init__(
        self,
        queues: Iterable[Queue],
        clock: Clock = time.time,
        *,
        checked: bool = True,
        record: bool = False,
        disorder: Disorder | None = None,
    ) -> None:
        super().__init__(clock, checked=checked, record=record)
        self.queues = {queue.name: queue for queue in queues}
        self.disorder = disorder
        self.history: list[Sent] = []
        self._receipts: dict[str, str] = {}  # message ids by receipt handle, for all handles ever issued

    def find(self, url: str) -> Queue:
        """A queue by its URL; raises QueueDoesNotExist."""
        name = url.rpartition("/")[2]
        if name not in self.queues or url != self.queues[name].url:
            raise refused("NonExistentQueue", "The specified queue does not exist.", "QueueDoesNotExist")
        return self.queues[name]

    @operation
    def send_message(
        self,
        *,
        QueueUrl: str,
        MessageBody: str,
        DelaySeconds: int | None = None,
        MessageAttributes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return self._send(self.find(QueueUrl), MessageBody, MessageAttributes or {}, DelaySeconds)

    @operation
    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Entry]) -> dict[str, Any]:
        queue = self.find(QueueUrl)
        check_batch(Entries, "SendMessageBatchRequestEntry")
        total = sum(
            message_size(entry["MessageBody"], entry.get("MessageAttributes") or {}) for entry in Entries
        )
        if total > MAX_BYTES:
            raise refused(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {MAX_BYTES} bytes. You have sent {total} bytes.",
            )
        return each(
            Entries,
            lambda entry: self._send(
                queue,
                entry["MessageBody"],
                entry.get("MessageAttributes") or {},
                entry.get("DelaySeconds"),
            ),
        )

    def _send(
        self, queue: Queue, body: str, attributes: Mapping[str, Any], delay: float | None
    ) -> dict[str, Any]:
        check_message(body, attributes)
        now = self.clock()
        sent = Sent(now, queue.name, str(UUID(int=len(self.history) + 1)), body, dict(attributes))
        self.history.append(sent)
        visible_at = now + (queue.delay if delay is None else delay)
        queue.messages[sent.id] = Message(sent.id, body, sent.attributes, now, visible_at)
        answer = {"MessageId": sent.id, "MD5OfMessageBody": digest(body.encode())}
        if attributes:
            answer["MD5OfMessageAttributes"] = attributes_digest(attributes)
        return answer

    @operation
    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int = 1,
        VisibilityTimeout: int | None = None,
        WaitTimeSeconds: int = 0,
        AttributeNames: Sequence[str] = (),
        MessageSystemAttributeNames: Sequence[str] = (),
        MessageAttributeNames: Sequence[str] = (),
    ) -> dict[str, Any]:
        queue, now = self.find(QueueUrl), self.clock()
        if not 1 <= MaxNumberOfMessages <= 10:
            raise bad_value(
                "MaxNumberOfMessages", MaxNumberOfMessages, "Must be between 1 and 10, if provided."
            )
        queue.expire(now)
        self._redrive(queue, now)
        visible = list(queue.visible(now))
        picked = (
            visible[:MaxNumberOfMessages]
            if self.disorder is None
            else self.disorder.pick(visible, MaxNumberOfMessages)
        )
        hidden_for = queue.visibility if VisibilityTimeout is None else VisibilityTimeout
        wanted = (*AttributeNames, *MessageSystemAttributeNames)
        received = [
            self._receive(message, now, hidden_for, wanted, MessageAttributeNames) for message in picked
        ]
        return {"Messages": received} if received else {}

    def _redrive(self, queue: Queue, now: float) -> None:
        for message in queue.spent(now):
            del queue.messages[message.id]
            message.source = message.source or queue.arn
            message.receipt = ""
            self.queues[str(queue.dead_letter)].messages[message.id] = message

    def _receive(
        self,
        message: Message,
        now: float,
        hidden_for: float,
        wanted: Sequence[str],
        attribute_names: Sequence[str],
    ) -> dict[str, Any]:
        message.received += 1
        message.first_received = message.first_received or now
        if self.disorder is None or not self.disorder.repeats():
            message.visible_at = now + hidden_for
        message.receipt = f"receipt-{len(self._receipts) + 1}"
        self._receipts[message.receipt] = message.id
        answer: dict[str, Any] = {
            "MessageId": message.id,
            "ReceiptHandle": message.receipt,
            "MD5OfBody": digest(message.body.encode()),
            "Body": message.body,
        }
        facts = {
            "SenderId": "000000000000",
            "SentTimestamp": str(int(message.sent * 1000)),
            "ApproximateReceiveCount": str(message.received),
            "ApproximateFirstReceiveTimestamp": str(int(message.first_received * 1000)),
            **({"DeadLetterQueueSourceArn": message.source} if message.source else {}),
        }
        if selected := {name: fact for name, fact in facts.items() if {name, "All"} & set(wanted)}:
            answer["Attributes"] = selected
        attributes = {
            name: dict(value)
            for name, value in message.attributes.items()
            if any(_matches(name, pattern) for pattern in attribute_names)
        }
        if attributes:
            answer |= {
                "MessageAttributes": attributes,
                "MD5OfMessageAttributes": attributes_digest(attributes),
            }
        return answer

    @operation
    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        return self._delete(self.find(QueueUrl), ReceiptHandle)

    @operation
    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[Entry]) -> dict[str, Any]:
        queue = self.find(QueueUrl)
        check_batch(Entries, "DeleteMessageBatchRequestEntry")
        return each(Entries, lambda entry: self._delete(queue, entry["ReceiptHandle"]))

    def _delete(self, queue: Queue, receipt: str) -> dict[str, Any]:
        # With an old handle the call succeeds and the message stays. A second deletion succeeds.
        message = self._known(queue, receipt)
        forgotten = self.disorder is not None and self.disorder.repeats()
        if message is not None and message.receipt == receipt and not forgotten:
            del queue.messages[message.id]
        return {}

    @operation
    def change_message_visibility(
        self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int
    ) -> dict[str, Any]:
        return self._change(self.find(QueueUrl), ReceiptHandle, VisibilityTimeout)

    @operation
    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[Entry]) -> dict[str, Any]:
        queue = self.find(QueueUrl)
        check_batch(Entries, "ChangeMessageVisibilityBatchRequestEntry")
        return each(
            Entries, lambda entry: self._change(queue, entry["ReceiptHandle"], entry["VisibilityTimeout"])
        )

    def _change(self, queue: Queue, receipt: str, seconds: int) -> dict[str, Any]:
        now = self.clock()
        if not 0 <= seconds <= 12 * 3600:
            raise bad_value("VisibilityTimeout", seconds, "Must be between 0 and 43200, if provided.")
        message = self._known(queue, receipt)
        if message is None or message.visible_at <= now:
            raise bad_value(
                "ReceiptHandle",
                receipt,
                "Message does not exist or is not available for visibility timeout change.",
            )
        message.visible_at = now + seconds
        return {}

    def _known(self, queue: Queue, receipt: str) -> Message | None:
        if receipt not in self._receipts:
            raise Refusal("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        return queue.messages.get(self._receipts[receipt])

    @operation
    def purge_queue(self, *, QueueUrl: str) -> dict[str, Any]:
        self.find(QueueUrl).messages.clear()
        return {}

    @operation
    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: Sequence[str] = ()) -> dict[str, Any]:
        queue, now = self.find(QueueUrl), self.clock()
        queue.expire(now)
        hidden = [message for message in queue.messages.values() if message.visible_at > now]
        facts = {
            "QueueArn": queue.arn,
            "VisibilityTimeout": f"{queue.visibility:g}",
            "DelaySeconds": f"{queue.delay:g}",
            "MessageRetentionPeriod": f"{queue.retention:g}",
            "ApproximateNumberOfMessages": str(len(queue.messages) - len(hidden)),
            "ApproximateNumberOfMessagesNotVisible": str(sum(m.received > 0 for m in hidden)),
            "ApproximateNumberOfMessagesDelayed": str(sum(m.received == 0 for m in hidden)),
        }
        if queue.dead_letter:
            target = {"deadLetterTargetArn": self.queues[queue.dead_letter].arn}
            facts["RedrivePolicy"] = json.dumps({**target, "maxReceiveCount": queue.max_receive_count})
        selected = {name: fact for name, fact in facts.items() if {name, "All"} & set(AttributeNames)}
        return {"Attributes": selected} if selected else {}


def _matches(name: str, pattern: str) -> bool:
    return pattern in {"All", ".*", name} or (pattern.endswith(".*") and name.startswith(pattern[:-2]))
