"""Answers out: the events that go to the OMS's queue, as JSON texts."""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid5

from chalicelib.core.fields import Outcome
from chalicelib.core.messages import MAX_SKUS, Invalid, Reserve, TooMany
from chalicelib.core.planner import Decision, Shortage
from chalicelib.core.records import OrderRecord

# Made once with uuid4. Changing it would give answers that were sent already another event_id.
_NAMESPACE: Final = UUID("6f0c2a52-4f1e-4b0e-9d0c-3a8f5f6f3c11")


class AnswerType(StrEnum):
    """The types of events that the OMS receives."""

    RESERVED = "InventoryReserved"
    FAILED = "InventoryReservationFailed"
    RELEASED = "InventoryReleased"


_OUTCOMES: Final = {
    AnswerType.RESERVED: Outcome.RESERVED,
    AnswerType.FAILED: Outcome.REJECTED,
    AnswerType.RELEASED: Outcome.RELEASED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An event for the OMS; `body` is its JSON text, stored with the order and never made anew."""

    order_id: str
    type: AnswerType
    body: str

    @property
    def outcome(self) -> Outcome:
        """The outcome that this answers."""
        return _OUTCOMES[self.type]


def event_id(order_id: str, kind: AnswerType) -> str:
    """The id of an answer: the same for every sending of it, so that the OMS can drop a repeat."""
    return str(uuid5(_NAMESPACE, f"{kind}:{order_id}"))


def reserve_answer(decision: Decision, now: str) -> Answer:
    """The answer to a `ReserveInventory`, decided at `now` (ISO 8601, UTC)."""
    order = decision.order
    if decision.failure is None:
        details: dict[str, Any] = {"customer_id": order.customer_id, "items": _items(order.items)}
        return _answer(order.order_id, AnswerType.RESERVED, now, **details)
    details = {"customer_id": order.customer_id, "reason": decision.failure}
    details["items"] = [_shortage(shortage) for shortage in decision.shortages]
    if isinstance(order.refusal, Invalid):
        details["errors"] = [{"field": e.field, "message": e.message} for e in order.refusal.errors]
    elif isinstance(order.refusal, TooMany):
        details["counts"] = {"skus": order.refusal.skus, "limit": MAX_SKUS}
    return _answer(order.order_id, AnswerType.FAILED, now, **details)


def release_answer(order_id: str, items: Mapping[str, int], missing: Set[str], now: str) -> Answer:
    """The answer to a `ReleaseInventory`: what of `items` went back, and which SKUs no longer exist."""
    back = {sku: units for sku, units in items.items() if sku not in missing}
    lost = [sku for sku in items if sku in missing]
    extra = {"missing": lost} if lost else {}
    return _answer(order_id, AnswerType.RELEASED, now, items=_items(back), **extra)


def order_record(order: Reserve, answer: Answer, now: str) -> OrderRecord:
    """The record of `order`, settled at `now` (ISO 8601, UTC) with `answer`."""
    return OrderRecord(order.order_id, answer.outcome, now, order.customer_id, order.items, answer.body)


def owed(record: OrderRecord) -> Answer | None:
    """The answer of a recorded order that is not marked as published, if there is one.

    A released order owes no more than its release's answer: its first was sent before it was released.
    """
    if record.outcome is Outcome.RELEASED:
        event, published_at = record.release_event, record.release_published_at
    else:
        event, published_at = record.event, record.published_at
    if event is None or published_at is not None:
        return None
    return Answer(record.order_id, AnswerType(json.loads(event)["type"]), event)


def _answer(order_id: str, kind: AnswerType, now: str, **details: Any) -> Answer:
    head = {"type": kind, "event_id": event_id(order_id, kind), "order_id": order_id}
    # ASCII only: SQS refuses some characters that a customer_id may hold (U+FFFF), and takes them escaped.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    return Answer(order_id, kind, json.dumps(head | details | {"timestamp": now}, separators=(",", ":")))


def _items(items: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": units} for sku, units in items.items()]


def _shortage(shortage: Shortage) -> dict[str, Any]:
    return {
        "sku": shortage.sku,
        "requested": shortage.requested,
        "available": shortage.available or 0,
        "reason": shortage.failure,
    }
