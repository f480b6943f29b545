"""Answers: from a decision to the JSON text that the OMS receives, and the record that has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from chalicelib.contracts.events import (
    Event,
    HeldItem,
    InvalidField,
    InventoryChangeRejected,
    InventoryConfirmed,
    InventoryExtended,
    InventoryFulfilled,
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    Item,
    ItemCounts,
    ShortItem,
    event_id,
)
from chalicelib.domain.commands import MAX_SKUS, ChangeType, Invalid, Reserve, TooMany, is_ours
from chalicelib.domain.planner import Decision, Shortage
from chalicelib.domain.reservation import Answer, AnswerType, Outcome, Reference, Reservation
from chalicelib.domain.rulings import Refusal, Rules, Ruling
from chalicelib.domain.writes import RecordReservation


def reserve_write(order: Reserve, decision: Decision[Any], rules: Rules, change: str) -> RecordReservation:
    """How the commit `change` records the `decision` on `order` together with its answer."""
    failure = decision.failure
    answer = AnswerType.FAILED if failure else AnswerType.RESERVED
    return RecordReservation(
        Reservation(
            order.order_id,
            Outcome.REJECTED if failure else Outcome.RESERVED,
            rules.now,
            order.customer_id,
            order.items,
            _text(_decided(order, decision, _head(answer, order.order_id, rules.now))),
            event_queued=rules.queue,
            change=change,
            held={} if failure else order.items,
            expires_at=order.expires_at,
            due_at=None if failure else rules.due_at(order.expires_at),
        )
    )


def queue_writes(records: Iterable[Reservation], change: str) -> list[RecordReservation]:
    """How the commit `change` queues the first answers of those `records` whose answer nothing would send.

    Of a record that version 1.1 wrote, it queues all answers that are not sent.
    """
    queued = ((found, found.with_old_queued().with_queued(None)) for found in records)
    return [
        RecordReservation(replace(after, change=change), found) for found, after in queued if after != found
    ]


def change_answer(ruling: Ruling, now: str) -> Answer:
    """The answer to a change of an order, made at `now` (ISO 8601, UTC)."""
    command = ruling.command
    event = _rejected(ruling, now) if ruling.refusal else _done(ruling, now)
    reference = Reference(command.order_id, ruling.operation_id)
    if ruling.refusal is Refusal.TOO_MANY_OPERATIONS:
        reference = reference._replace(type=command.type)
    return Answer(reference, AnswerType(event.type), _text(event))


def _decided(order: Reserve, decision: Decision[Any], head: Mapping[str, Any]) -> Event:
    if decision.failure is None:
        items = _items(order.items)
        return InventoryReserved(
            **head, customer_id=order.customer_id, items=items, expires_at=order.expires_at
        )
    errors = order.refusal.errors if isinstance(order.refusal, Invalid) else ()
    skus = order.refusal.skus if isinstance(order.refusal, TooMany) else None
    return InventoryReservationFailed(
        **head,
        customer_id=order.customer_id,
        reason=decision.failure.value,
        items=[_short(shortage) for shortage in decision.shortages],
        errors=[InvalidField(field=error.field, message=error.message) for error in errors],
        counts=ItemCounts(skus=skus, limit=MAX_SKUS) if skus else None,
    )


def _done(ruling: Ruling, now: str) -> Event:
    command, after = ruling.command, ruling.after
    operation_id = None if is_ours(ruling.operation_id) else ruling.operation_id
    head = _head(_DONE[command.type], command.order_id, now, ruling.operation_id)
    match command.type:
        case ChangeType.CONFIRM:
            return InventoryConfirmed(**head, items=_items(ruling.items), reserved_again=ruling.again)
        case ChangeType.EXTEND:
            return InventoryExtended(**head, operation_id=operation_id, expires_at=after.expires_at or "")
        case ChangeType.FULFILL:
            return InventoryFulfilled(
                **head,
                operation_id=operation_id,
                items=_items(ruling.items),
                remaining=_items(after.holding),
            )
        case ChangeType.RELEASE:
            return InventoryReleased(
                **head,
                operation_id=operation_id,
                items=_items(ruling.items),
                missing=list(ruling.missing),
                remaining=_items(after.holding),
                reason="EXPIRED" if ruling.expired_at else command.reason,
                expired_at=ruling.expired_at,
            )


_DONE: Final = {
    ChangeType.CONFIRM: AnswerType.CONFIRMED,
    ChangeType.EXTEND: AnswerType.EXTENDED,
    ChangeType.FULFILL: AnswerType.FULFILLED,
    ChangeType.RELEASE: AnswerType.RELEASED,
}
"""The answer to each change that is done."""


def _rejected(ruling: Ruling, now: str) -> Event:
    command = ruling.command
    # An answer that is made again, since it is on no record, must be the same without the message.
    errors = command.errors if ruling.refusal is Refusal.INVALID_REQUEST else ()
    lines: list[HeldItem | ShortItem] = [
        HeldItem(sku=line.sku, requested=line.requested, held=line.held) for line in ruling.lines
    ]
    lines += [_short(shortage) for shortage in ruling.shortages]
    return InventoryChangeRejected(
        **_head(AnswerType.CHANGE_REJECTED, command.order_id, now, ruling.operation_id),
        operation=command.type.value,
        operation_id=None if is_ours(command.operation_id) else command.operation_id,
        reason=ruling.refusal.value if ruling.refusal else "",
        items=lines,
        errors=[InvalidField(field=error.field, message=error.message) for error in errors],
    )


def _head(answer: AnswerType, order_id: str, now: str, operation_id: str | None = None) -> dict[str, Any]:
    named = None if operation_id in _FIRST_IDS else operation_id
    return {
        "type": answer.value,
        "event_id": event_id(order_id, answer, named),
        "order_id": order_id,
        "timestamp": now,
    }


_FIRST_IDS: Final = frozenset({None, ChangeType.RELEASE.value})
"""Answers whose `event_id` has no operation: those that version 1.1 sent, too."""


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
