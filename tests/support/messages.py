"""Messages as the OMS sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TIMESTAMP = "2025-06-15T15:06:40Z"
"""When these messages were made: at the time that `FakeClock` shows first."""


def reserve(order_id: str, items: Mapping[str, int], /, **changes: Any) -> dict[str, Any]:
    """A `ReserveInventory`; `changes` replace or add fields."""
    head = {"type": "ReserveInventory", "order_id": order_id, "customer_id": f"customer of {order_id}"}
    return {**head, "items": lines(items), "timestamp": TIMESTAMP, **changes}


def confirm(order_id: str, /, **changes: Any) -> dict[str, Any]:
    """A `ConfirmInventory`; `changes` replace or add fields."""
    return {"type": "ConfirmInventory", "order_id": order_id, "timestamp": TIMESTAMP, **changes}


def extend(order_id: str, operation_id: str, expires_at: str, /, **changes: Any) -> dict[str, Any]:
    """An `ExtendInventory`; `changes` replace or add fields."""
    head = {"type": "ExtendInventory", "order_id": order_id, "operation_id": operation_id}
    return {**head, "expires_at": expires_at, "timestamp": TIMESTAMP, **changes}


def fulfill(
    order_id: str, operation_id: str | None = None, items: Mapping[str, int] | None = None, /, **changes: Any
) -> dict[str, Any]:
    """A `FulfillInventory`, of all or of a part; `changes` replace or add fields."""
    return {"type": "FulfillInventory", **_part(order_id, operation_id, items), **changes}


def release(
    order_id: str, operation_id: str | None = None, items: Mapping[str, int] | None = None, /, **changes: Any
) -> dict[str, Any]:
    """A `ReleaseInventory`, of all or of a part; `changes` replace or add fields."""
    return {"type": "ReleaseInventory", **_part(order_id, operation_id, items), **changes}


def _part(order_id: str, operation_id: str | None, items: Mapping[str, int] | None) -> dict[str, Any]:
    part: dict[str, Any] = {"order_id": order_id, "timestamp": TIMESTAMP}
    if operation_id is not None:
        part["operation_id"] = operation_id
    if items is not None:
        part["items"] = lines(items)
    return part


def lines(items: Mapping[str, int]) -> list[dict[str, Any]]:
    """Units by SKU as the lines of a message or an answer."""
    return [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]


def without(message: Mapping[str, Any], field: str) -> dict[str, Any]:
    """`message` less one of its fields."""
    return {name: value for name, value in message.items() if name != field}


def text(message: Any) -> str:
    """The message as it comes out of the queue."""
    return json.dumps(message)
