"""What a stored record says of its answers, read without the code that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]
RELEASE = "ReleaseInventory"


def outcome(record: Record | None) -> str | None:
    """The outcome of an order, None if it has no record."""
    return str(record["outcome"]["S"]) if record and "outcome" in record else None


def items(record: Record) -> dict[str, int]:
    """The units that an order asked, by SKU."""
    return {sku: int(units["N"]) for sku, units in record["items"]["M"].items()}


def first(order_id: str) -> str:
    """The reference of an order's first answer."""
    return order_id


def release(order_id: str) -> str:
    """The reference of the answer to an order's release."""
    return f"{order_id}\n{RELEASE}"


def order_of(reference: str) -> str:
    """The id of the order of whose answer this is the reference."""
    return reference.partition("\n")[0]


def answers(record: Record) -> dict[str, str]:
    """The texts of the answers on a record, by their references."""
    order_id = record["order_id"]["S"]
    texts = {first(order_id): record["event"]["S"]} if "event" in record else {}
    if "release_event" in record:  # by version 1.1
        texts[release(order_id)] = record["release_event"]["S"]
    for operation in _operations(record):
        texts[f"{order_id}\n{operation['id']['S']}"] = operation["event"]["S"]
    return texts


def unqueued(record: Record) -> set[str]:
    """The references of the answers that a record does not claim to be sent, or owed by the outbox.

    Version 1.1 set `published_at` and `release_published_at` once it had sent an answer, no `change`, and
    sent the first answer of an order before it released the order.
    """
    order_id = record["order_id"]["S"]
    names = {f"{order_id}\n{o['id']['S']}" for o in _operations(record) if not _queued(o, default=True)}
    if "event" in record:
        claimed = "change" in record or "published_at" in record or outcome(record) == "RELEASED"
        names |= set() if _queued(record, default=claimed) else {first(order_id)}
    if "release_event" in record and "release_published_at" not in record:
        names.add(release(order_id))
    return names


def _operations(record: Record) -> list[Record]:
    return [operation["M"] for operation in record.get("operations", {"L": ()})["L"]]


def _queued(stored: Record, *, default: bool) -> bool:
    return bool(stored["queued"]["BOOL"]) if "queued" in stored else default
