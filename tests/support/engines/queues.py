"""Queues and messages as SQS keeps them."""

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
    source: str = ""  # the ARN of the queue that gave it up


@dataclass(slots=True)
class Queue:
    """A standard queue; `dead_letter` names the queue that takes what was received too often.

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
        """What is in the queue, in flight included, in order of arrival."""
        return [message.body for message in self.messages.values()]

    def expire(self, now: float) -> None:
        """Drop what is older than the retention, which counts from the first enqueue, in a DLQ too."""
        for message in [m for m in self.messages.values() if m.sent + self.retention <= now]:
            del self.messages[message.id]

    def visible(self, now: float) -> Iterator[Message]:
        """What may be received now."""
        return (message for message in self.messages.values() if message.visible_at <= now)

    def spent(self, now: float) -> list[Message]:
        """What is visible, but was received as often as it may be."""
        if self.dead_letter is None:
            return []
        return [message for message in self.visible(now) if message.received >= self.max_receive_count]


@dataclass(frozen=True, slots=True)
class Disorder:
    """How a standard queue misbehaves within its rules.

    Messages come in any order, and fewer of them than there are. With probability `duplicate` a message
    stays visible although it was received, and a deletion is forgotten.
    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
    """

    rng: Random
    duplicate: float = 0.0

    def pick(self, messages: list[Message], most: int) -> list[Message]:
        """Which of the visible messages a receive gets; at least one if there is one."""
        if not messages:
            return []
        return self.rng.sample(messages, self.rng.randint(1, min(most, len(messages))))

    def repeats(self) -> bool:
        """Whether to deliver this one again."""
        return self.rng.random() < self.duplicate


def check_message(body: str, attributes: Mapping[str, Any]) -> None:
    """Raise what `SendMessage` does for a message that SQS does not take.

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
    """The bytes that a message counts for: its body and all of its attributes."""
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
