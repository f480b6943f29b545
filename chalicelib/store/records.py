"""Orders' records as they are stored in ProcessedEventsTable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.core.fields import Outcome
from chalicelib.core.records import OrderRecord
from chalicelib.store.calls import aws_errors

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.settings import TableSettings

_TEXTS = ("customer_id", "event", "published_at", "release_event", "release_published_at")


class OrderRecords:
    """Reads single records, for `GET /reservations/{order_id}`."""

    def __init__(self, client: DynamoDBClient, tables: TableSettings) -> None:
        self._client = client
        self._table = tables.processed_events_table

    def get(self, order_id: str) -> OrderRecord | None:
        """The record of an order, read consistently, or None. Raises `AwsError`."""
        with aws_errors():
            answer = self._client.get_item(
                TableName=self._table, Key={"order_id": {"S": order_id}}, ConsistentRead=True
            )
        item = answer.get("Item")
        return from_item(item) if item else None


def to_item(record: OrderRecord, expires: int) -> dict[str, Any]:
    """The item that stores `record` until `expires` (Unix time in seconds)."""
    item: dict[str, Any] = {
        "order_id": {"S": record.order_id},
        "outcome": {"S": record.outcome.value},
        "items": {"M": {sku: {"N": str(units)} for sku, units in record.items.items()}},
        "created_at": {"S": record.created_at},
        "ttl": {"N": str(expires)},
    }
    for name in _TEXTS:
        value = getattr(record, name)
        if value is not None:
            item[name] = {"S": value}
    return item


def from_item(item: Mapping[str, Any]) -> OrderRecord:
    """The record that `item` stores."""
    return OrderRecord(
        order_id=item["order_id"]["S"],
        outcome=Outcome(item["outcome"]["S"]),
        created_at=item["created_at"]["S"],
        items={sku: int(units["N"]) for sku, units in item["items"]["M"].items()},
        **{name: item[name]["S"] for name in _TEXTS if name in item},
    )


def expiry(now: datetime, ttl_days: int) -> int:
    """When a record written at `now` expires: Unix time in seconds, the form of a TTL attribute.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
    """
    return int((now + timedelta(days=ttl_days)).timestamp())
