"""Changes of stock over REST, each with its record in the same transaction.

So the stock and the records of what changed it never disagree, and a request that is repeated under
its idempotency key meets its own record.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from chalicelib.core.adjustments import Adjustment, IdempotencyKey, fingerprint, record_key
from chalicelib.core.catalogue import Stock
from chalicelib.core.fields import MAX_STOCK
from chalicelib.core.moments import iso
from chalicelib.errors import (
    AwsError,
    Contended,
    IdempotencyKeyReused,
    ImsError,
    InsufficientStock,
    NotFound,
    QuantityMismatch,
    Reason,
    StockLimit,
    TransactionCancelled,
    Unreachable,
)
from chalicelib.store.calls import aws_errors
from chalicelib.store.inventory import Inventory
from chalicelib.store.items import Item, sku_key, stock_from_item, value_of
from chalicelib.store.records import expiry
from chalicelib.store.transact import Tries, few_tries, transact

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.settings import TableSettings

SET = "SET"
"""The reason in the record of a stock that was set; all other reasons are the caller's."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One change that was asked for, and where it leaves its record."""

    sku: str
    record: str
    fingerprint: str
    repeatable: bool
    at: datetime


class Adjustments:
    """Writes InventoryTable and, with it, the records of changes in ProcessedEventsTable."""

    def __init__(self, client: DynamoDBClient, tables: TableSettings, tries: Tries = few_tries) -> None:
        self._client = client
        self._stock = Inventory(client, tables)
        self._inventory = tables.inventory_table
        self._records = tables.processed_events_table
        self._ttl_days = tables.record_ttl_days
        self._tries = tries

    def adjust(self, sku: str, change: Adjustment, now: datetime, key: IdempotencyKey | None = None) -> Stock:
        """Add `change.delta` to the stock of `sku`, and return the stock at some moment after that.

        The same change under the same key is made once and answered with the first answer.
        Raises `NotFound`, `InsufficientStock`, `StockLimit`, `IdempotencyKeyReused`, `AwsError`, `Contended`.
        """
        mark = fingerprint("adjust", change.delta, change.reason, change.reference)
        request = _request(sku, mark, now, key)
        # Relative, so that it holds whatever others do meanwhile. Conditions do no arithmetic: the bounds
        # are worked out here.
        update = self._update(
            request,
            "SET quantity = quantity + :delta, updated_at = :now",
            "quantity >= :least AND quantity <= :most",
            {
                ":delta": change.delta,
                ":least": max(0, -change.delta),
                ":most": MAX_STOCK - max(0, change.delta),
            },
        )
        try:
            transact(self._client, [update, self._put(request, change)], self._tries)
        except TransactionCancelled as cancelled:
            if first := self._first(request, cancelled):
                return self._repeat(request, first)
            raise _refusal(sku, change.delta, cancelled.reasons[0]) from cancelled
        return self._answer(request)

    def set_quantity(
        self,
        sku: str,
        quantity: int,
        now: datetime,
        expected: int | None = None,
        key: IdempotencyKey | None = None,
    ) -> Stock:
        """Set the stock of `sku` to `quantity`, if it is `expected` (None: whatever it is).

        The same request under the same key is done once and answered with the first answer.
        Raises `NotFound`, `QuantityMismatch`, `IdempotencyKeyReused`, `AwsError`, `Contended`.
        """
        request = _request(sku, fingerprint("set", quantity, expected), now, key)
        answer = Stock(sku, quantity, iso(now))
        for _ in self._tries():
            stock = self._stock.find(sku)
            if stock is None or expected not in (None, stock.quantity):
                # Looked up after the stock: had this request's twin changed it, its record would be there.
                if first := self._first(request):
                    return self._repeat(request, first)
                raise _mismatch(sku, expected, stock)
            update = self._update(
                request,
                "SET quantity = :new, updated_at = :now",
                "quantity = :read",
                {":new": quantity, ":read": stock.quantity},
            )
            change = Adjustment(quantity - stock.quantity, SET)
            try:
                transact(self._client, [update, self._put(request, change, answer)], self._tries)
            except TransactionCancelled as cancelled:
                if first := self._first(request, cancelled):
                    return self._repeat(request, first)
            else:
                return answer
        raise Contended(f"others kept changing the stock of {sku}; try again")

    def _update(self, request: _Request, change: str, condition: str, values: dict[str, int]) -> Any:
        numbers = {name: value_of(value) for name, value in values.items()}
        return {
            "Update": {
                "TableName": self._inventory,
                "Key": sku_key(request.sku),
                "UpdateExpression": change,
                # A SKU that does not exist has no quantity, so it fails every condition on it.
                "ConditionExpression": condition,
                "ExpressionAttributeValues": numbers | {":now": value_of(iso(request.at))},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _put(self, request: _Request, change: Adjustment, answer: Stock | None = None) -> Any:
        values: dict[str, str | int | None] = {
            "order_id": request.record,
            "sku": request.sku,
            "delta": change.delta,
            "reason": change.reason,
            "reference": change.reference,
            "fingerprint": request.fingerprint,
            "created_at": iso(request.at),
            "ttl": expiry(request.at, self._ttl_days),
            "answer": _text(answer) if answer else None,
        }
        return {
            "Put": {
                "TableName": self._records,
                "Item": {name: value_of(value) for name, value in values.items() if value is not None},
                "ConditionExpression": "attribute_not_exists(order_id)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _first(self, request: _Request, cancelled: TransactionCancelled | None = None) -> Item | None:
        """The record of the first request under the same key, if this one is a repeat.

        A cancelled transaction may tell of it; where it does not, that proves nothing.
        """
        if cancelled and (told := cancelled.reasons[1].item):
            return told
        if not request.repeatable:
            return None
        with aws_errors():
            answer = self._client.get_item(
                TableName=self._records, Key={"order_id": value_of(request.record)}, ConsistentRead=True
            )
        return answer.get("Item")

    def _repeat(self, request: _Request, first: Item) -> Stock:
        if first["fingerprint"]["S"] != request.fingerprint:
            raise IdempotencyKeyReused("the idempotency key came before with another request")
        return _stock(first["answer"]["S"]) if "answer" in first else self._keep_answer(request)

    def _answer(self, request: _Request) -> Stock:
        try:
            return self._keep_answer(request)
        except AwsError as error:
            if request.repeatable:
                raise
            # "Try again" would be wrong advice: without a key it would change the stock a second time.
            raise Unreachable("the stock was changed, but the answer was lost") from error

    def _keep_answer(self, request: _Request) -> Stock:
        """Read the stock and keep it as the request's answer, unless one is kept already; that one counts."""
        # A SKU that is gone by now was at 0 when it went.
        stock = self._stock.find(request.sku) or Stock(request.sku, 0, iso(request.at))
        with aws_errors():
            kept = self._client.update_item(
                TableName=self._records,
                Key={"order_id": value_of(request.record)},
                UpdateExpression="SET answer = if_not_exists(answer, :answer)",
                ConditionExpression="attribute_exists(order_id)",
                ExpressionAttributeValues={":answer": value_of(_text(stock))},
                ReturnValues="ALL_NEW",
            )
        return _stock(kept["Attributes"]["answer"]["S"])


def _request(sku: str, mark: str, now: datetime, key: IdempotencyKey | None) -> _Request:
    return _Request(sku, record_key(sku, key or uuid4().hex), mark, key is not None, now)


def _refusal(sku: str, delta: int, reason: Reason) -> ImsError:
    if reason.code != "ConditionalCheckFailed":
        return Contended(f"others kept changing the stock of {sku}; try again")
    if reason.item is None:
        return NotFound(f"there is no SKU {sku}")
    quantity = stock_from_item(reason.item).quantity
    if delta < 0:
        return InsufficientStock(f"SKU {sku} has {quantity} in stock, fewer than {-delta}")
    return StockLimit(
        f"SKU {sku} has {quantity} in stock; {delta} more would exceed the limit of {MAX_STOCK}"
    )


def _mismatch(sku: str, expected: int | None, stock: Stock | None) -> ImsError:
    if stock is None:
        return NotFound(f"there is no SKU {sku}")
    return QuantityMismatch(f"SKU {sku} has {stock.quantity} in stock, not {expected}")


def _text(stock: Stock) -> str:
    return json.dumps(asdict(stock))


def _stock(text: str) -> Stock:
    return Stock(**json.loads(text))
