"""Builds products and stock, and reads what the tables hold."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chalicelib.domain.stock import Product, Stock
from chalicelib.store.items import product_to_item, stock_to_item
from tests.support.engines import Call, FakeStage

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
THEN = "2026-01-01T00:00:00.000Z"


def make_product(sku: str = "A", **changes: Any) -> Product:
    values: dict[str, Any] = {"name": "a", "price": Decimal("1.50"), "description": None, "image_url": None}
    return Product(**({"sku": sku, "created_at": THEN, "updated_at": THEN} | values | changes))


def put_product(stage: FakeStage, product: Product) -> None:
    stage.dynamodb.put_item(TableName=stage.tables.product_table, Item=product_to_item(product))


def make_stock(
    sku: str, quantity: int, reserved: int = 0, version: int = 1, reorder_point: int | None = None
) -> Stock:
    return Stock(sku, quantity, THEN, reserved, version, reorder_point)


def put_stock(
    stage: FakeStage,
    sku: str,
    quantity: int,
    reserved: int = 0,
    version: int = 1,
    *,
    reorder_point: int | None = None,
) -> None:
    item = stock_to_item(make_stock(sku, quantity, reserved, version, reorder_point), "earlier")
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item)


def put_old_stock(stage: FakeStage, sku: str, quantity: int) -> None:
    """Store stock as version 1.1 does."""
    item: dict[str, Any] = {"quantity": {"N": str(quantity)}, "updated_at": {"S": THEN}}
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item={"sku": {"S": sku}, **item})


def quantity_of(stage: FakeStage, sku: str) -> int | None:
    item = stage.dynamodb.snapshot()[stage.tables.inventory_table].get(sku)
    return int(item["quantity"]["N"]) if item else None


def stock_item(stage: FakeStage, sku: str) -> dict[str, Any]:
    """The stored stock, as plain values."""
    item = stage.dynamodb.snapshot()[stage.tables.inventory_table][sku]
    return {name: next(iter(value.values())) for name, value in item.items()}


def change_items(stage: FakeStage) -> list[dict[str, Any]]:
    """The stored changes of stock, as plain values."""
    items = stage.dynamodb.snapshot()[stage.tables.processed_events_table].values()
    return [{name: next(iter(value.values())) for name, value in item.items()} for item in items]


def concurrent_write(
    stage: FakeStage,
    sku: str,
    quantity: int | None,
    reserved: int = 0,
    version: int = 2,
    *,
    reorder_point: int | None = None,
) -> Any:
    """A fault: another caller sets (None: deletes) the stock right before the call."""

    def fault(call: Call) -> Any:
        if quantity is None:
            stage.dynamodb.delete_item(TableName=stage.tables.inventory_table, Key={"sku": {"S": sku}})
        else:
            put_stock(stage, sku, quantity, reserved, version, reorder_point=reorder_point)
        return call.proceed()

    return fault
