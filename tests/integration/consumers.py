"""Consumers on a stage: through the app's own handler, or several side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session

import app
from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.delivery import Publisher
from chalicelib.consumer.holds import HoldSweep
from chalicelib.consumer.inbox import Message
from chalicelib.consumer.sweep import PATIENCE, Sweep
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore
from local.stage import Stage
from tests.support.deadlines import after
from tests.support.engines import Network
from tests.support.engines.network import Call, Fault
from tests.support.executors import ImmediateExecutor
from tests.support.invariants import check_transaction
from tests.support.messages import text

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

NOW_MS = 1_750_000_000_000


def invoke(*bodies: Any, receives: int = 1, seconds: float = 60) -> list[int]:
    """Hand a batch to `app.on_sqs_message` as Lambda does; returns the positions of the failed messages."""
    records = [
        {
            "messageId": str(uuid4()),
            "receiptHandle": "receipt",
            "body": body if isinstance(body, str) else text(body),
            "attributes": {
                "ApproximateReceiveCount": str(receives),
                "SentTimestamp": str(NOW_MS),
                "SenderId": "oms",
                "ApproximateFirstReceiveTimestamp": str(NOW_MS),
            },
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:IMS-InventoryQueue",
            "awsRegion": "us-east-1",
        }
        for body in bodies
    ]
    context = SimpleNamespace(
        aws_request_id=str(uuid4()), get_remaining_time_in_millis=lambda: seconds * 1000
    )
    response = app.on_sqs_message({"Records": records}, context)
    failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
    return [number for number, record in enumerate(records) if record["messageId"] in failed]


def put_stock(stage: Stage, stock: Mapping[str, int]) -> None:
    """Set the initial stock."""
    for sku, units in stock.items():
        item = {"sku": {"S": sku}, "quantity": {"N": str(units)}, "updated_at": {"S": "2026-01-01T00:00:00Z"}}
        stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item)


def stock_of(stage: Stage, sku: str) -> int:
    """The current units of a SKU."""
    response = stage.dynamodb.get_item(
        TableName=stage.tables.inventory_table, Key={"sku": {"S": sku}}, ConsistentRead=True
    )
    return int(response["Item"]["quantity"]["N"])


def consumer_on(stage: Stage, script: Any = None) -> Consumer:
    """A consumer with its own clients, as in its own process; `script` is that of its `Network`."""
    network = Network(script or CheckingScript())
    dynamodb = network.client(_client(stage, "dynamodb"))
    return Consumer(
        OrderStore(dynamodb, stage.tables),
        OutboxStore(dynamodb, stage.tables),
        Publisher(network.client(_client(stage, "sqs")), stage.oms_queue_url),
        stage.tables.record_ttl_days,
        ImmediateExecutor(),
    )


def sweep_on(stage: Stage, script: Any = None) -> Sweep:
    """A sweep with its own clients, as in its own process; `script` is that of its `Network`."""
    consumer = consumer_on(stage, script)
    return Sweep(consumer.store, consumer.outbox, consumer.publisher, consumer.executor)


def hold_sweep_on(stage: Stage, script: Any = None) -> HoldSweep:
    """A sweep of the holds with its own clients, as in its own process."""
    consumer = consumer_on(stage, script)
    return HoldSweep(consumer.store, consumer.outbox, consumer.publisher, consumer.executor)


def later(ahead: timedelta = PATIENCE + timedelta(seconds=1)) -> Deadline:
    """A deadline of the real length, but in the future: what is in the outbox now is old enough to sweep."""
    return replace(after(50), now=lambda: datetime.now(UTC) + ahead)


def in_(**span: float) -> str:
    """The time that is so far ahead, as in messages."""
    return (datetime.now(UTC) + timedelta(**span)).isoformat(timespec="milliseconds")


@cache
def _session() -> boto3.session.Session:
    # It caches the services' models, which are slow to read.
    return boto3.session.Session()


def _client(stage: Stage, service: Literal["dynamodb", "sqs"]) -> Any:
    return _session().client(
        service,
        stage.env["AWS_REGION"],
        aws_access_key_id=stage.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stage.env["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=stage.env.get(f"AWS_ENDPOINT_URL_{service.upper()}", stage.env["AWS_ENDPOINT_URL"]),
        config=Config(
            connect_timeout=1, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
        ),
    )


class ViolationError(BaseException):
    """A transaction broke an invariant. No code under test takes it for a fault that it has to survive."""


class CheckingScript:
    """A script with the faults that `faults` returns, which checks each committed transaction."""

    def __init__(self, faults: Callable[[Call], Fault | None] = lambda call: None) -> None:
        self._faults = faults
        self.committed = 0

    def before(self, call: Call) -> Fault | None:
        return self._faults(call)

    def after(self, call: Call, result: Any) -> None:
        if call.operation == "transact_write_items" and not isinstance(result, BaseException):
            try:
                check_transaction(call.parameters["TransactItems"])
            except AssertionError as violation:
                raise ViolationError from violation
            self.committed += 1


def message(body: Any, sent_at: int = NOW_MS, receives: int = 1) -> Message:
    """A delivery with a new id."""
    return Message(str(uuid4()), body if isinstance(body, str) else json.dumps(body), sent_at, receives)


def lose_responses(client: DynamoDBClient, operation: str, count: int) -> list[str]:
    """Let the next `count` requests of an operation reach AWS, and lose their responses.

    Returns a list to which each such request's body is added.
    """
    lost: list[str] = []
    session = URLLib3Session()

    def send_and_lose(request: Any, **_: Any) -> None:
        if len(lost) < count:
            session.send(request)
            lost.append(request.body.decode() if isinstance(request.body, bytes) else request.body)
            raise ReadTimeoutError(endpoint_url=request.url)

    client.meta.events.register(f"before-send.dynamodb.{operation}", send_and_lose)
    return lost
