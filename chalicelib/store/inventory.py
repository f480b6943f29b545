"""Stock levels, for reading; `chalicelib.store.adjustments` changes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chalicelib.core.catalogue import Stock
from chalicelib.errors import NotFound
from chalicelib.store.batch_get import batch_get
from chalicelib.store.calls import aws_errors
from chalicelib.store.items import sku_key, stock_from_item
from chalicelib.store.scan import scan_page

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.settings import TableSettings


class Inventory:
    """Reads InventoryTable, consistently."""

    def __init__(self, client: DynamoDBClient, tables: TableSettings) -> None:
        self._client = client
        self._table = tables.inventory_table

    def get(self, sku: str) -> Stock:
        """The stock of `sku`. Raises `NotFound`, `AwsError`."""
        stock = self.find(sku)
        if stock is None:
            raise NotFound(f"there is no SKU {sku}")
        return stock

    def find(self, sku: str) -> Stock | None:
        """The stock of `sku`, or None. Raises `AwsError`."""
        with aws_errors():
            answer = self._client.get_item(TableName=self._table, Key=sku_key(sku), ConsistentRead=True)
        return stock_from_item(answer["Item"]) if answer.get("Item") else None

    def levels(self, skus: Iterable[str]) -> dict[str, Stock]:
        """The stock of those of `skus` that exist, in one call up to 100. Raises `AwsError`."""
        found = batch_get(self._client, ((self._table, "sku", sku) for sku in skus))
        return {sku: stock_from_item(item) for (_, _, sku), item in found.items()}

    def page(self, limit: int, after: str | None) -> tuple[list[Stock], str | None]:
        """At most `limit` stock levels that follow the SKU `after`; see `scan_page`. Raises `AwsError`."""
        items, last = scan_page(self._client, self._table, limit, after)
        return [stock_from_item(item) for item in items], last
