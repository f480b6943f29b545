"""Products, stock, changes and reservations as DynamoDB items: each is converted here, and nowhere else.

What was stored by an older version is read as what it means, and attributes of a newer one are ignored.
The attribute values are low-level ones, since the stores need no others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zlib import crc32

from chalicelib.aws.dynamodb import Item
from chalicelib.domain.commands import ChangeType
from chalicelib.domain.reservation import AnswerType, Operation, Outcome, Reservation
from chalicelib.domain.stock import Product, Stock, StockChange, StoredChange
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import OweAnswers

HOLD_SHARDS: Final = 8
"""The parts of the index `holds`, so that its writes are spread."""
_TEXTS: Final = ("customer_id", "event", "change", "expires_at", "due_at", "full_at")
_UNITS: Final = ("held", "fulfilled", "expired")


def product_to_item(product: Product) -> dict[str, Any]:
    """The item that stores `product`; fields that are None are left out."""
    return attributes(_fields(product))


def product_from_item(item: Item) -> Product:
    """The product that `item` stores."""
    return Product(
        item["sku"]["S"],
        item["name"]["S"],
        Decimal(item["price"]["N"]),
        item["description"]["S"] if "description" in item else None,
        item["image_url"]["S"] if "image_url" in item else None,
        item["created_at"]["S"],
        item["updated_at"]["S"],
    )


def stock_to_item(stock: Stock, change: str) -> dict[str, Any]:
    """The item that stores `stock` as the commit `change` made it; a field that is None is left out."""
    return attributes(_fields(stock) | {"change": change})


def stock_from_item(item: Item) -> Stock:
    """The stock that `item` stores. Up to version 1.1, nothing was counted as reserved, and no change."""
    return Stock(
        sku=item["sku"]["S"],
        quantity=units_from_item(item),
        updated_at=item["updated_at"]["S"],
        reserved=int(item["reserved"]["N"]) if "reserved" in item else 0,
        version=int(item["version"]["N"]) if "version" in item else 0,
        reorder_point=int(item["reorder_point"]["N"]) if "reorder_point" in item else None,
    )


def stock_to_text(stock: Stock) -> str:
    """The JSON text that stores `stock` as the result of a change."""
    return json.dumps(_fields(stock))


def stock_from_text(text: str) -> Stock:
    """The stock in a stored result.

    What an older version left out is read as its default, and fields that this one does not know are ignored.
    """
    stored = json.loads(text)
    return Stock(**{field.name: stored[field.name] for field in fields(Stock) if field.name in stored})


def units_from_item(item: Item) -> int:
    """The available units in an item of InventoryTable."""
    return int(item["quantity"]["N"])


def change_to_item(change: StockChange, result: Stock | None, expires: int) -> dict[str, Any]:
    """The item that stores `change`, with its `result` if that is known, until `expires` (Unix time)."""
    return attributes(
        {
            "order_id": change.id,
            "sku": change.sku,
            "delta": change.adjustment.delta,
            "reason": change.adjustment.reason,
            "reference": change.adjustment.reference,
            "fingerprint": change.fingerprint,
            "created_at": iso(change.at),
            "change": change.commit,
            "ttl": expires,
            "answer": stock_to_text(result) if result else None,
        }
    )


def stored_change_from_item(item: Item) -> StoredChange:
    """What the record of a change says."""
    result = stock_from_text(item["answer"]["S"]) if "answer" in item else None
    return StoredChange(item["fingerprint"]["S"], int(item["delta"]["N"]), result)


def reservation_to_item(reservation: Reservation, expires: int) -> dict[str, Any]:
    """The item that stores `reservation`, until `expires` (Unix time in seconds) once it is closed.

    An order that is due some day is in the index `holds`, which is sparse.
    """
    item = {
        "order_id": {"S": reservation.order_id},
        "outcome": {"S": reservation.outcome.value},
        "items": _units_to_value(reservation.items),
        "created_at": {"S": reservation.created_at},
    }
    for name in _TEXTS:
        if (text := getattr(reservation, name)) is not None:
            item[name] = {"S": text}
    for name in _UNITS:
        if units := getattr(reservation, name):
            item[name] = _units_to_value(units)
    if not reservation.event_queued:
        item["queued"] = {"BOOL": False}
    if reservation.operations:
        item["operations"] = {"L": [_operation_to_value(o) for o in reservation.operations]}
    if reservation.due_at is not None:
        item["hold_shard"] = {"S": shard_of(reservation.order_id)}
    if not reservation.is_open:
        item["ttl"] = {"N": str(expires)}
    return item


def shard_of(order_id: str) -> str:
    """The part of the index `holds` that an order is in."""
    return str(crc32(order_id.encode()) % HOLD_SHARDS)


def reservation_from_item(item: Item) -> Reservation:
    """The reservation that `item` stores.

    Up to version 1.1, no outbox owed the answers: a record without `published_at` (of a release
    `release_published_at`) had one that perhaps nobody had sent.
    """
    outcome = Outcome(item["outcome"]["S"])
    operations = [_operation_from_value(value["M"]) for value in item.get("operations", {"L": []})["L"]]
    if "release_event" in item:
        operations.append(_old_release(item))
    given: dict[str, Any] = {name: item[name]["S"] for name in _TEXTS if name in item}
    given |= {name: _units_from_value(item[name]) for name in _UNITS if name in item}
    # A release sent the first answer itself, so only a record that was not released may still owe it.
    sent = "published_at" in item or outcome is Outcome.RELEASED
    return Reservation(
        order_id=item["order_id"]["S"],
        outcome=outcome,
        created_at=item["created_at"]["S"],
        items=_units_from_value(item["items"]),
        event_queued=item["queued"]["BOOL"] if "queued" in item else "change" in item or sent,
        operations=tuple(operations),
        **given,
    )


def _units_to_value(units: Mapping[str, int]) -> dict[str, Any]:
    return {"M": {sku: {"N": str(number)} for sku, number in units.items()}}


def _units_from_value(value: Item) -> dict[str, int]:
    return {sku: int(number["N"]) for sku, number in value["M"].items()}


def _operation_to_value(operation: Operation) -> dict[str, Any]:
    texts = {
        "id": operation.id,
        "type": operation.type,
        "at": operation.at,
        "answer": operation.answer.value if operation.answer else None,
        "event": operation.event,
    }
    return {"M": attributes(texts) | ({} if operation.queued else {"queued": {"BOOL": False}})}


def _operation_from_value(value: Item) -> Operation:
    return Operation(
        id=value["id"]["S"],
        type=value["type"]["S"],
        at=value["at"]["S"],
        answer=AnswerType(value["answer"]["S"]) if "answer" in value else None,
        event=value["event"]["S"] if "event" in value else None,
        queued=value["queued"]["BOOL"] if "queued" in value else True,
    )


def _old_release(item: Item) -> Operation:
    event = item["release_event"]["S"]
    at = json.loads(event)["timestamp"]
    return Operation(
        ChangeType.RELEASE.value,
        ChangeType.RELEASE.value,
        at,
        AnswerType.RELEASED,
        event,
        "release_published_at" in item,
    )


def sku_key(sku: str) -> dict[str, Any]:
    """The key of a SKU in ProductTable and in InventoryTable."""
    return {"sku": {"S": sku}}


def order_key(order_id: str) -> dict[str, Any]:
    """The key of an order, or of a change of stock, in ProcessedEventsTable."""
    return {"order_id": {"S": order_id}}


def outbox_key(change: str) -> dict[str, Any]:
    """The key of what the commit `change` owes, in OutboxTable."""
    return {"id": {"S": change}}


def owed_to_item(owed: OweAnswers, now: datetime) -> dict[str, Any]:
    """The item that stores what a commit made at `now` owes."""
    return {
        **outbox_key(owed.change),
        "owed": {"SS": [str(reference) for reference in owed.references]},
        "created_at": {"S": iso(now)},
    }


def attributes(values: Mapping[str, str | int | Decimal | None]) -> dict[str, Any]:
    """Attribute values for `values`, without those that are None."""
    return {name: attribute(value) for name, value in values.items() if value is not None}


def attribute(value: str | int | Decimal) -> dict[str, str]:
    """A text or an exact number as an attribute value."""
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def expiry(now: datetime, ttl_days: int) -> int:
    """When a record written at `now` expires: Unix time in seconds, the form of a TTL attribute.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
    """
    return int((now + timedelta(days=ttl_days)).timestamp())


def _fields(stored: Product | Stock) -> dict[str, Any]:
    # Not `asdict`, which copies deeply, and takes four times as long.
    return {field.name: getattr(stored, field.name) for field in fields(stored)}
