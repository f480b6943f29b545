"""What a stored record says, read without the code that wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Record = Mapping[str, Any]
RELEASE = "ReleaseInventory"
WHOLE = frozenset({"ConfirmInventory", "ExtendInventory", "FulfillInventory", RELEASE, "EXPIRED", "AGED"})
"""The ids of operations that do not count towards the most that an order takes."""


@dataclass(frozen=True, slots=True)
class Done:
    """An operation on record: its answer's text, and what that says; both None if it has no answer."""

    id: str
    type: str
    at: str
    body: str | None
    queued: bool

    @property
    def event(self) -> dict[str, Any] | None:
        return None if self.body is None else dict(json.loads(self.body))


def outcome(record: Record | None) -> str | None:
    """The outcome of an order, None if it has no record."""
    return str(record["outcome"]["S"]) if record and "outcome" in record else None


def is_open(record: Record | None) -> bool:
    """Whether the order holds units."""
    return outcome(record) == "RESERVED"


def items(record: Record) -> dict[str, int]:
    """The units that an order asked, by SKU."""
    return units(record, "items")


def units(record: Record | None, name: str) -> dict[str, int]:
    """The units in an attribute of a record, by SKU."""
    if record is None or name not in record:
        return {}
    return {sku: int(number["N"]) for sku, number in record[name]["M"].items()}


def held(record: Record | None) -> dict[str, int]:
    """The units that an order holds: all that it asked, if version 1.1 wrote the record."""
    if record is None or not is_open(record):
        return {}
    return units(record, "held" if "held" in record else "items")


def counted(record: Record | None) -> dict[str, int]:
    """The units of an order in `reserved`; also those of an order of ours that version 1.1 released."""
    return units(record, "held")


def taken(record: Record | None) -> dict[str, int]:
    """The units that an order has taken from what is available, and has not given back."""
    if outcome(record) in {None, "REJECTED"}:
        return {}
    holding, shipped = held(record), units(record, "fulfilled")
    return {sku: holding.get(sku, 0) + shipped.get(sku, 0) for sku in holding | shipped}


def text(record: Record | None, name: str) -> str | None:
    """A text in a record, or None."""
    return str(record[name]["S"]) if record and name in record else None


def seconds(time: str) -> float:
    """A time as Unix time."""
    return datetime.fromisoformat(time).timestamp()


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
    return texts | {
        f"{order_id}\n{done.id}": done.body for done in operations(record) if done.body is not None
    }


def unqueued(record: Record) -> set[str]:
    """The references of the answers that a record does not claim to be sent, or owed by the outbox.

    Version 1.1 set `published_at` and `release_published_at` once it had sent an answer, no `change`, and
    sent the first answer of an order before it released the order.
    """
    order_id = record["order_id"]["S"]
    names = {f"{order_id}\n{done.id}" for done in operations(record) if done.body and not done.queued}
    if "event" in record:
        claimed = "change" in record or "published_at" in record or outcome(record) == "RELEASED"
        names |= set() if _queued(record, default=claimed) else {first(order_id)}
    return names


def operations(record: Record | None) -> list[Done]:
    """The operations on a record, in order."""
    return list(_operations(record)) if record else []


def _operations(record: Record) -> Iterator[Done]:
    for value in record.get("operations", {"L": ()})["L"]:
        stored = value["M"]
        body = stored["event"]["S"] if "event" in stored else None
        id_, kind, at = (stored[name]["S"] for name in ("id", "type", "at"))
        yield Done(id_, kind, at, body, _queued(stored, default=True))
    if "release_event" in record:  # by version 1.1
        body = record["release_event"]["S"]
        at = json.loads(body)["timestamp"]
        yield Done(RELEASE, RELEASE, at, body, "release_published_at" in record)


def _queued(stored: Record, *, default: bool) -> bool:
    return bool(stored["queued"]["BOOL"]) if "queued" in stored else default
