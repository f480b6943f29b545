"""Setting, adjusting and counting the stock of a SKU, each at most once per idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple
from uuid import uuid4

from chalicelib.aws.deadline import Deadline
from chalicelib.domain.stock import (
    MAX_STOCK,
    Adjustment,
    Count,
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
    BelowReserved,
    Conflict,
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
    VersionMismatch,
)
from chalicelib.store.stock_store import NotApplied, StockStore

SET: Final = "SET"
COUNTED: Final = "COUNTED"
"""The reasons in the records of a stock that was set or counted; all other reasons are the caller's."""
_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request to change the stock of `sku`, under the idempotency key `key`; `mark` is its fingerprint.

    `record` is the id of the record that its change leaves.
    """

    sku: str
    mark: str
    deadline: Deadline
    key: IdempotencyKey | None
    record: str

    def change(self, adjustment: Adjustment) -> StockChange:
        """What makes `adjustment` now, in a transaction of its own."""
        now = self.deadline.now()
        return StockChange(self.record, self.sku, adjustment, self.mark, now, uuid4().hex)


class Changed(NamedTuple):
    """The stock after a change, and by how many units the change was."""

    stock: Stock
    delta: int


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
        asked = _asked(sku, mark, deadline, key)
        try:
            self.store.add(asked.change(adjustment), deadline)
        except NotApplied as error:
            if first := error.first or self._first(asked):
                return self._repeat(asked, first).stock
            raise _refusal(sku, adjustment.delta, error) from error
        except Unreachable as error:
            if key is None:
                raise OutcomeUnknown(f"the stock of {sku} may have been changed; read it first") from error
            raise
        try:
            # Without a key nobody can ask for this result again, so it need not be stored.
            return self._result(asked) if key else self._read(asked)
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

        def setting(stock: Stock) -> Adjustment:
            if expected not in (None, stock.quantity):
                raise QuantityMismatch(f"SKU {sku} has {stock.quantity} in stock, not {expected}")
            return Adjustment(quantity - stock.quantity, SET)

        asked = _asked(sku, fingerprint("set", quantity, expected), deadline, key)
        return self._replace(asked, setting).stock

    def count(self, sku: str, count: Count, deadline: Deadline, key: IdempotencyKey | None = None) -> Changed:
        """Set what is on hand of `sku` to what was counted: available is then what the reserved units leave.

        The same count under the same key is booked once and gets the first result again.
        Raises `NotFound`, `VersionMismatch`, `BelowReserved`, `IdempotencyKeyReused`, `Contended`.
        """

        def booking(stock: Stock) -> Adjustment:
            if count.expected_version not in (None, stock.version):
                raise VersionMismatch(
                    f"the stock of SKU {sku} has version {stock.version}, not {count.expected_version}"
                )
            if count.counted < stock.reserved:
                raise BelowReserved(
                    f"SKU {sku} has {stock.reserved} reserved, more than the {count.counted} counted",
                    stock.reserved,
                )
            return Adjustment(count.counted - stock.on_hand, COUNTED, count.reference)

        mark = fingerprint("count", count.counted, count.expected_version, count.reference)
        return self._replace(_asked(sku, mark, deadline, key), booking)

    def _replace(self, asked: _Asked, decide: Callable[[Stock], Adjustment]) -> Changed:
        """Make the change that `decide` finds right for the stock as it is.

        Raises what `decide` raises, `NotFound`, `IdempotencyKeyReused`, `Contended`.
        """
        for _ in asked.deadline.tries(_TRIES):
            try:
                seen = self.store.get(asked.sku, asked.deadline)
                adjustment = decide(seen)
            except (NotFound, Conflict):
                # Read after the stock: if a concurrent repeat changed the stock, its record exists by now.
                if first := self._first(asked):
                    return self._repeat(asked, first)
                raise
            change = asked.change(adjustment)
            result = replace(
                seen,
                quantity=seen.quantity + adjustment.delta,
                updated_at=iso(change.at),
                version=seen.version + 1,
            )
            try:
                self.store.replace(change, seen, result, asked.deadline)
            except NotApplied as error:
                if first := error.first or self._first(asked):
                    return self._repeat(asked, first)
            else:
                return Changed(result, adjustment.delta)
        raise _contended(asked.sku)

    def _first(self, asked: _Asked) -> StoredChange | None:
        """The record of the first request under the same key, if there was one."""
        return self.store.find_change(asked.record, asked.deadline) if asked.key else None

    def _repeat(self, asked: _Asked, first: StoredChange) -> Changed:
        if first.fingerprint != asked.mark:
            raise IdempotencyKeyReused("the idempotency key was used before with a different request")
        return Changed(first.result or self._result(asked), first.delta)

    def _result(self, asked: _Asked) -> Stock:
        """Read the stock and store it as the result of the change; a result that is stored already counts."""
        return self.store.keep_result(asked.record, self._read(asked), asked.deadline)

    def _read(self, asked: _Asked) -> Stock:
        # Only a SKU with 0 in stock can be deleted.
        found = self.store.find(asked.sku, asked.deadline)
        return found or Stock(asked.sku, 0, iso(asked.deadline.now()))


def _asked(sku: str, mark: str, deadline: Deadline, key: IdempotencyKey | None) -> _Asked:
    return _Asked(sku, mark, deadline, key, change_id(sku, key or uuid4().hex))


def _refusal(sku: str, delta: int, error: NotApplied) -> ImsError:
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


def _contended(sku: str) -> Contended:
    return Contended(f"other writers keep changing the stock of {sku}; try again")
