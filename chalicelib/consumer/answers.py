"""Answers: from a decision to the event that the OMS receives, as the JSON text that is stored and sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.contracts.events import (
    Event,
    InvalidField,
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    Item,
    ItemCounts,
    ShortItem,
    event_id,
)
from chalicelib.domain.commands import MAX_SKUS, Invalid, TooMany
from chalicelib.domain.planner import Decision, Released, Shortage
from chalicelib.domain.reservation import TRANSITIONS, Answer, AnswerType, Change, Reservation
from chalicelib.domain.writes import CreateReservation, MarkReleased, ReservationWrite


def reserve_answer(decision: Decision, now: str) -> Answer:
    """The answer to a `ReserveInventory`, decided at `now` (ISO 8601, UTC)."""
    order = decision.order
    change = Change.REJECT if decision.failure else Change.RESERVE
    head = _head(TRANSITIONS[None, change].answer, order.order_id)
    if decision.failure is None:
        return _answer(
            InventoryReserved(**head, customer_id=order.customer_id, items=_items(order.items), timestamp=now)
        )
    errors = order.refusal.errors if isinstance(order.refusal, Invalid) else ()
    skus = order.refusal.skus if isinstance(order.refusal, TooMany) else None
    return _answer(
        InventoryReservationFailed(
            **head,
            customer_id=order.customer_id,
            reason=decision.failure.value,
            items=[_short(shortage) for shortage in decision.shortages],
            errors=[InvalidField(field=error.field, message=error.message) for error in errors],
            counts=ItemCounts(skus=skus, limit=MAX_SKUS) if skus else None,
            timestamp=now,
        )
    )


def release_answer(released: Released, now: str) -> Answer:
    """The answer to a `ReleaseInventory`, decided at `now` (ISO 8601, UTC)."""
    head = _head(AnswerType.RELEASED, released.order.order_id)
    items, missing = _items(released.returned), list(released.missing)
    return _answer(InventoryReleased(**head, items=items, missing=missing, timestamp=now))


def reserve_write(decision: Decision, answer: Answer, now: str) -> CreateReservation:
    """How `decision`, made at `now` (ISO 8601, UTC), is recorded together with its answer."""
    order = decision.order
    return CreateReservation(
        Reservation(order.order_id, answer.outcome, now, order.customer_id, order.items, answer.body)
    )


def release_write(released: Released, answer: Answer, now: str) -> ReservationWrite:
    """How a release, decided at `now` (ISO 8601, UTC), is recorded together with its answer."""
    if released.order.reservation is None:
        tombstone = Reservation(answer.order_id, answer.outcome, created_at=now, release_event=answer.body)
        return CreateReservation(tombstone)
    return MarkReleased(answer)


def _head(answer: AnswerType, order_id: str) -> dict[str, Any]:
    return {"type": answer.value, "event_id": event_id(order_id, answer), "order_id": order_id}


def _answer(event: Event) -> Answer:
    # ASCII only: SQS refuses some characters that a customer_id may contain (U+FFFF), but takes them escaped.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    body = event.model_dump_json(exclude_defaults=True, ensure_ascii=True).replace("\x7f", "\\u007f")
    return Answer(event.order_id, AnswerType(event.type), body)


def _items(items: Mapping[str, int]) -> list[Item]:
    return [Item(sku=sku, quantity=units) for sku, units in items.items()]


def _short(shortage: Shortage) -> ShortItem:
    return ShortItem(
        sku=shortage.sku,
        requested=shortage.requested,
        available=shortage.available or 0,
        reason=shortage.failure.value,
    )
