"""Answers: from a decision to the record that has it, with the JSON text that the OMS receives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
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
from chalicelib.domain.reservation import RELEASE, TRANSITIONS, AnswerType, Change, Operation, Reservation
from chalicelib.domain.writes import RecordReservation


def reserve_write(decision: Decision, now: str, change: str) -> RecordReservation:
    """How the commit `change` records `decision`, made at `now` (ISO 8601, UTC), together with its answer."""
    order = decision.order
    outcome, answer = TRANSITIONS[None, Change.REJECT if decision.failure else Change.RESERVE]
    event = _text(_decided(decision, _head(answer, order.order_id), now))
    return RecordReservation(
        Reservation(order.order_id, outcome, now, order.customer_id, order.items, event, change=change)
    )


def release_write(released: Released, now: str, change: str, *, queued: bool = True) -> RecordReservation:
    """How the commit `change` records a release, decided at `now` (ISO 8601, UTC), together with its answer.

    `queued`: the commit has room for the outbox, which then owes all of the order's answers.
    """
    order_id, seen = released.order.order_id, released.order.reservation
    outcome, answer = TRANSITIONS[seen.outcome if seen else None, Change.RELEASE]
    items, missing = _items(released.returned), list(released.missing)
    event = _text(InventoryReleased(**_head(answer, order_id), items=items, missing=missing, timestamp=now))
    operation = Operation(RELEASE, RELEASE, now, answer, event, queued)
    before = seen or Reservation(order_id, outcome, created_at=now)
    if queued:
        before = before.all_queued()
    operations = (*before.operations, operation)
    return RecordReservation(replace(before, outcome=outcome, operations=operations, change=change), seen)


def queue_writes(records: Iterable[Reservation], change: str) -> list[RecordReservation]:
    """How the commit `change` queues the answers of those `records` that nothing would send otherwise."""
    return [
        RecordReservation(replace(found.all_queued(), change=change), found)
        for found in records
        if found.unqueued
    ]


def _decided(decision: Decision, head: Mapping[str, Any], now: str) -> Event:
    order = decision.order
    if decision.failure is None:
        items = _items(order.items)
        return InventoryReserved(**head, customer_id=order.customer_id, items=items, timestamp=now)
    errors = order.refusal.errors if isinstance(order.refusal, Invalid) else ()
    skus = order.refusal.skus if isinstance(order.refusal, TooMany) else None
    return InventoryReservationFailed(
        **head,
        customer_id=order.customer_id,
        reason=decision.failure.value,
        items=[_short(shortage) for shortage in decision.shortages],
        errors=[InvalidField(field=error.field, message=error.message) for error in errors],
        counts=ItemCounts(skus=skus, limit=MAX_SKUS) if skus else None,
        timestamp=now,
    )


def _head(answer: AnswerType, order_id: str) -> dict[str, Any]:
    return {"type": answer.value, "event_id": event_id(order_id, answer), "order_id": order_id}


def _text(event: Event) -> str:
    # ASCII only: SQS refuses some characters that a customer_id may contain (U+FFFF), but takes them escaped.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    return event.model_dump_json(exclude_defaults=True, ensure_ascii=True).replace("\x7f", "\\u007f")


def _items(items: Mapping[str, int]) -> list[Item]:
    return [Item(sku=sku, quantity=units) for sku, units in items.items()]


def _short(shortage: Shortage) -> ShortItem:
    return ShortItem(
        sku=shortage.sku,
        requested=shortage.requested,
        available=shortage.available or 0,
        reason=shortage.failure.value,
    )
