"""A whole stage in memory, with the attributes of the `stage` fixture that tests of behaviour use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.settings import TableSettings
from tests.engines.clock import FakeClock
from tests.engines.dynamodb import FakeDynamoDB


@dataclass(frozen=True, slots=True)
class FakeStage:
    """Tables as in production, under their own names."""

    clock: FakeClock
    tables: TableSettings
    dynamodb: Any  # a FakeDynamoDB; Any lets it stand where a DynamoDBClient is asked for


def fake_stage(clock: FakeClock | None = None, **options: Any) -> FakeStage:
    """A fresh, empty stage; `options` are those of `Engine`."""
    clock = clock or FakeClock()
    tables = TableSettings.load(
        {
            "PRODUCT_TABLE_NAME": "ProductTable",
            "INVENTORY_TABLE_NAME": "InventoryTable",
            "PROCESSED_EVENTS_TABLE_NAME": "ProcessedEventsTable",
        }
    )
    keys = {
        tables.product_table: "sku",
        tables.inventory_table: "sku",
        tables.processed_events_table: "order_id",
    }
    return FakeStage(clock=clock, tables=tables, dynamodb=FakeDynamoDB(keys, clock, **options))
