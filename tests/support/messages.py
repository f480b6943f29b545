"""Messages as the OMS sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TIMESTAMP = "2025-06-15T15:06:40Z"
"""When these messages were made: at the time that `FakeClock` shows first."""


def reserve(order_id: str, items: Mapping[str, int], /, **changes: Any) -> dict[str, Any]:
    """A `ReserveInventory`; `changes` replace or add fields."""
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]
    head = {"type": "ReserveInventory", "order_id": order_id, "customer_id": f"customer of {order_id}"}
    return {**head, "items": lines, "timestamp": TIMESTAMP, **changes}


def release(order_id: str, /, **changes: Any) -> dict[str, Any]:
    """A `ReleaseInventory`; `changes` replace or add fields."""
    return {"type": "ReleaseInventory", "order_id": order_id, "timestamp": TIMESTAMP, **changes}


def without(message: Mapping[str, Any], field: str) -> dict[str, Any]:
    """`message` less one of its fields."""
    return {name: value for name, value in message.items() if name != field}


def text(message: Any) -> str:
    """The message as it comes out of the queue."""
    return json.dumps(message)
