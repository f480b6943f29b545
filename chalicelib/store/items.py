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
from typing import Any

from chalicelib.aws.dynamodb import Item
from chalicelib.domain.reservation import RELEASE, AnswerType, Operation, Outcome, Reservation
from chalicelib.domain.stock import Product, Stock, StockChange, StoredChange
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import OweAnswers

_TEXTS = ("customer_id", "event", "change")


def product_to_item(product: Product) -> dict[str, Any]:
    """The item that stores `product`; fields that are None are left out."""
    return attributes(_fields(product))


def product_from_item(item: Item) -> Product:
    """The product that `item` stores."""
    return Product(
        sku=item["sku"]["S"],
        name=item["name"]["S"],
        price=Decimal(item["price"]["N"]),
        description=item["description"]["S"] if "description" in item else None,
        image_url=item["image_url"]["S"] if "image_url" in item else None,
        created_at=item["created_at"]["S"],
        updated_at=item["updated_at"]["S"],
    )


def stock_to_item(stock: Stock, change: str) -> dict[str, Any]:
    """The item that stores `stock` as the commit `change` made it."""
    return attributes(_fields(stock) | {"change": change})


def stock_from_item(item: Item) -> Stock:
    """The stock that `item` stores. Up to version 1.1, nothing was counted as reserved, and no change."""
    return Stock(
        sku=item["sku"]["S"],
        quantity=units_from_item(item),
        updated_at=item["updated_at"]["S"],
        reserved=int(item["reserved"]["N"]) if "reserved" in item else 0,
        version=int(item["version"]["N"]) if "version" in item else 0,
    )


def stock_to_text(stock: Stock) -> str:
    """The JSON text that stores `stock` as the result of a change."""
    return json.dumps(_fields(stock))


def stock_from_text(text: str) -> Stock:
    """The stock in a stored result. Fields that this version does not know are ignored."""
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
    """The item that stores `reservation` until `expires` (Unix time in seconds)."""
    return {
        "order_id": {"S": reservation.order_id},
        "outcome": {"S": reservation.outcome.value},
        "items": {"M": {sku: {"N": str(units)} for sku, units in reservation.items.items()}},
        "created_at": {"S": reservation.created_at},
        "ttl": {"N": str(expires)},
        **({} if reservation.event_queued else {"queued": {"BOOL": False}}),
        **(
            {"operations": {"L": [_operation_to_value(o) for o in reservation.operations]}}
            if reservation.operations
            else {}
        ),
        **{name: {"S": text} for name in _TEXTS if (text := getattr(reservation, name)) is not None},
    }


def reservation_from_item(item: Item) -> Reservation:
    """The reservation that `item` stores.

    Up to version 1.1, no outbox owed the answers: a record without `published_at` (of a release
    `release_published_at`) had one that perhaps nobody had sent.
    """
    outcome = Outcome(item["outcome"]["S"])
    operations = [_operation_from_value(value["M"]) for value in item.get("operations", {"L": []})["L"]]
    if "release_event" in item:
        operations.append(_old_release(item))
    # A release sent the first answer itself, so only a record that was not released may still owe it.
    sent = "published_at" in item or outcome is Outcome.RELEASED
    return Reservation(
        order_id=item["order_id"]["S"],
        outcome=outcome,
        created_at=item["created_at"]["S"],
        items={sku: int(units["N"]) for sku, units in item["items"]["M"].items()},
        event_queued=item["queued"]["BOOL"] if "queued" in item else "change" in item or sent,
        operations=tuple(operations),
        **{name: item[name]["S"] for name in _TEXTS if name in item},
    )


def _operation_to_value(operation: Operation) -> dict[str, Any]:
    texts = {
        "id": operation.id,
        "type": operation.type,
        "at": operation.at,
        "answer": operation.answer.value,
        "event": operation.event,
    }
    return {"M": attributes(texts) | ({} if operation.queued else {"queued": {"BOOL": False}})}


def _operation_from_value(value: Item) -> Operation:
    return Operation(
        id=value["id"]["S"],
        type=value["type"]["S"],
        at=value["at"]["S"],
        answer=AnswerType(value["answer"]["S"]),
        event=value["event"]["S"],
        queued=value["queued"]["BOOL"] if "queued" in value else True,
    )


def _old_release(item: Item) -> Operation:
    event = item["release_event"]["S"]
    at = json.loads(event)["timestamp"]
    return Operation(RELEASE, RELEASE, at, AnswerType.RELEASED, event, "release_published_at" in item)


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
        "owed": {"SS": list(owed.references)},
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
