"""Setting and adjusting the stock of a SKU, each at most once per idempotency key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from chalicelib.aws.deadline import Deadline
from chalicelib.domain.stock import (
    MAX_STOCK,
    Adjustment,
    IdempotencyKey,
    Stock,
    StockChange,
    StoredChange,
    change_id,
    fingerprint,
)
from chalicelib.domain.timestamps import iso
from chalicelib.errors import (
    AwsError,
    Contended,
    IdempotencyKeyReused,
    ImsError,
    InsufficientStock,
    NotFound,
    OutcomeUnknown,
    OutOfTime,
    QuantityMismatch,
    StockLimit,
    Unreachable,
)
from chalicelib.store.stock_store import NotApplied, StockStore

SET: Final = "SET"
"""The reason in the record of a stock that was set; all other reasons are the caller's."""
_TRIES: Final = 8


@dataclass(frozen=True)
class StockChanges:
    """Changes stock over REST. Each call may raise `AwsError`, and `OutOfTime` where its deadline is near."""

    store: StockStore

    def adjust(
        self, sku: str, adjustment: Adjustment, deadline: Deadline, key: IdempotencyKey | None = None
    ) -> Stock:
        """Add `adjustment.delta` to the stock of `sku`, and return the stock at some moment after that.

        The same adjustment under the same key is made once and gets the first result again.
        Raises `NotFound`, `InsufficientStock`, `StockLimit`, `IdempotencyKeyReused`, `Contended`; without a
        key also `OutcomeUnknown`.
        """
        mark = fingerprint("adjust", adjustment.delta, adjustment.reason, adjustment.reference)
        change = _change(sku, adjustment, mark, deadline, key)
        try:
            self.store.add(change, deadline)
        except NotApplied as error:
            if first := error.first or self._first(change, key, deadline):
                return self._repeat(change, first, deadline)
            raise _refusal(change, error) from error
        except Unreachable as error:
            if key is None:
                raise OutcomeUnknown(f"the stock of {sku} may have been changed; read it first") from error
            raise
        try:
            # Without a key nobody can ask for this result again, so it need not be stored.
            return self._result(change, deadline) if key else self._read(change, deadline)
        except (AwsError, OutOfTime) as error:
            if key is None:
                raise OutcomeUnknown(f"the stock of {sku} was changed, but could not be read") from error
            raise

    def set_quantity(
        self,
        sku: str,
        quantity: int,
        deadline: Deadline,
        expected: int | None = None,
        key: IdempotencyKey | None = None,
    ) -> Stock:
        """Set the stock of `sku` to `quantity`, if it is `expected` (None: whatever it is).

        The same request under the same key is done once and gets the first result again.
        Raises `NotFound`, `QuantityMismatch`, `IdempotencyKeyReused`, `Contended`.
        """
        mark = fingerprint("set", quantity, expected)
        for _ in deadline.tries(_TRIES):
            stock = self.store.find(sku, deadline)
            delta = quantity - (stock.quantity if stock else 0)
            change = _change(sku, Adjustment(delta, SET), mark, deadline, key)
            if stock is None or expected not in (None, stock.quantity):
                # Read after the stock: if a concurrent repeat changed the stock, its record exists by now.
                if first := self._first(change, key, deadline):
                    return self._repeat(change, first, deadline)
                raise _mismatch(sku, expected, stock)
            result = Stock(sku, quantity, iso(change.at))
            try:
                self.store.replace(change, stock, result, deadline)
            except NotApplied as error:
                if first := error.first or self._first(change, key, deadline):
                    return self._repeat(change, first, deadline)
            else:
                return result
        raise _contended(sku)

    def _first(
        self, change: StockChange, key: IdempotencyKey | None, deadline: Deadline
    ) -> StoredChange | None:
        """The record of the first request under `key`, if there was one."""
        return self.store.find_change(change.id, deadline) if key else None

    def _repeat(self, change: StockChange, first: StoredChange, deadline: Deadline) -> Stock:
        if first.fingerprint != change.fingerprint:
            raise IdempotencyKeyReused("the idempotency key was used before with a different request")
        return first.result or self._result(change, deadline)

    def _result(self, change: StockChange, deadline: Deadline) -> Stock:
        """Read the stock and store it as the result of `change`; a result that is stored already counts."""
        return self.store.keep_result(change, self._read(change, deadline), deadline)

    def _read(self, change: StockChange, deadline: Deadline) -> Stock:
        # Only a SKU with 0 in stock can be deleted.
        return self.store.find(change.sku, deadline) or Stock(change.sku, 0, iso(change.at))


def _change(
    sku: str, adjustment: Adjustment, mark: str, deadline: Deadline, key: IdempotencyKey | None
) -> StockChange:
    return StockChange(change_id(sku, key or uuid4().hex), sku, adjustment, mark, deadline.now())


def _refusal(change: StockChange, error: NotApplied) -> ImsError:
    sku, delta = change.sku, change.adjustment.delta
    if not error.by_stock:
        return _contended(sku)
    if error.stock is None:
        return NotFound(f"there is no SKU {sku}")
    quantity = error.stock.quantity
    if delta < 0:
        return InsufficientStock(f"SKU {sku} has {quantity} in stock, fewer than {-delta}")
    return StockLimit(
        f"SKU {sku} has {quantity} in stock; {delta} more would exceed the limit of {MAX_STOCK}"
    )


def _mismatch(sku: str, expected: int | None, stock: Stock | None) -> ImsError:
    if stock is None:
        return NotFound(f"there is no SKU {sku}")
    return QuantityMismatch(f"SKU {sku} has {stock.quantity} in stock, not {expected}")


def _contended(sku: str) -> Contended:
    return Contended(f"other writers keep changing the stock of {sku}; try again")
