"""SQS's queues and messages."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.support.engines.errors import Refusal

MAX_BYTES: Final = 1024 * 1024
ARN: Final = "arn:aws:sqs:us-east-1:000000000000:"
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Message:
    """A message in a queue; times are Unix seconds."""

    id: str
    body: str
    attributes: Mapping[str, Any]
    sent: float
    visible_at: float
    received: int = 0
    first_received: float | None = None
    receipt: str = ""
    source: str = ""  # the ARN of the queue that moved it to the DLQ


@dataclass(slots=True)
class Queue:
    """A standard queue; `dead_letter` names its DLQ, which takes messages that were received too often.

    `visibility`, `delay` and `retention` are in seconds.
    """

    name: str
    visibility: float = 30
    delay: float = 0
    retention: float = 4 * 24 * 3600
    dead_letter: str | None = None
    max_receive_count: int = 0
    messages: dict[str, Message] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://sqs.us-east-1.amazonaws.com/000000000000/{self.name}"

    @property
    def arn(self) -> str:
        return ARN + self.name

    @property
    def bodies(self) -> list[str]:
        """The bodies of all messages in the queue, in flight included, in order of arrival."""
        return [message.body for message in self.messages.values()]

    def expire(self, now: float) -> None:
        """Drop expired messages; their age counts from the first enqueue, in a DLQ too."""
        for message in [m for m in self.messages.values() if m.sent + self.retention <= now]:
            del self.messages[message.id]

    def visible(self, now: float) -> Iterator[Message]:
        """The messages that may be received now."""
        return (message for message in self.messages.values() if message.visible_at <= now)

    def spent(self, now: float) -> list[Message]:
        """The visible messages that have reached `max_receive_count`; none without a DLQ."""
        if self.dead_letter is None:
            return []
        return [message for message in self.visible(now) if message.received >= self.max_receive_count]


@dataclass(frozen=True, slots=True)
class Disorder:
    """The disorder that SQS permits in a standard queue.

    A receive returns messages in any order, and maybe not all of them. With probability
    `duplicate`, a received message stays visible, or a deleted message stays in the queue.
    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
    """

    rng: Random
    duplicate: float = 0.0

    def pick(self, messages: list[Message], most: int) -> list[Message]:
        """The visible messages that a receive returns; at least one if any is visible."""
        if not messages:
            return []
        return self.rng.sample(messages, self.rng.randint(1, min(most, len(messages))))

    def repeats(self) -> bool:
        """Whether to deliver this message again."""
        return self.rng.random() < self.duplicate


def check_message(body: str, attributes: Mapping[str, Any]) -> None:
    """Raise the error of `SendMessage` for a message that SQS does not accept.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    """
    if not body:
        raise Refusal("MissingParameter", "The request must contain the parameter MessageBody.")
    if _FORBIDDEN.search(body):
        raise Refusal("InvalidMessageContents", "The message contains characters outside the allowed set.")
    if len(attributes) > 10:
        raise _bad(f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10].")
    for name, value in attributes.items():
        if not value.get("StringValue") and not value.get("BinaryValue"):
            raise _bad(f"The message attribute '{name}' must contain non-empty message attribute value.")
    if message_size(body, attributes) > MAX_BYTES:
        raise _bad(
            f"One or more parameters are invalid. Reason: Message must be shorter than {MAX_BYTES} bytes."
        )


def message_size(body: str, attributes: Mapping[str, Any]) -> int:
    """The size of a message in bytes: its body and all of its attributes."""
    return len(body.encode()) + sum(
        len(name.encode()) + len(value["DataType"]) + len(_content(value))
        for name, value in attributes.items()
    )


def _bad(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)


def _content(value: Mapping[str, Any]) -> bytes:
    return bytes(value["BinaryValue"]) if "BinaryValue" in value else str(value["StringValue"]).encode()


def digest(data: bytes) -> str:
    """MD5, in hexadecimal."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def attributes_digest(attributes: Mapping[str, Any]) -> str:
    """`MD5OfMessageAttributes`, which clients compare with their own.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    parts = bytearray()
    for name in sorted(attributes):
        value = attributes[name]
        for text in (name.encode(), value["DataType"].encode()):
            parts += struct.pack("!I", len(text)) + text
        content = _content(value)
        parts += (b"\x02" if "BinaryValue" in value else b"\x01") + struct.pack("!I", len(content)) + content
    return digest(bytes(parts))
