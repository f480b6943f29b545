"""The usual consumers of examples and libraries, which settle order by order. They log and count nothing."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient

    from bench.orders import Event
    from chalicelib.settings import TableSettings

_TTL_SECONDS = 90 * 24 * 3600


class Steps:
    """The steps of the usual consumers."""

    def __init__(
        self, dynamodb: DynamoDBClient, sqs: SQSClient, tables: TableSettings, queue_url: str
    ) -> None:
        self.dynamodb = dynamodb
        self.sqs = sqs
        self.tables = tables
        self._queue_url = queue_url

    def known(self, order: Mapping[str, Any]) -> bool:
        """Whether the order has a record."""
        response = self.dynamodb.get_item(
            TableName=self.tables.processed_events_table,
            Key={"order_id": {"S": order["order_id"]}},
            ConsistentRead=True,
        )
        return "Item" in response

    def reserve(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Take the order's stock in one transaction, and return the answer."""
        try:
            self.dynamodb.transact_write_items(TransactItems=[self._take(line) for line in order["items"]])
        except ClientError as error:
            reasons: Any = error.response.get("CancellationReasons", [])
            if not any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons):
                raise
            short = [
                line | {"available": int(reason["Item"]["quantity"]["N"])}
                for line, reason in zip(order["items"], reasons, strict=True)
                if reason.get("Item")
            ]
            failed = {"reason": "INSUFFICIENT_STOCK", "items": short}
            return answer_to(order, "InventoryReservationFailed") | failed
        return answer_to(order, "InventoryReserved") | {"items": order["items"]}

    def record(self, order: Mapping[str, Any]) -> None:
        """Write the order's record."""
        self.dynamodb.put_item(
            TableName=self.tables.processed_events_table,
            Item={
                "order_id": {"S": order["order_id"]},
                "created_at": {"S": now()},
                "ttl": {"N": str(int(time.time()) + _TTL_SECONDS)},
            },
        )

    def send(self, answer: Mapping[str, Any]) -> None:
        """Send the answer to the OMS's queue."""
        self.sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=json.dumps(answer),
            MessageAttributes={"type": {"DataType": "String", "StringValue": answer["type"]}},
        )

    def _take(self, line: Mapping[str, Any]) -> Any:
        return {
            "Update": {
                "TableName": self.tables.inventory_table,
                "Key": {"sku": {"S": line["sku"]}},
                "UpdateExpression": "SET quantity = quantity - :units, updated_at = :now",
                "ConditionExpression": "quantity >= :units",
                "ExpressionAttributeValues": {":units": {"N": str(line["quantity"])}, ":now": {"S": now()}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }


class Usual:
    """Gets the record, takes the stock, puts the record, sends the answer; in `threads` threads.

    `change` settles the messages that change an order.
    """

    def __init__(self, steps: Steps, change: Callable[[Steps, Any], None], threads: int = 1) -> None:
        self._steps = steps
        self._change = change
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def handle(self, event: Event, _: object) -> dict[str, Any]:
        """Settle a batch."""
        records = event["Records"]
        settled = list(self._pool.map(self._try, records) if self._pool else map(self._try, records))
        failed = [record["messageId"] for record, done in zip(records, settled, strict=True) if not done]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    def _try(self, record: Mapping[str, Any]) -> bool:
        try:
            self._settle(json.loads(record["body"]))
        except ClientError:
            return False
        return True

    def _settle(self, order: Mapping[str, Any]) -> None:
        if order["type"] != "ReserveInventory":
            self._change(self._steps, order)
            return
        if self._steps.known(order):
            return
        answer = self._steps.reserve(order)
        self._steps.record(order)
        self._steps.send(answer)


class Powertools:
    """`BatchProcessor`, with `@idempotent_function` around the transaction and the send.

    Source: https://docs.aws.amazon.com/powertools/python/latest/utilities/idempotency/
    """

    def __init__(self, steps: Steps) -> None:
        from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
        from aws_lambda_powertools.utilities.idempotency import (
            DynamoDBPersistenceLayer,
            IdempotencyConfig,
            idempotent_function,
        )

        self._processor = BatchProcessor(event_type=EventType.SQS)
        self._config = IdempotencyConfig(event_key_jmespath="order_id", expires_after_seconds=_TTL_SECONDS)
        persistence = DynamoDBPersistenceLayer(
            table_name=steps.tables.processed_events_table,
            key_attr="order_id",
            expiry_attr="ttl",
            boto3_client=steps.dynamodb,
        )

        def settle(order: dict[str, Any]) -> str:
            answer = steps.reserve(order)
            steps.send(answer)
            return str(answer["type"])

        self._settle = idempotent_function(
            settle, data_keyword_argument="order", persistence_store=persistence, config=self._config
        )

    def handle(self, event: Event, context: Any) -> dict[str, Any]:
        """Settle a batch."""
        from aws_lambda_powertools.utilities.batch import process_partial_response

        self._config.register_lambda_context(context)
        return dict(process_partial_response(event, self._on_record, self._processor, context))

    def _on_record(self, record: Any) -> None:
        self._settle(order=json.loads(record.body))


def answer_to(message: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The answer to `message`, without its items."""
    customer = {"customer_id": message["customer_id"]} if "customer_id" in message else {}
    return {
        "type": kind,
        "event_id": str(uuid.uuid4()),
        "order_id": message["order_id"],
        **customer,
        "timestamp": now(),
    }


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
