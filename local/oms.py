"""The OMS's side of the queues: sends messages, and receives the answers to its orders."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

Message = dict[str, Any]
Items = Mapping[str, int]
"""Units by SKU."""
_ANSWERS: Final = {
    "ReserveInventory": {"InventoryReserved", "InventoryReservationFailed"},
    "ConfirmInventory": {"InventoryConfirmed"},
    "ExtendInventory": {"InventoryExtended"},
    "FulfillInventory": {"InventoryFulfilled"},
    "ReleaseInventory": {"InventoryReleased"},
}
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


def reserve(
    order_id: str, items: Items, customer_id: str = "customer-1", expires_at: str | None = None
) -> Message:
    """A message that asks for the stock of an order, until `expires_at` if it is a hold."""
    hold = {} if expires_at is None else {"expires_at": expires_at}
    asked = {"order_id": order_id, "customer_id": customer_id, "items": _lines(items), **hold}
    return {"type": "ReserveInventory", **asked, "timestamp": now()}


def confirm(order_id: str) -> Message:
    """A message that makes a hold firm."""
    return {"type": "ConfirmInventory", "order_id": order_id, "timestamp": now()}


def extend(order_id: str, operation_id: str, expires_at: str) -> Message:
    """A message that moves the end of a hold."""
    asked = {"order_id": order_id, "operation_id": operation_id, "expires_at": expires_at}
    return {"type": "ExtendInventory", **asked, "timestamp": now()}


def fulfill(order_id: str, operation_id: str | None = None, items: Items | None = None) -> Message:
    """A message that reports an order, or a part of it, as shipped."""
    return {"type": "FulfillInventory", **_part(order_id, operation_id, items), "timestamp": now()}


def release(
    order_id: str,
    operation_id: str | None = None,
    items: Items | None = None,
    reason: str = "CUSTOMER_CANCELLED",
) -> Message:
    """A message that returns the stock of an order, or of a part of it."""
    asked = {**_part(order_id, operation_id, items), "reason": reason}
    return {"type": "ReleaseInventory", **asked, "timestamp": now()}


def is_answer(answer: Message, message: Message) -> bool:
    """Whether `answer` answers `message`, and not another one about its order, or the end of its hold."""
    if answer["type"] == "InventoryChangeRejected":
        fits = answer["operation"] == message["type"]
    else:
        fits = answer["type"] in _ANSWERS[message["type"]] and "expired_at" not in answer
    # An id that the rules refuse does not come back.
    return fits and answer.get("operation_id") in (None, message.get("operation_id"))


def _part(order_id: str, operation_id: str | None, items: Items | None) -> Message:
    part: Message = {"order_id": order_id}
    if operation_id is not None:
        part["operation_id"] = operation_id
    if items is not None:
        part["items"] = _lines(items)
    return part


def _lines(items: Items) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]


def new_id(kind: str) -> str:
    """A new id: `kind` and eight random characters."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def now() -> str:
    """The current time in the format of messages: ISO 8601, UTC."""
    return in_(0)


def in_(seconds: float) -> str:
    """The time in so many seconds, in the format of messages."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
