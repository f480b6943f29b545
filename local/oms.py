"""The OMS's side of the queues: sends messages, and receives the answers to its orders."""

from __future__ import annotations

import json
import os
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

Message = dict[str, Any]
QUEUES: Final = ("IMS_INVENTORY_QUEUE_URL", "OMS_EVENTS_QUEUE_URL")
"""The variables that an OMS needs."""
_LOOKS: Final = 50


class Oms:
    """An OMS that shares its queue of answers with others, and takes only the answers to its own orders."""

    def __init__(
        self, sqs: SQSClient, inventory_queue_url: str, answers_queue_url: str, dlq_url: str = ""
    ) -> None:
        self._sqs = sqs
        self._inventory_queue_url = inventory_queue_url
        self._answers_queue_url = answers_queue_url
        self._dlq_url = dlq_url

    @classmethod
    def of_environment(cls, sqs: SQSClient) -> Self:
        """Create the OMS of the stage in the environment; raises `KeyError` if a variable is missing."""
        inventory, answers = (os.environ[name] for name in QUEUES)
        return cls(sqs, inventory, answers, os.environ.get("IMS_DLQ_URL", ""))

    def send(self, message: Message | str) -> None:
        """Send one message to the IMS; text is sent unchanged."""
        body = message if isinstance(message, str) else json.dumps(message)
        self._sqs.send_message(QueueUrl=self._inventory_queue_url, MessageBody=body)

    def answers(self, order_ids: set[str], count: int, seconds: float) -> list[Message]:
        """Receive the answers to `order_ids`; return when there are `count` of them, or after `seconds`."""
        found: list[Message] = []
        deadline = time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            received = self._sqs.receive_message(
                QueueUrl=self._answers_queue_url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
                VisibilityTimeout=5,  # answers to other orders are soon visible to others again
            ).get("Messages", [])
            for each in received:
                answer = json.loads(each["Body"])
                if answer["order_id"] in order_ids:
                    found.append(answer)
                    self._sqs.delete_message(
                        QueueUrl=self._answers_queue_url, ReceiptHandle=each["ReceiptHandle"]
                    )
        return found

    def is_dead_letter(self, message: Message) -> bool:
        """Look for `message` in the dead-letter queue, where it stays; False if the stage names none.

        At most 500 dead letters are read. They are hidden from others for some seconds.
        """
        body = json.dumps(message)
        for _ in range(_LOOKS if self._dlq_url else 0):
            received = self._sqs.receive_message(
                QueueUrl=self._dlq_url, MaxNumberOfMessages=10, VisibilityTimeout=5
            ).get("Messages", [])
            if any(each["Body"] == body for each in received):
                return True
            if not received:
                break
        return False


def reserve(order_id: str, items: dict[str, int], customer_id: str = "customer-1") -> Message:
    """A message that asks for the stock of an order; `items` is the quantity by SKU."""
    return {
        "type": "ReserveInventory",
        "order_id": order_id,
        "customer_id": customer_id,
        "items": [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()],
        "timestamp": now(),
    }


def release(order_id: str, reason: str = "CUSTOMER_CANCELLED") -> Message:
    """A message that returns the stock of an order."""
    return {"type": "ReleaseInventory", "order_id": order_id, "reason": reason, "timestamp": now()}


def new_id(kind: str) -> str:
    """A new id: `kind` and eight random characters."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def now() -> str:
    """The current time in the format of messages: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
