"""Stock: what its calls take and answer."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from chalice.app import Request, Response

from chalicelib import clients
from chalicelib.api import tokens
from chalicelib.api.bodies import json_body
from chalicelib.api.http import caller, json_response, query
from chalicelib.api.wire import AdjustStock, CheckAvailability, ListStock, OneSku, SetStock, parse
from chalicelib.core.adjustments import Adjustment, IdempotencyKey
from chalicelib.core.catalogue import Stock


def get(sku: str) -> Response:
    """GET /inventory/{sku}"""
    return json_response(clients.inventory().get(parse(OneSku, {"sku": sku}).sku))


def list_page(request: Request) -> Response:
    """GET /inventory"""
    asked = parse(ListStock, query(request))
    levels, last = clients.inventory().page(asked.limit, asked.after)
    token = last and tokens.encode(asked.listing, last)
    return json_response({"items": levels, "next_token": token})


def set_quantity(request: Request, sku: str) -> Response:
    """PUT /inventory/{sku}"""
    asked = parse(SetStock, _parts(request, sku))
    stock = clients.adjustments().set_quantity(
        asked.sku,
        asked.body.quantity,
        datetime.now(UTC),
        expected=asked.body.expected_quantity,
        key=_key(request, asked.key),
    )
    return json_response(stock)


def adjust(request: Request, sku: str) -> Response:
    """POST /inventory/{sku}/adjustments"""
    asked = parse(AdjustStock, _parts(request, sku))
    change = Adjustment(asked.body.delta, asked.body.reason, asked.body.reference)
    key = _key(request, asked.key)
    return json_response(clients.adjustments().adjust(asked.sku, change, datetime.now(UTC), key))


def check(request: Request) -> Response:
    """POST /inventory/check"""
    entries = parse(CheckAvailability, {"body": json_body(request)}).body.items
    wanted: Counter[str] = Counter()
    for entry in entries:
        wanted[entry.sku] += entry.quantity
    levels = clients.inventory().levels(wanted)
    items = {sku: _availability(units, levels.get(sku)) for sku, units in wanted.items()}
    everything = all(item["status"] == "AVAILABLE" for item in items.values())
    return json_response({"status": "AVAILABLE" if everything else "UNAVAILABLE", "items": items})


def _availability(requested: int, stock: Stock | None) -> dict[str, Any]:
    quantity = stock.quantity if stock else 0
    answer = {"status": "AVAILABLE", "requested": requested, "quantity": quantity}
    if requested <= quantity:
        return answer
    reason = "INSUFFICIENT_STOCK" if stock else "SKU_NOT_FOUND"
    return answer | {"status": "UNAVAILABLE", "reason": reason}


def _parts(request: Request, sku: str) -> dict[str, Any]:
    key = {name: request.headers[name] for name in ("Idempotency-Key",) if name in request.headers}
    return {"sku": sku, "body": json_body(request), **key}


def _key(request: Request, text: str | None) -> IdempotencyKey | None:
    return None if text is None else IdempotencyKey(caller(request), text)
