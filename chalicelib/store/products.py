"""Products, which come and go together with their stock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from chalicelib.core.catalogue import Product, Stock
from chalicelib.core.moments import iso
from chalicelib.errors import (
    AlreadyExists,
    Contended,
    HasStock,
    NotFound,
    Refused,
    TransactionCancelled,
)
from chalicelib.store.batch_get import batch_get
from chalicelib.store.calls import aws_errors
from chalicelib.store.items import (
    product_from_item,
    product_to_item,
    sku_key,
    stock_from_item,
    stock_to_item,
    value_of,
)
from chalicelib.store.scan import scan_page
from chalicelib.store.transact import Tries, few_tries, transact

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.settings import TableSettings

_NEW = "attribute_not_exists(sku)"
_THERE = "attribute_exists(sku)"


class Products:
    """Reads and writes ProductTable, and InventoryTable where a product begins or ends."""

    def __init__(self, client: DynamoDBClient, tables: TableSettings, tries: Tries = few_tries) -> None:
        self._client = client
        self._products = tables.product_table
        self._inventory = tables.inventory_table
        self._tries = tries

    def create(self, product: Product) -> Stock:
        """Store `product` with a stock of 0, which is returned.

        Raises `AlreadyExists`, `AwsError`, `Contended`.
        """
        stock = Stock(product.sku, 0, product.created_at)
        items = {self._products: product_to_item(product), self._inventory: stock_to_item(stock)}
        puts = [
            {"Put": {"TableName": table, "Item": item, "ConditionExpression": _NEW}}
            for table, item in items.items()
        ]
        try:
            transact(self._client, puts, self._tries)
        except TransactionCancelled as cancelled:
            raise AlreadyExists(f"SKU {product.sku} is taken") from cancelled
        return stock

    def get(self, sku: str) -> tuple[Product, Stock]:
        """A product and its stock, in one call. Raises `NotFound`, `AwsError`, `Contended`."""
        keys = product_key, stock_key = (self._products, "sku", sku), (self._inventory, "sku", sku)
        for _ in self._tries():
            found = batch_get(self._client, keys)
            if not found:
                raise NotFound(f"there is no SKU {sku}")
            # A batch read is no transaction: with one half missing, the product is just coming or going.
            if len(found) == len(keys):
                return product_from_item(found[product_key]), stock_from_item(found[stock_key])
        raise Contended(f"SKU {sku} keeps coming and going; try again")

    def page(self, limit: int, after: str | None) -> tuple[list[Product], str | None]:
        """At most `limit` products that follow the SKU `after`; see `scan_page`. Raises `AwsError`."""
        items, last = scan_page(self._client, self._products, limit, after)
        return [product_from_item(item) for item in items], last

    def change(self, sku: str, changes: Mapping[str, str | Decimal | None], now: datetime) -> Product:
        """Set the attributes in `changes`, those that are None to nothing, and return the product.

        Raises `NotFound`, `AwsError`.
        """
        values = {**changes, "updated_at": iso(now)}
        kept = {name: value for name, value in values.items() if value is not None}
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in kept)
        if gone := [f"#{name}" for name in values if name not in kept]:
            expression += " REMOVE " + ", ".join(gone)
        request: dict[str, Any] = {
            "TableName": self._products,
            "Key": sku_key(sku),
            "UpdateExpression": expression,
            "ConditionExpression": _THERE,
            "ExpressionAttributeNames": {f"#{name}": name for name in values},
            "ExpressionAttributeValues": {f":{name}": value_of(value) for name, value in kept.items()},
            "ReturnValues": "ALL_NEW",
        }
        try:
            with aws_errors():
                answer = self._client.update_item(**request)
        except Refused as refused:
            if refused.code == "ConditionalCheckFailedException":
                raise NotFound(f"there is no SKU {sku}") from refused
            raise
        return product_from_item(answer["Attributes"])

    def delete(self, sku: str) -> None:
        """Delete a product that has no stock. Raises `NotFound`, `HasStock`, `AwsError`, `Contended`."""
        product = {"TableName": self._products, "Key": sku_key(sku), "ConditionExpression": _THERE}
        stock = {
            "TableName": self._inventory,
            "Key": sku_key(sku),
            "ConditionExpression": "quantity = :none",
            "ExpressionAttributeValues": {":none": value_of(0)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            transact(self._client, [{"Delete": product}, {"Delete": stock}], self._tries)
        except TransactionCancelled as cancelled:
            held = cancelled.reasons[1].item
            if held is None:
                raise NotFound(f"there is no SKU {sku}") from cancelled
            units = stock_from_item(held).quantity
            raise HasStock(
                f"SKU {sku} has {units} in stock; only a product without any can go"
            ) from cancelled
