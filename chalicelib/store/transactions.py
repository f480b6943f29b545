"""The consumer's store: stock and orders' records, read and written together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.core.actions import Absent, Action, Below, GiveBack, Record, Take, TurnReleased
from chalicelib.core.answers import Answer
from chalicelib.core.fields import Outcome
from chalicelib.core.moments import iso
from chalicelib.core.records import Known, OrderRecord
from chalicelib.errors import TransactionCancelled
from chalicelib.store.batch_get import Pause, batch_get
from chalicelib.store.calls import aws_errors
from chalicelib.store.records import expiry, from_item, to_item

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.settings import TableSettings


class OrderStore:
    """Reads and writes stock and records for whole groups of orders."""

    def __init__(self, client: DynamoDBClient, tables: TableSettings) -> None:
        self._client = client
        self._inventory = tables.inventory_table
        self._records = tables.processed_events_table
        self._ttl_days = tables.record_ttl_days

    def read(self, order_ids: Iterable[str], skus: Iterable[str], pause: Pause) -> Known:
        """Read the records of `order_ids` and the stock of `skus` consistently, 100 keys a call.

        Raises `AwsError`, and what `pause` raises when it gives up.
        """
        record_keys = {(self._records, "order_id", order_id): order_id for order_id in order_ids}
        stock_keys = {(self._inventory, "sku", sku): sku for sku in skus}
        found = batch_get(self._client, [*record_keys, *stock_keys], pause)
        return Known(
            stock={sku: _units(found.get(key)) for key, sku in stock_keys.items()},
            records={order_id: _record(found.get(key)) for key, order_id in record_keys.items()},
        )

    def commit(self, actions: Sequence[Action], now: datetime, known: Known) -> bool:
        """Do all of `actions` at once, or none; returns whether they are done.

        If a condition did not hold, `known` learns what is there instead. Raises `TransactionCancelled`
        where other traffic, or a fault of the request, was in the way, or another `AwsError`; after
        `Unreachable` the transaction may have been done.
        """
        if not actions:
            return True
        requests = [self._request(action, now) for action in actions]
        try:
            with aws_errors():
                self._client.transact_write_items(TransactItems=requests)
        except TransactionCancelled as cancelled:
            known.learn(_told(actions, cancelled))
            if cancelled.contended or not cancelled.mendable:
                raise
            return False
        return True

    def mark(self, answers: Sequence[Answer], now: datetime) -> int:
        """Record that `answers`, 1 to 25 (DynamoDB's limit), are in the OMS queue, each on its own.

        Returns how many could not be marked. A condition on the outcome keeps a mark from touching a record
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

    def _request(self, action: Action, now: datetime) -> Any:
        match action:
            case Take(sku, quantity, below):
                values = {":units": {"N": str(quantity)}, ":now": {"S": iso(now)}}
                enough = "quantity >= :units"
                if below is not None:
                    values[":limit"] = {"N": str(below)}
                    enough += " AND quantity < :limit"
                change = "SET quantity = quantity - :units, updated_at = :now"
                return self._stock("Update", sku, enough, values, UpdateExpression=change)
            case GiveBack(sku, quantity):
                values = {":units": {"N": str(quantity)}, ":now": {"S": iso(now)}}
                change = "SET quantity = quantity + :units, updated_at = :now"
                return self._stock("Update", sku, "attribute_exists(sku)", values, UpdateExpression=change)
            case Below(sku, limit):
                return self._stock("ConditionCheck", sku, "quantity < :limit", {":limit": {"N": str(limit)}})
            case Absent(sku):
                return self._stock("ConditionCheck", sku, "attribute_not_exists(sku)")
            case Record(record):
                return {
                    "Put": {
                        "TableName": self._records,
                        "Item": to_item(record, expiry(now, self._ttl_days)),
                        "ConditionExpression": "attribute_not_exists(order_id)",
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                }
            case TurnReleased(order_id, release_event):
                return {"Update": self._turn_released(order_id, release_event, now)}

    def _stock(
        self, kind: str, sku: str, condition: str, values: dict[str, Any] | None = None, **extra: str
    ) -> Any:
        request = {
            "TableName": self._inventory,
            "Key": {"sku": {"S": sku}},
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **extra,
        }
        return {kind: request | {"ExpressionAttributeValues": values} if values else request}

    def _turn_released(self, order_id: str, release_event: str, now: datetime) -> Any:
        return {
            "TableName": self._records,
            "Key": {"order_id": {"S": order_id}},
            # The record starts its life anew, since the release may be redelivered from now on.
            "UpdateExpression": (
                "SET outcome = :released, release_event = :event, #ttl = :ttl,"
                " published_at = if_not_exists(published_at, :now)"
            ),
            "ConditionExpression": "outcome = :reserved",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": {
                ":released": {"S": Outcome.RELEASED.value},
                ":reserved": {"S": Outcome.RESERVED.value},
                ":event": {"S": release_event},
                ":ttl": {"N": str(expiry(now, self._ttl_days))},
                ":now": {"S": iso(now)},
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def _told(actions: Sequence[Action], cancelled: TransactionCancelled) -> Known:
    """What a cancelled transaction tells of the items whose conditions did not hold."""
    news = Known()
    for action, reason in zip(actions, cancelled.reasons, strict=True):
        if reason.code != "ConditionalCheckFailed":
            continue
        if isinstance(action, Record | TurnReleased):
            order_id = action.record.order_id if isinstance(action, Record) else action.order_id
            news.records[order_id] = _record(reason.item)
        else:
            news.stock[action.sku] = _units(reason.item)
    return news


def _record(item: Any) -> OrderRecord | None:
    return from_item(item) if item else None


def _units(item: Any) -> int | None:
    return int(item["quantity"]["N"]) if item else None
