"""Products, their stock, and the changes of stock that people and services ask for over REST."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

MAX_QUANTITY: Final = 1_000_000_000
"""The most units that one request may reserve, receive or take of a SKU."""
MAX_STOCK: Final = 1_000_000_000_000
"""The most units that a SKU's stock may be set or adjusted to."""
CHANGE_PREFIX: Final = "adjustment#"
"""How the ids of changes begin: orders share their table, and no order id may begin like this."""


@dataclass(frozen=True, slots=True)
class Product:
    """What is sold under a SKU; times are ISO 8601 in UTC."""

    sku: str
    name: str
    price: Decimal
    description: str | None
    image_url: str | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Stock:
    """The stock of a SKU, since `updated_at` (ISO 8601 in UTC).

    quantity: the units that are available.
    reserved: the units that open orders hold.
    version: how often the stock was changed; 0 if only versions up to 1.1 did, which do not count.
    reorder_point: with how many available units it is time to order more; None if nobody has said.
    """

    sku: str
    quantity: int
    updated_at: str
    reserved: int = 0
    version: int = 0
    reorder_point: int | None = None

    @property
    def on_hand(self) -> int:
        """The units on the shelf."""
        return self.quantity + self.reserved


@dataclass(frozen=True, slots=True)
class Adjustment:
    """`delta` units more (or fewer, if negative), and why; `reference` is the caller's own note."""

    delta: int
    reason: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """A count of the shelf, made when the stock had `expected_version`, if that is given."""

    counted: int
    expected_version: int | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's name for a change, so that a repeat of it changes nothing."""

    principal: str
    text: str


@dataclass(frozen=True, slots=True)
class StockChange:
    """A change of stock to be made at `at`, and the record that it leaves under `id`.

    `fingerprint` tells it from another change under the same id. `commit` is the id of the transaction that
    makes the change; the stock and the record both get it.
    """

    id: str
    sku: str
    adjustment: Adjustment
    fingerprint: str
    at: datetime
    commit: str


@dataclass(frozen=True, slots=True)
class StoredChange:
    """What the record of a change says; `result` is the stock after it, None until that is stored."""

    fingerprint: str
    delta: int
    result: Stock | None


def change_id(sku: str, unique: IdempotencyKey | str) -> str:
    """The id of a change's record: made of a caller's idempotency key and the SKU, or of a random text."""
    parts = [unique.principal, sku, unique.text] if isinstance(unique, IdempotencyKey) else [unique]
    return CHANGE_PREFIX + _digest(parts)


def fingerprint(operation: str, *details: str | int | None) -> str:
    """A digest of an operation and its arguments: it tells two changes under one idempotency key apart."""
    return _digest([operation, *details])


def _digest(parts: list[Any]) -> str:
    # JSON, since it keeps the parts apart: ["a", "bc"] and ["ab", "c"] must differ.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
