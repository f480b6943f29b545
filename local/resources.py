"""Creates the missing tables and queues of a stage, as Terraform does on AWS."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chalicelib.settings import TableSettings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.literals import IndexStatusType
    from types_boto3_dynamodb.type_defs import CreateGlobalSecondaryIndexActionTypeDef
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.literals import QueueAttributeNameType

INVENTORY_QUEUE: Final = "IMS-InventoryQueue"
DLQ: Final = "IMS-InventoryDLQ"
OMS_QUEUE: Final = "OMS-OrderEventsQueue"
HOLDS: Final[CreateGlobalSecondaryIndexActionTypeDef] = {
    "IndexName": "holds",
    "KeySchema": [
        {"AttributeName": "hold_shard", "KeyType": "HASH"},
        {"AttributeName": "due_at", "KeyType": "RANGE"},
    ],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}
"""The index on the records that are due at some time. Others have no `hold_shard`, so they are not in it."""
_FOURTEEN_DAYS: Final = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Queues:
    """The URLs of the three queues."""

    inventory: str
    dlq: str
    oms: str


def create_missing_tables(dynamodb: DynamoDBClient, tables: TableSettings) -> None:
    """Create the missing ones of the four tables and their indexes, and wait until they can be used."""
    _table(dynamodb, tables.product_table, "sku")
    _table(dynamodb, tables.inventory_table, "sku")
    _table(dynamodb, tables.processed_events_table, "order_id")
    _table(dynamodb, tables.outbox_table, "id")
    _index(dynamodb, tables.processed_events_table, HOLDS)
    _time_to_live(dynamodb, tables.processed_events_table, "ttl")


def create_missing_queues(
    sqs: SQSClient, *, visibility_seconds: int = 2, max_receive_count: int = 3
) -> Queues:
    """Create those of the three queues that are missing, and set the attributes of all.

    `visibility_seconds`: the time until a received message is redelivered. `max_receive_count`: how often a
    message is received before it moves to the dead-letter queue.
    """
    dlq = _queue(sqs, DLQ, {"MessageRetentionPeriod": str(_FOURTEEN_DAYS)})
    dlq_arn = sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = {"deadLetterTargetArn": dlq_arn, "maxReceiveCount": max_receive_count}
    inventory = _queue(
        sqs,
        INVENTORY_QUEUE,
        {"VisibilityTimeout": str(visibility_seconds), "RedrivePolicy": json.dumps(redrive)},
    )
    return Queues(inventory=inventory, dlq=dlq, oms=_queue(sqs, OMS_QUEUE, {}))


def _table(dynamodb: DynamoDBClient, name: str, key: str) -> None:
    try:
        dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    except dynamodb.exceptions.ResourceInUseException:
        return
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def _index(dynamodb: DynamoDBClient, table: str, index: CreateGlobalSecondaryIndexActionTypeDef) -> None:
    # The table may be of an earlier version, so the index does not come with it.
    if (status := _status(dynamodb, table, index)) is None:
        dynamodb.update_table(
            TableName=table,
            AttributeDefinitions=[
                {"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in index["KeySchema"]
            ],
            GlobalSecondaryIndexUpdates=[{"Create": index}],
        )
        status = _status(dynamodb, table, index)
    while status != "ACTIVE":
        time.sleep(0.1)
        status = _status(dynamodb, table, index)


def _status(
    dynamodb: DynamoDBClient, table: str, index: CreateGlobalSecondaryIndexActionTypeDef
) -> IndexStatusType | None:
    found = dynamodb.describe_table(TableName=table)["Table"].get("GlobalSecondaryIndexes", [])
    return next((each["IndexStatus"] for each in found if each["IndexName"] == index["IndexName"]), None)


def _time_to_live(dynamodb: DynamoDBClient, table: str, attribute: str) -> None:
    current = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    if current.get("AttributeName") != attribute:
        dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute}
        )


def _queue(sqs: SQSClient, name: str, attributes: dict[QueueAttributeNameType, str]) -> str:
    # CreateQueue refuses an existing queue whose attributes differ, so they are set in a separate call.
    url = sqs.create_queue(QueueName=name)["QueueUrl"] if not (found := _find(sqs, name)) else found
    if attributes:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url


def _find(sqs: SQSClient, name: str) -> str | None:
    try:
        return sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist:
        return None
