"""One stage at an endpoint: its clients, tables and queues, and the environment variables that name them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from chalicelib.settings import TableSettings
from local import resources

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient

REGION: Final = "us-east-1"
TABLES: Final = {
    "PRODUCT_TABLE_NAME": "ProductTable",
    "INVENTORY_TABLE_NAME": "InventoryTable",
    "PROCESSED_EVENTS_TABLE_NAME": "ProcessedEventsTable",
    "OUTBOX_TABLE_NAME": "OutboxTable",
}
_CONFIG: Final = Config(connect_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
_PER_SERVICE: Final = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS")


@dataclass(frozen=True, slots=True)
class Stage:
    """A set of tables and queues; `env` has the variables that lead the app to them."""

    env: dict[str, str]
    tables: TableSettings
    dynamodb: DynamoDBClient
    sqs: SQSClient
    inventory_queue_url: str
    dlq_url: str
    oms_queue_url: str


def open_stage(
    endpoint_url: str, account: str, *, visibility_seconds: int = 2, max_receive_count: int = 3
) -> Stage:
    """Create the missing tables and queues of a stage at `endpoint_url`, and connect to it.

    `account`: 12 digits; MiniStack keeps the data of each account apart. The other arguments are those of
    `resources.create_missing_queues`. Endpoints of single services in the environment take precedence, as in
    boto3.
    """
    access = {
        "AWS_ENDPOINT_URL": endpoint_url,
        **{name: os.environ[name] for name in _PER_SERVICE if os.environ.get(name)},
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    dynamodb = boto3.client(
        "dynamodb",
        REGION,
        endpoint_url=access.get(_PER_SERVICE[0], endpoint_url),
        aws_access_key_id=account,
        aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
        config=_CONFIG,
    )
    sqs = boto3.client(
        "sqs",
        REGION,
        endpoint_url=access.get(_PER_SERVICE[1], endpoint_url),
        aws_access_key_id=account,
        aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
        config=_CONFIG,
    )

    tables = TableSettings.load(TABLES)
    resources.create_missing_tables(dynamodb, tables)
    queues = resources.create_missing_queues(
        sqs, visibility_seconds=visibility_seconds, max_receive_count=max_receive_count
    )
    return Stage(
        env={
            **access,
            **TABLES,
            "IMS_INVENTORY_QUEUE_URL": queues.inventory,
            "IMS_DLQ_URL": queues.dlq,
            "OMS_EVENTS_QUEUE_URL": queues.oms,
        },
        tables=tables,
        dynamodb=dynamodb,
        sqs=sqs,
        inventory_queue_url=queues.inventory,
        dlq_url=queues.dlq,
        oms_queue_url=queues.oms,
    )
