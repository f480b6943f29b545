"""The consumer's store: stock and reservations, read and written together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.aws import dynamodb
from chalicelib.aws.deadline import Deadline
from chalicelib.aws.errors import aws_errors
from chalicelib.domain.planner import Snapshot
from chalicelib.domain.reservation import Answer, Outcome, Reservation
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import (
    CreateReservation,
    MarkReleased,
    ProveAbsent,
    ProveBelow,
    ReturnStock,
    TakeStock,
    Write,
)
from chalicelib.errors import TransactionCancelled
from chalicelib.store.items import (
    expiry,
    order_key,
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

    def commit(self, writes: Sequence[Write], now: datetime, snapshot: Snapshot) -> bool:
        """Do all of `writes` at once, or none; returns whether they are done.

        If a condition did not hold, `snapshot` learns what is there instead. Raises `TransactionCancelled`
        where it conflicted, was throttled or is invalid, or another `AwsError`; after `Unreachable` the
        transaction may have been done. There is no retry here: the caller plans the group again.
        """
        if not writes:
            return True
        actions = [self._action(write, now) for write in writes]
        try:
            with aws_errors():
                self._client.transact_write_items(TransactItems=actions)
        except TransactionCancelled as cancelled:
            snapshot.update(_seen(writes, cancelled))
            if cancelled.conflicted or not cancelled.retryable:
                raise
            return False
        return True

    def mark_published(self, answers: Sequence[Answer], now: datetime) -> int:
        """Record that `answers`, 1 to 25 (DynamoDB's limit), are in the OMS queue, each on its own.

        Returns how many could not be marked. A condition on the outcome keeps a mark from changing a record
        that was released meanwhile. Raises `AwsError`.

        Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
        """
        statements = [self._mark(answer, now) for answer in answers]
        with aws_errors():
            responses = self._client.batch_execute_statement(Statements=statements)["Responses"]
        return sum("Error" in response for response in responses)

    def _mark(self, answer: Answer, now: datetime) -> Any:
        attribute = "release_published_at" if answer.outcome is Outcome.RELEASED else "published_at"
        update = f'UPDATE "{self._records}" SET {attribute} = ?'  # noqa: S608 - both names are ours
        return {
            "Statement": f"{update} WHERE order_id = ? AND outcome = ?",
            "Parameters": [{"S": iso(now)}, {"S": answer.order_id}, {"S": answer.outcome.value}],
        }

    def _action(self, write: Write, now: datetime) -> Any:
        match write:
            case TakeStock(sku, quantity, below):
                values = {":units": {"N": str(quantity)}, ":now": {"S": iso(now)}}
                enough = "quantity >= :units"
                if below is not None:
                    values[":limit"] = {"N": str(below)}
                    enough += " AND quantity < :limit"
                change = "SET quantity = quantity - :units, updated_at = :now"
                return self._stock("Update", sku, enough, values, UpdateExpression=change)
            case ReturnStock(sku, quantity):
                values = {":units": {"N": str(quantity)}, ":now": {"S": iso(now)}}
                change = "SET quantity = quantity + :units, updated_at = :now"
                return self._stock("Update", sku, "attribute_exists(sku)", values, UpdateExpression=change)
            case ProveBelow(sku, limit):
                return self._stock("ConditionCheck", sku, "quantity < :limit", {":limit": {"N": str(limit)}})
            case ProveAbsent(sku):
                return self._stock("ConditionCheck", sku, "attribute_not_exists(sku)")
            case CreateReservation(reservation):
                return {
                    "Put": {
                        "TableName": self._records,
                        "Item": reservation_to_item(reservation, expiry(now, self._ttl_days)),
                        "ConditionExpression": "attribute_not_exists(order_id)",
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                }
            case MarkReleased(answer):
                return {"Update": self._mark_released(answer, now)}

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

    def _mark_released(self, answer: Answer, now: datetime) -> Any:
        return {
            "TableName": self._records,
            "Key": order_key(answer.order_id),
            # The TTL starts again, since the release may be redelivered from now on.
            "UpdateExpression": (
                "SET outcome = :released, release_event = :event, #ttl = :ttl,"
                " published_at = if_not_exists(published_at, :now)"
            ),
            "ConditionExpression": "outcome = :reserved",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": {
                ":released": {"S": Outcome.RELEASED.value},
                ":reserved": {"S": Outcome.RESERVED.value},
                ":event": {"S": answer.body},
                ":ttl": {"N": str(expiry(now, self._ttl_days))},
                ":now": {"S": iso(now)},
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def _seen(writes: Sequence[Write], cancelled: TransactionCancelled) -> Snapshot:
    """What a cancelled transaction tells of the items whose conditions did not hold."""
    news = Snapshot()
    for write, reason in zip(writes, cancelled.reasons, strict=True):
        if not reason.failed:
            continue
        if isinstance(write, CreateReservation | MarkReleased):
            news.reservations[write.order_id] = _reservation(reason.item)
        else:
            news.stock[write.sku] = _units(reason.item)
    return news


def _reservation(item: Any) -> Reservation | None:
    return reservation_from_item(item) if item else None


def _units(item: Any) -> int | None:
    return units_from_item(item) if item else None
