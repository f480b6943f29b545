"""A whole stage in memory, with the same attributes as the `stage` fixture of the embedded AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.settings import TableSettings
from tests.support.engines.clock import FakeClock
from tests.support.engines.dynamodb import FakeDynamoDB
from tests.support.engines.queues import Disorder, Queue
from tests.support.engines.sqs import FakeSQS


@dataclass(frozen=True, slots=True)
class FakeStage:
    """Tables and queues as in production; the clients are `Any` so that they can replace boto3's."""

    clock: FakeClock
    tables: TableSettings
    dynamodb: Any
    sqs: Any
    inventory_queue_url: str
    dlq_url: str
    oms_queue_url: str


def fake_stage(
    clock: FakeClock | None = None,
    *,
    visibility_seconds: float = 30,
    max_receive_count: int = 3,
    disorder: Disorder | None = None,
    index_lag: float = 0,
    **options: Any,
) -> FakeStage:
    """A fresh, empty stage.

    `options` go to both engines, `index_lag` goes to the tables, and the other arguments go to the queues.
    """
    clock = clock or FakeClock()
    tables = TableSettings.load(
        {
            "PRODUCT_TABLE_NAME": "ProductTable",
            "INVENTORY_TABLE_NAME": "InventoryTable",
            "PROCESSED_EVENTS_TABLE_NAME": "ProcessedEventsTable",
            "OUTBOX_TABLE_NAME": "OutboxTable",
        }
    )
    keys = {
        tables.product_table: "sku",
        tables.inventory_table: "sku",
        tables.processed_events_table: "order_id",
        tables.outbox_table: "id",
    }
    indexes = {tables.processed_events_table: {"holds": ("hold_shard", "due_at")}}
    dlq = Queue("IMS-InventoryDLQ", retention=14 * 24 * 3600)
    oms = Queue("OMS-OrderEventsQueue")
    inventory = Queue(
        "IMS-InventoryQueue",
        visibility=visibility_seconds,
        dead_letter=dlq.name,
        max_receive_count=max_receive_count,
    )
    return FakeStage(
        clock=clock,
        tables=tables,
        dynamodb=FakeDynamoDB(keys, clock, indexes=indexes, index_lag=index_lag, **options),
        sqs=FakeSQS([inventory, dlq, oms], clock, disorder=disorder, **options),
        inventory_queue_url=inventory.url,
        dlq_url=dlq.url,
        oms_queue_url=oms.url,
    )
