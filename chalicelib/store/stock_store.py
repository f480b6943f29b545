"""Stock levels, their reorder points, and changes of stock over REST.

Each change is made in one transaction with its record. So the stock and the records of its changes never
disagree, and a repeated request finds its own record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from chalicelib.aws import dynamodb
from chalicelib.aws.deadline import Deadline
from chalicelib.aws.errors import aws_errors
from chalicelib.domain.stock import MAX_STOCK, Stock, StockChange, StoredChange
from chalicelib.domain.timestamps import iso
from chalicelib.errors import NotFound, TransactionCancelled
from chalicelib.store.items import (
    attribute,
    attributes,
    change_to_item,
    expiry,
    order_key,
    sku_key,
    stock_from_item,
    stock_from_text,
    stock_to_text,
    stored_change_from_item,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.settings import TableSettings


class NotApplied(Exception):
    """A change was not made: a condition did not hold.

    `by_stock` says whether that was the stock's condition; then `stock` is what there is (None: no such SKU).
    `first` is the record that was found under the change's id, if any.
    """

    def __init__(self, by_stock: bool, stock: Stock | None, first: StoredChange | None) -> None:
        super().__init__("a condition of the change did not hold")
        self.by_stock = by_stock
        self.stock = stock
        self.first = first


class StockStore:
    """Reads and writes InventoryTable, and with it the records of changes in ProcessedEventsTable.

    Each call may raise `AwsError`, and `OutOfTime` where its deadline is near.
    """

    def __init__(self, client: DynamoDBClient, tables: TableSettings) -> None:
        self._client = client
        self._inventory = tables.inventory_table
        self._records = tables.processed_events_table
        self._ttl_days = tables.record_ttl_days

    def get(self, sku: str, deadline: Deadline) -> Stock:
        """The stock of `sku`, read consistently. Raises `NotFound`."""
        stock = self.find(sku, deadline)
        if stock is None:
            raise NotFound(f"there is no SKU {sku}")
        return stock

    def find(self, sku: str, deadline: Deadline) -> Stock | None:
        """The stock of `sku`, read consistently, or None."""
        item = dynamodb.get(self._client, self._inventory, sku_key(sku), deadline)
        return stock_from_item(item) if item else None

    def levels(self, skus: Iterable[str], deadline: Deadline) -> dict[str, Stock]:
        """The stock of those of `skus` that exist, read consistently, in one call up to 100."""
        found = dynamodb.batch_get(self._client, ((self._inventory, "sku", sku) for sku in skus), deadline)
        return {sku: stock_from_item(item) for (_, _, sku), item in found.items()}

    def page(self, limit: int, after: str | None, deadline: Deadline) -> tuple[list[Stock], str | None]:
        """Read at most `limit` stock levels that follow the SKU `after`; see `scan_page`."""
        items, last = dynamodb.scan_page(self._client, self._inventory, limit, after, deadline)
        return [stock_from_item(item) for item in items], last

    def add(self, change: StockChange, deadline: Deadline) -> None:
        """Add the change's delta to the stock, within its bounds, and record the change.

        Raises `NotApplied`, `Contended`.
        """
        delta = change.adjustment.delta
        # The update is relative, so concurrent writers do not break it. Conditions cannot do arithmetic, so
        # the bounds are computed here.
        update = self._update(
            change,
            "quantity + :delta",
            "quantity >= :least AND quantity <= :most",
            {":delta": delta, ":least": max(0, -delta), ":most": MAX_STOCK - max(0, delta)},
        )
        self._transact(update, self._put(change), deadline)

    def replace(self, change: StockChange, seen: Stock, result: Stock, deadline: Deadline) -> None:
        """Set the stock to `result` if it is still as `seen`, and record the change with its result.

        `result` is the next version of `seen`, with another quantity. Raises `NotApplied`, `Contended`.
        """
        # Version 1.1, which may run beside this one, changes the quantity and not the version.
        unchanged, values = "quantity = :seen AND attribute_not_exists(version)", {":seen": seen.quantity}
        if seen.version:
            unchanged, values = "quantity = :seen AND version = :version", values | {":version": seen.version}
        update = self._update(change, ":new", unchanged, values | {":new": result.quantity})
        self._transact(update, self._put(change, result), deadline)

    def set_reorder_point(self, sku: str, point: int | None, deadline: Deadline) -> Stock:
        """Set the reorder point of `sku`, or clear it (None), and return the stock. Raises `NotFound`.

        It counts as a change of the stock, but leaves no record: it moves no units.
        """
        values: dict[str, str | int | None] = {":point": point, ":now": iso(deadline.now())}
        values |= {":commit": uuid4().hex, ":one": 1}
        change = "REMOVE reorder_point SET" if point is None else "SET reorder_point = :point,"
        request = {
            "TableName": self._inventory,
            "Key": sku_key(sku),
            "UpdateExpression": f"{change} updated_at = :now, change = :commit ADD version :one",
            "ConditionExpression": "attribute_exists(sku)",
            "ExpressionAttributeValues": attributes(values),
        }
        item = dynamodb.update(self._client, request, deadline)
        if item is None:
            raise NotFound(f"there is no SKU {sku}")
        return stock_from_item(item)

    def find_change(self, change_id: str, deadline: Deadline) -> StoredChange | None:
        """The record of a change, read consistently, or None."""
        item = dynamodb.get(self._client, self._records, order_key(change_id), deadline)
        return stored_change_from_item(item) if item else None

    def keep_result(self, change_id: str, result: Stock, deadline: Deadline) -> Stock:
        """Store `result` in a change's record, unless one is there already; returns the stored one."""
        deadline.check()
        with aws_errors():
            kept = self._client.update_item(
                TableName=self._records,
                Key=order_key(change_id),
                UpdateExpression="SET answer = if_not_exists(answer, :answer)",
                ConditionExpression="attribute_exists(order_id)",
                ExpressionAttributeValues={":answer": attribute(stock_to_text(result))},
                ReturnValues="ALL_NEW",
            )
        return stock_from_text(kept["Attributes"]["answer"]["S"])

    def _transact(self, update: Any, put: Any, deadline: Deadline) -> None:
        try:
            dynamodb.transact(self._client, [update, put], deadline)
        except TransactionCancelled as cancelled:
            stock, record = cancelled.reasons
            raise NotApplied(
                stock.failed,
                stock_from_item(stock.item) if stock.item else None,
                stored_change_from_item(record.item) if record.item else None,
            ) from cancelled

    def _update(self, change: StockChange, quantity: str, condition: str, values: dict[str, int]) -> Any:
        made: dict[str, str | int] = {":now": iso(change.at), ":commit": change.commit, ":one": 1}
        return {
            "Update": {
                "TableName": self._inventory,
                "Key": sku_key(change.sku),
                "UpdateExpression": (
                    f"SET quantity = {quantity}, updated_at = :now, change = :commit ADD version :one"
                ),
                # A SKU that does not exist has no quantity, so it fails every condition on it.
                "ConditionExpression": condition,
                "ExpressionAttributeValues": attributes({**values, **made}),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _put(self, change: StockChange, result: Stock | None = None) -> Any:
        return {
            "Put": {
                "TableName": self._records,
                "Item": change_to_item(change, result, expiry(change.at, self._ttl_days)),
                "ConditionExpression": "attribute_not_exists(order_id)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
