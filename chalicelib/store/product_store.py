"""Products, which are created and deleted together with their stock."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from chalicelib.aws.deadline import Deadline
from chalicelib.aws.dynamodb import batch_get, scan_page, transact
from chalicelib.aws.errors import aws_errors
from chalicelib.domain.stock import Product, Stock
from chalicelib.domain.timestamps import iso
from chalicelib.errors import (
    AlreadyExists,
    Contended,
    HasStock,
    NotFound,
    Refused,
    TransactionCancelled,
)
from chalicelib.store.items import (
    attribute,
    attributes,
    product_from_item,
    product_to_item,
    sku_key,
    stock_from_item,
    stock_to_item,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.settings import TableSettings

_NEW = "attribute_not_exists(sku)"
_EXISTS = "attribute_exists(sku)"
_READ_TRIES = 8


class ProductStore:
    """Reads and writes ProductTable, and InventoryTable where a product is created or deleted.

    Each call may raise `AwsError`, and `OutOfTime` where its deadline is near.
    """

    def __init__(self, client: DynamoDBClient, tables: TableSettings) -> None:
        self._client = client
        self._products = tables.product_table
        self._inventory = tables.inventory_table

    def create(self, product: Product, deadline: Deadline) -> Stock:
        """Store `product` with a stock of 0, and return that stock. Raises `AlreadyExists`, `Contended`."""
        stock = Stock(product.sku, 0, product.created_at)
        items = {self._products: product_to_item(product), self._inventory: stock_to_item(stock)}
        puts = [
            {"Put": {"TableName": table, "Item": item, "ConditionExpression": _NEW}}
            for table, item in items.items()
        ]
        try:
            transact(self._client, puts, deadline)
        except TransactionCancelled as cancelled:
            raise AlreadyExists(f"SKU {product.sku} exists already") from cancelled
        return stock

    def get(self, sku: str, deadline: Deadline) -> tuple[Product, Stock]:
        """Read a product and its stock in one call. Raises `NotFound`, `Contended`."""
        keys = product_key, stock_key = (self._products, "sku", sku), (self._inventory, "sku", sku)
        for _ in deadline.tries(_READ_TRIES):
            found = batch_get(self._client, keys, deadline)
            if not found:
                raise NotFound(f"there is no SKU {sku}")
            # A batch read is no transaction: it may see half of a creation or a deletion.
            if len(found) == len(keys):
                return product_from_item(found[product_key]), stock_from_item(found[stock_key])
        raise Contended(f"SKU {sku} is being created or deleted; try again")

    def page(self, limit: int, after: str | None, deadline: Deadline) -> tuple[list[Product], str | None]:
        """Read at most `limit` products that follow the SKU `after`; see `scan_page`."""
        items, last = scan_page(self._client, self._products, limit, after, deadline)
        return [product_from_item(item) for item in items], last

    def change(self, sku: str, changes: Mapping[str, str | Decimal | None], deadline: Deadline) -> Product:
        """Set the attributes in `changes`, clear those that are None, and return the product.

        Raises `NotFound`.
        """
        values = {**changes, "updated_at": iso(deadline.now())}
        kept = attributes(values)
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in kept)
        if cleared := [f"#{name}" for name in values if name not in kept]:
            expression += " REMOVE " + ", ".join(cleared)
        request: dict[str, Any] = {
            "TableName": self._products,
            "Key": sku_key(sku),
            "UpdateExpression": expression,
            "ConditionExpression": _EXISTS,
            "ExpressionAttributeNames": {f"#{name}": name for name in values},
            "ExpressionAttributeValues": {f":{name}": value for name, value in kept.items()},
            "ReturnValues": "ALL_NEW",
        }
        deadline.check()
        try:
            with aws_errors():
                response = self._client.update_item(**request)
        except Refused as refused:
            if refused.code == "ConditionalCheckFailedException":
                raise NotFound(f"there is no SKU {sku}") from refused
            raise
        return product_from_item(response["Attributes"])

    def delete(self, sku: str, deadline: Deadline) -> None:
        """Delete a product that has no stock. Raises `NotFound`, `HasStock`, `Contended`."""
        product = {"TableName": self._products, "Key": sku_key(sku), "ConditionExpression": _EXISTS}
        stock = {
            "TableName": self._inventory,
            "Key": sku_key(sku),
            "ConditionExpression": "quantity = :none",
            "ExpressionAttributeValues": {":none": attribute(0)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            transact(self._client, [{"Delete": product}, {"Delete": stock}], deadline)
        except TransactionCancelled as cancelled:
            held = cancelled.reasons[1].item
            if held is None:
                raise NotFound(f"there is no SKU {sku}") from cancelled
            units = stock_from_item(held).quantity
            raise HasStock(
                f"SKU {sku} has {units} in stock; only a product without stock can be deleted"
            ) from cancelled
