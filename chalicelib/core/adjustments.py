"""Changes of stock that people and services ask for, and the keys under which they are remembered."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Adjustment:
    """`delta` units more (or fewer, if negative), and why; `reference` is the caller's own note."""

    delta: int
    reason: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's name for a request, so that the same request sent again changes nothing."""

    principal: str
    text: str


def record_key(sku: str, unique: IdempotencyKey | str) -> str:
    """The key of a change's record: of a caller's idempotency key and the SKU, or of a made-up text.

    No order id holds a `#`, so no order's record can have it.
    """
    parts = [unique.principal, sku, unique.text] if isinstance(unique, IdempotencyKey) else [unique]
    return f"adjustment#{_digest(parts)}"


def fingerprint(operation: str, *details: str | int | None) -> str:
    """What tells two requests under one idempotency key apart: the operation and what it was given."""
    return _digest([operation, *details])


def _digest(parts: list[Any]) -> str:
    # JSON, since it keeps the parts apart: ["a", "bc"] and ["ab", "c"] must differ.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
