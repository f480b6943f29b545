"""Reservations: what became of an order."""

from __future__ import annotations

import json
from typing import Any

from chalice.app import Response

from chalicelib import clients
from chalicelib.api.http import json_response
from chalicelib.api.wire import OneOrder, parse
from chalicelib.core.records import OrderRecord
from chalicelib.errors import NotFound


def get(order_id: str) -> Response:
    """GET /reservations/{order_id}"""
    asked = parse(OneOrder, {"order_id": order_id})
    record = clients.order_records().get(asked.order_id)
    if record is None:
        raise NotFound(f"there is no reservation for order {asked.order_id}")
    return json_response(_answer(record))


def _answer(record: OrderRecord) -> dict[str, Any]:
    """The record with the answers that went to the OMS, null where there is none."""
    return {
        "order_id": record.order_id,
        "outcome": record.outcome,
        "customer_id": record.customer_id,
        "items": [{"sku": sku, "quantity": quantity} for sku, quantity in record.items.items()],
        "created_at": record.created_at,
        "published_at": record.published_at,
        "answer": record.event and json.loads(record.event),
        "release": record.release_event
        and {
            "published_at": record.release_published_at,
            "answer": json.loads(record.release_event),
        },
    }
