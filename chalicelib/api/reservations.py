"""Reservations: what became of an order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chalicelib.api.routing import Call
from chalicelib.contracts import requests, responses
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from chalicelib.domain.reservation import Reservation
    from chalicelib.store.order_store import OrderStore


def get(call: Call[requests.OneOrder], orders: OrderStore) -> responses.Reservation:
    """GET /reservations/{order_id}"""
    order_id = call.takes.order_id
    reservation = orders.find(order_id, call.deadline)
    if reservation is None:
        raise NotFound(f"there is no reservation for order {order_id}")
    return _document(reservation)


def _document(reservation: Reservation) -> responses.Reservation:
    return responses.Reservation(
        order_id=reservation.order_id,
        outcome=reservation.outcome.value,
        customer_id=reservation.customer_id,
        items=[responses.ReservedItem(sku=sku, quantity=units) for sku, units in reservation.items.items()],
        created_at=reservation.created_at,
        answer=json.loads(reservation.event) if reservation.event else None,
        operations=[
            responses.Operation(
                operation_id=operation.id,
                type=operation.type,
                at=operation.at,
                answer=json.loads(operation.event),
            )
            for operation in reservation.operations
        ],
    )
