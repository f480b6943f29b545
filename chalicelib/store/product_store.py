"""Products, which are created and deleted together with their stock.

A restore of one table leaves halves: a product without stock, or stock without a product. `get`, `stocks` and
`complete` give a product its stock, `create` gives stock its product, and `delete` deletes either half, each
in a transaction whose conditions prove that it is a half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from chalicelib.aws import dynamodb
from chalicelib.aws.deadline import Deadline
from chalicelib.domain.stock import Product, Stock
from chalicelib.domain.timestamps import iso
from chalicelib.errors import (
    AlreadyExists,
    Contended,
    HasReservations,
    HasStock,
    NotFound,
    OutOfTime,
    Reason,
    Throttled,
    TransactionCancelled,
    Unreachable,
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

_ABSENT: Final = "attribute_not_exists(sku)"
_EXISTS: Final = "attribute_exists(sku)"
_EMPTY: Final = "quantity = :none AND (attribute_not_exists(reserved) OR reserved = :none)"
_READ_TRIES: Final = 2
_WRITE_TRIES: Final = 4
_MAX_COMPLETED: Final = 50
"""Products in one transaction, which has two actions for each and may have 100.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""


class ProductStore:
    """Reads and writes ProductTable, and InventoryTable where a product is created or deleted.

    Each call may raise `AwsError`, and `OutOfTime` where its deadline is near.
    """

    def __init__(self, client: DynamoDBClient, tables: TableSettings) -> None:
        self._client = client
        self._products = tables.product_table
        self._inventory = tables.inventory_table

    def create(self, product: Product, deadline: Deadline) -> Stock:
        """Store `product` with a stock of 0, and return that stock.

        Stock without a product keeps its units; what is returned is that stock as it was right before.
        Raises `AlreadyExists`, `Contended`.
        """
        sku, stock = product.sku, _new_stock(product.sku, product.created_at)
        put_product = {"Put": self._put(self._products, product_to_item(product))}
        put_stock = {"Put": self._put(self._inventory, stock_to_item(stock, uuid4().hex))}
        has_stock = {"ConditionCheck": self._at(self._inventory, sku, _EXISTS)}
        held: Stock | None = None
        for _ in deadline.tries(_WRITE_TRIES):
            for other in (put_stock, has_stock):
                refused = self._transact([put_product, other], deadline)
                if refused is None:
                    return held or stock
                if refused[0].failed:
                    raise AlreadyExists(f"SKU {sku} exists already")
                held = stock_from_item(item) if (item := refused[1].item) else None
        raise _contended(sku)

    def get(self, sku: str, deadline: Deadline) -> tuple[Product, Stock]:
        """Read a product and its stock in one call. Raises `NotFound`, `Contended`."""
        keys = product_key, stock_key = (self._products, "sku", sku), (self._inventory, "sku", sku)
        for _ in deadline.tries(_READ_TRIES):
            found = dynamodb.batch_get(self._client, keys, deadline)
            # A batch read is no transaction: it may see half of a creation or a deletion. So a half is read
            # again. Then a product that is absent does not exist, and `complete` proves whether stock is.
            if len(found) != 1:
                break
        if product_key in found:
            item = found.get(stock_key)
            if stock := stock_from_item(item) if item else self.complete([sku], deadline).get(sku):
                return product_from_item(found[product_key]), stock
        raise NotFound(f"there is no SKU {sku}")

    def complete(self, skus: Sequence[str], deadline: Deadline) -> dict[str, Stock]:
        """Give products that have no stock, at most 50, a stock of 0 in one transaction.

        Returns the stock of each product that exists. Raises `Contended`.
        """
        held: dict[str, Stock] = {}
        lacking = {sku: _new_stock(sku, iso(deadline.now())) for sku in skus}
        for _ in deadline.tries(_WRITE_TRIES):
            commit = uuid4().hex
            actions = [action for stock in lacking.values() for action in self._completion(stock, commit)]
            refused = self._transact(actions, deadline)
            if refused is None:
                return held | lacking
            for sku, product, stock in zip(list(lacking), refused[::2], refused[1::2], strict=True):
                if product.failed or stock.failed:
                    del lacking[sku]
                if stock.item and not product.failed:
                    held[sku] = stock_from_item(stock.item)
            if not lacking:
                return held
        raise _contended(", ".join(lacking))

    def stocks(self, skus: Sequence[str], deadline: Deadline) -> dict[str, Stock]:
        """The stock of those of `skus` that exist, read again, in four calls up to 100 SKUs.

        A product without stock has a stock of 0, since nobody can take a unit of it. That stock is stored as
        well, unless a conflict, a throttle or the deadline prevents it; then a later call stores it.
        """
        keys = [(table, "sku", sku) for sku in skus for table in (self._products, self._inventory)]
        found = dynamodb.batch_get(self._client, keys, deadline)
        held: dict[str, Stock] = {}
        lacking: list[str] = []
        for sku in skus:
            if item := found.get((self._inventory, "sku", sku)):
                held[sku] = stock_from_item(item)
            elif (self._products, "sku", sku) in found:
                lacking.append(sku)
        held |= {sku: _new_stock(sku, iso(deadline.now())) for sku in lacking}
        with suppress(Contended, OutOfTime, Throttled, Unreachable):
            for start in range(0, len(lacking), _MAX_COMPLETED):
                held |= self.complete(lacking[start : start + _MAX_COMPLETED], deadline)
        return held

    def page(self, limit: int, after: str | None, deadline: Deadline) -> tuple[list[Product], str | None]:
        """Read at most `limit` products that follow the SKU `after`; see `scan_page`."""
        items, last = dynamodb.scan_page(self._client, self._products, limit, after, deadline)
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
        }
        item = dynamodb.update(self._client, request, deadline)
        if item is None:
            raise NotFound(f"there is no SKU {sku}")
        return product_from_item(item)

    def delete(self, sku: str, deadline: Deadline) -> None:
        """Delete a product whose stock is 0 and not reserved, or half of one.

        Raises `NotFound`, `HasStock`, `HasReservations`, `Contended`.
        """
        keys = product_key, stock_key = (self._products, "sku", sku), (self._inventory, "sku", sku)
        product, stock = _EXISTS, _EMPTY
        for _ in deadline.tries(_WRITE_TRIES):
            refused = self._transact(
                # To delete what is absent, on condition that it is, proves that and changes nothing.
                [
                    {"Delete": self._at(self._products, sku, product)},
                    {"Delete": self._at(self._inventory, sku, stock)},
                ],
                deadline,
            )
            if refused is None:
                return
            if held := refused[1].item:
                _check_empty(stock_from_item(held))
            found = dynamodb.batch_get(self._client, keys, deadline)
            if not found:
                raise NotFound(f"there is no SKU {sku}")
            product = _EXISTS if product_key in found else _ABSENT
            stock = _EMPTY if stock_key in found else _ABSENT
        raise _contended(sku)

    def _transact(self, actions: Sequence[Any], deadline: Deadline) -> Sequence[Reason] | None:
        """Do all of `actions`, or none; returns the reasons if a condition did not hold, else None."""
        try:
            dynamodb.transact(self._client, actions, deadline)
        except TransactionCancelled as cancelled:
            if not cancelled.retryable:
                raise
            return cancelled.reasons
        return None

    def _completion(self, stock: Stock, commit: str) -> tuple[Any, Any]:
        """Store `stock` if there is none, and its product exists."""
        product = {"ConditionCheck": self._at(self._products, stock.sku, _EXISTS)}
        return product, {"Put": self._put(self._inventory, stock_to_item(stock, commit))}

    def _put(self, table: str, item: Mapping[str, Any]) -> dict[str, Any]:
        request = {"TableName": table, "Item": item, "ConditionExpression": _ABSENT}
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return request

    def _at(self, table: str, sku: str, condition: str) -> dict[str, Any]:
        request = {"TableName": table, "Key": sku_key(sku), "ConditionExpression": condition}
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if condition == _EMPTY:
            request["ExpressionAttributeValues"] = {":none": attribute(0)}
        return request


def _new_stock(sku: str, at: str) -> Stock:
    return Stock(sku, 0, at, version=1)


def _check_empty(stock: Stock) -> None:
    """Raises `HasStock`, `HasReservations`."""
    if stock.quantity:
        raise HasStock(
            f"SKU {stock.sku} has {stock.quantity} in stock; only a product without stock can be deleted"
        )
    if stock.reserved:
        raise HasReservations(
            f"SKU {stock.sku} has {stock.reserved} reserved; only a product without these can be deleted"
        )


def _contended(sku: str) -> Contended:
    return Contended(f"SKU {sku} is being created or deleted; try again")
