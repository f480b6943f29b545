"""The consumer's store: stock and reservations, read and written together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.aws import dynamodb
from chalicelib.aws.deadline import Deadline
from chalicelib.aws.errors import aws_errors
from chalicelib.domain.planner import Snapshot
from chalicelib.domain.reservation import Reservation
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import (
    MoveStock,
    OweAnswers,
    ProveAbsent,
    ProveBelow,
    RecordReservation,
    Write,
)
from chalicelib.errors import TransactionCancelled
from chalicelib.store.items import (
    expiry,
    order_key,
    owed_to_item,
    reservation_from_item,
    reservation_to_item,
    sku_key,
    units_from_item,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.settings import TableSettings


class OrderStore:
    """Reads and writes stock and reservations for whole groups of orders."""

    def __init__(self, client: DynamoDBClient, tables: TableSettings) -> None:
        self._client = client
        self._inventory = tables.inventory_table
        self._records = tables.processed_events_table
        self._outbox = tables.outbox_table
        self._ttl_days = tables.record_ttl_days

    def find(self, order_id: str, deadline: Deadline) -> Reservation | None:
        """The reservation of an order, read consistently, or None. Raises `AwsError`, `OutOfTime`."""
        return _reservation(dynamodb.get(self._client, self._records, order_key(order_id), deadline))

    def read(self, order_ids: Iterable[str], skus: Iterable[str], deadline: Deadline) -> Snapshot:
        """Read the reservations of `order_ids` and the stock of `skus` consistently, 100 keys a call.

        Raises `AwsError`, `OutOfTime`.
        """
        record_keys = {(self._records, "order_id", order_id): order_id for order_id in order_ids}
        stock_keys = {(self._inventory, "sku", sku): sku for sku in skus}
        found = dynamodb.batch_get(self._client, [*record_keys, *stock_keys], deadline)
        return Snapshot(
            stock={sku: _units(found.get(key)) for key, sku in stock_keys.items()},
            reservations={order_id: _reservation(found.get(key)) for key, order_id in record_keys.items()},
        )

    def due(self, shard: str, until: str, deadline: Deadline) -> Iterator[list[tuple[str, str]]]:
        """The orders in a part of the index `holds` that are due `until` (ISO 8601, UTC), page by page.

        Each with the time when it is due, the oldest first. The index is eventually consistent. Raises
        `AwsError`, `OutOfTime`.
        """
        request = {
            "TableName": self._records,
            "IndexName": "holds",
            "KeyConditionExpression": "hold_shard = :shard AND due_at <= :until",
            "ExpressionAttributeValues": {":shard": {"S": shard}, ":until": {"S": until}},
            "Limit": dynamodb.MAX_KEYS,
        }
        for page in dynamodb.pages(self._client.query, request, deadline):
            yield [(item["order_id"]["S"], item["due_at"]["S"]) for item in page]

    def commit(self, writes: Sequence[Write], change: str, now: datetime, snapshot: Snapshot) -> bool:
        """Do all of `writes` at once, as the commit `change`, or none; returns whether they are done.

        If a condition did not hold, `snapshot` learns what is there instead. Raises `TransactionCancelled`
        where it conflicted, was throttled or is invalid, or another `AwsError`; after `Unreachable` the
        transaction may have been done. There is no retry here: the caller plans the group again.
        """
        if not writes:
            return True
        actions = [self._action(write, change, now) for write in writes]
        try:
            with aws_errors():
                self._client.transact_write_items(TransactItems=actions)
        except TransactionCancelled as cancelled:
            snapshot.update(_seen(writes, cancelled))
            if cancelled.conflicted or not cancelled.retryable:
                raise
            return False
        return True

    def _action(self, write: Write, change: str, now: datetime) -> Any:
        match write:
            case MoveStock():
                return self._move(write, change, now)
            case ProveBelow(sku, limit):
                return self._stock("ConditionCheck", sku, "quantity < :limit", {":limit": {"N": str(limit)}})
            case ProveAbsent(sku):
                return self._stock("ConditionCheck", sku, "attribute_not_exists(sku)")
            case RecordReservation(reservation, seen):
                item = reservation_to_item(reservation, expiry(now, self._ttl_days))
                return {"Put": {"TableName": self._records, "Item": item, **_unchanged(seen)}}
            case OweAnswers():
                return {"Put": {"TableName": self._outbox, "Item": owed_to_item(write, now)}}

    def _move(self, move: MoveStock, change: str, now: datetime) -> Any:
        values = {":units": {"N": str(move.quantity)}, ":now": {"S": iso(now)}, ":change": {"S": change}}
        values |= {":reserved": {"N": str(move.reserved)}, ":one": {"N": "1"}}
        condition = "attribute_exists(sku)"
        if move.quantity < 0:
            values[":taken"] = {"N": str(-move.quantity)}
            condition = "quantity >= :taken"
        if move.below is not None:
            values[":limit"] = {"N": str(move.below)}
            condition += " AND quantity < :limit"
        # ADD takes an absent number as 0: stock that version 1.1 wrote has no `reserved` and no `version`.
        update = (
            "SET quantity = quantity + :units, updated_at = :now, change = :change "
            "ADD reserved :reserved, version :one"
        )
        return self._stock("Update", move.sku, condition, values, UpdateExpression=update)

    def _stock(
        self, kind: str, sku: str, condition: str, values: dict[str, Any] | None = None, **extra: str
    ) -> Any:
        request = {
            "TableName": self._inventory,
            "Key": sku_key(sku),
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **extra,
        }
        return {kind: request | {"ExpressionAttributeValues": values} if values else request}


def _unchanged(seen: Reservation | None) -> dict[str, Any]:
    """The condition that an order's record is still as `seen`."""
    condition: dict[str, Any] = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    if seen is None:
        return condition | {"ConditionExpression": "attribute_not_exists(order_id)"}
    # The outcome too: version 1.1 changes it, and not `change`, while it is being replaced.
    values = {":outcome": {"S": seen.outcome.value}}
    expression = "outcome = :outcome AND attribute_not_exists(change)"
    if seen.change is not None:
        values[":change"] = {"S": seen.change}
        expression = "outcome = :outcome AND change = :change"
    return condition | {"ConditionExpression": expression, "ExpressionAttributeValues": values}


def _seen(writes: Sequence[Write], cancelled: TransactionCancelled) -> Snapshot:
    """What a cancelled transaction tells of the items whose conditions did not hold."""
    news = Snapshot()
    for write, reason in zip(writes, cancelled.reasons, strict=True):
        if not reason.failed:
            continue
        if isinstance(write, RecordReservation):
            news.reservations[write.order_id] = _reservation(reason.item)
        elif not isinstance(write, OweAnswers):
            news.stock[write.sku] = _units(reason.item)
    return news


def _reservation(item: Any) -> Reservation | None:
    return reservation_from_item(item) if item else None


def _units(item: Any) -> int | None:
    return units_from_item(item) if item else None
