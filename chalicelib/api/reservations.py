"""Reservations: orders over REST."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chalicelib.api.routing import Call, Reply
from chalicelib.contracts import bodies, requests, responses
from chalicelib.contracts.fields import total
from chalicelib.domain.commands import MAX_HOLD, ChangeOrder, ChangeType, Reserve
from chalicelib.domain.timestamps import iso
from chalicelib.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from chalicelib.domain.reservation import Reservation
    from chalicelib.services.orders import Orders


def reserve(call: Call[requests.ReserveOrder], orders: Orders) -> Reply:
    """POST /reservations"""
    asked = call.takes.body
    expires_at = None
    if asked.expires_at is not None:
        expires_at = _end(asked.expires_at, call, lambda: orders.knows(asked.order_id, None, call.deadline))
    order = Reserve(asked.order_id, asked.customer_id, total(asked.items), expires_at=expires_at)
    record = orders.reserve(order, call.deadline)
    location = f"{call.path.rstrip('/')}/{quote(asked.order_id, safe='')}"
    return Reply(_document(record), {"Location": location})


def get(call: Call[requests.OneOrder], orders: Orders) -> responses.Reservation:
    """GET /reservations/{order_id}"""
    return _document(orders.get(call.takes.order_id, call.deadline))


def confirm(call: Call[requests.OneOrder], orders: Orders) -> responses.Reservation:
    """POST /reservations/{order_id}/confirm"""
    command = ChangeOrder(call.takes.order_id, ChangeType.CONFIRM, ChangeType.CONFIRM.value)
    return _document(orders.change(command, call.deadline))


def extend(call: Call[requests.ExtendOrder], orders: Orders) -> responses.Reservation:
    """POST /reservations/{order_id}/extend"""
    order_id, asked = call.takes.order_id, call.takes.body
    expires_at = _end(
        asked.expires_at, call, lambda: orders.knows(order_id, asked.operation_id, call.deadline)
    )
    command = ChangeOrder(order_id, ChangeType.EXTEND, asked.operation_id, expires_at=expires_at)
    return _document(orders.change(command, call.deadline))


def fulfill(call: Call[requests.FulfillOrder], orders: Orders) -> responses.Reservation:
    """POST /reservations/{order_id}/fulfill"""
    command = _part(call.takes.order_id, ChangeType.FULFILL, call.takes.body)
    return _document(orders.change(command, call.deadline))


def release(call: Call[requests.ReleaseOrder], orders: Orders) -> responses.Reservation:
    """POST /reservations/{order_id}/release"""
    body = call.takes.body
    command = _part(call.takes.order_id, ChangeType.RELEASE, body, body.reason)
    return _document(orders.change(command, call.deadline))


def _part(order_id: str, kind: ChangeType, asked: bodies.OrderPart, reason: str | None = None) -> ChangeOrder:
    items = None if asked.items is None else total(asked.items)
    return ChangeOrder(order_id, kind, asked.operation_id or kind.value, items, reason=reason)


def _end(expires_at: datetime, call: Call[Any], known: Callable[[], bool]) -> str:
    """The end of a hold as it is stored. Raises `InvalidInput` if it is past, or too far ahead.

    It may be past if the same was asked before, which `known` tells: a repeat gets the answer on record.
    """
    now = call.deadline.now()
    if now < expires_at <= now + MAX_HOLD or (expires_at <= now and known()):
        return iso(expires_at)
    message = f"must be in the future, and at most {MAX_HOLD.days} days ahead"
    raise InvalidInput(f"expires_at: {message}", [FieldError("expires_at", message)])


def _document(record: Reservation) -> responses.Reservation:
    return responses.Reservation(
        order_id=record.order_id,
        outcome=record.outcome.value,
        customer_id=record.customer_id,
        ordered=_lines(record.items),
        items=_lines(record.holding),
        fulfilled=_lines(record.fulfilled),
        released=_lines(record.released),
        expires_at=record.expires_at if record.is_open else None,
        created_at=record.created_at,
        answer=json.loads(record.event) if record.event else None,
        operations=[
            responses.Operation(
                operation_id=operation.id,
                type=operation.type,
                at=operation.at,
                answer=json.loads(operation.event) if operation.event else None,
            )
            for operation in record.operations
        ],
    )


def _lines(units: Mapping[str, int]) -> list[responses.OrderLine]:
    return [responses.OrderLine(sku=sku, quantity=quantity) for sku, quantity in units.items()]
