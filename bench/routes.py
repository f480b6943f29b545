"""One request to each route, as an event in the format of API Gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from bench.orders import sku


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a route of `app.py`; the functions give the parts of request number n.

    entries: how many products its answer lists, if it lists any.
    """

    method: str
    route: str
    path: Callable[[int], dict[str, str]] = lambda _: {}
    query: Callable[[int], dict[str, str]] = lambda _: {}
    body: Callable[[int], Any] = lambda _: None
    headers: Callable[[int], dict[str, str]] = lambda _: {}
    entries: int = 0
    note: str = ""

    @property
    def title(self) -> str:
        return f"{self.method} {self.route}{self.note}"

    def event(self, number: int) -> dict[str, Any]:
        """The event of request `number`."""
        path, body = self.path(number), self.body(number)
        query = {name: [value] for name, value in self.query(number).items()}
        headers = self.headers(number) | ({"Content-Type": "application/json"} if body is not None else {})
        return {
            "resource": self.route,
            "path": self.route.format(**path),
            "httpMethod": self.method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": query or None,
            "pathParameters": path or None,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": self.route,
                "httpMethod": self.method,
                "path": self.route.format(**path),
                "stage": "api",
                "requestId": str(uuid4()),
                "authorizer": {"principalId": "bench"},
            },
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }


def _some(number: int) -> dict[str, str]:
    return {"sku": sku(number % 100)}


def _made(number: int) -> dict[str, str]:
    return {"sku": f"MADE-{number:06}"}


def _order(number: int) -> dict[str, str]:
    return {"order_id": f"order-{number:06}"}


def _hold(number: int) -> dict[str, Any]:
    items = [_some(number + step) | {"quantity": 2} for step in range(3)]
    return _order(number) | {"customer_id": "customer-1", "items": items, "expires_at": _in_hours(1)}


def _in_hours(hours: int) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def _items(number: int) -> dict[str, Any]:
    return {"items": [{"sku": sku((number + step) % 100), "quantity": 1} for step in range(100)]}


ROUTES: Final = (
    Call("GET", "/health"),
    Call("POST", "/products", body=lambda n: _made(n) | {"name": f"Product {n}", "price": 9.99}),
    Call("GET", "/products/{sku}", path=_some),
    Call("PATCH", "/products/{sku}", path=_some, body=lambda n: {"price": n + 0.5}),
    Call("DELETE", "/products/{sku}", path=_made),
    Call("GET", "/products", query=lambda _: {"limit": "25"}, entries=25, note=" (25)"),
    Call(
        "GET",
        "/products",
        query=lambda _: {"limit": "25", "include_inventory": "true"},
        entries=25,
        note=" (25 with stock)",
    ),
    Call("GET", "/inventory", query=lambda _: {"limit": "25"}, entries=25, note=" (25)"),
    Call("GET", "/inventory/{sku}", path=_some),
    Call("PUT", "/inventory/{sku}", path=_some, body=lambda n: {"quantity": 1_000 + n}),
    Call("PATCH", "/inventory/{sku}", path=_some, body=lambda n: {"reorder_point": n}),
    Call(
        "POST",
        "/inventory/{sku}/adjustments",
        path=_some,
        body=lambda _: {"delta": 1, "reason": "RECEIVED"},
        headers=lambda n: {"Idempotency-Key": f"key-{n}"},
    ),
    Call("POST", "/inventory/check", body=_items, entries=100, note=" (100 entries)"),
    Call("POST", "/reservations", body=_hold),
    Call("GET", "/reservations/{order_id}", path=_order),
    Call(
        "POST",
        "/reservations/{order_id}/extend",
        path=_order,
        body=lambda _: {"operation_id": "longer", "expires_at": _in_hours(2)},
    ),
    Call("POST", "/reservations/{order_id}/confirm", path=_order),
    Call(
        "POST",
        "/reservations/{order_id}/fulfill",
        path=_order,
        body=lambda n: {"operation_id": "parcel", "items": [_some(n) | {"quantity": 1}]},
    ),
    Call("POST", "/reservations/{order_id}/release", path=_order, body=lambda _: {}),
)
