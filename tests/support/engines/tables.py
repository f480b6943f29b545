"""Tables, the writes to them, and the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.engines.conditions import condition
from tests.support.engines.errors import ConditionFailed, invalid
from tests.support.engines.expressions import Compiled, Values, bound
from tests.support.engines.indexes import Index
from tests.support.engines.updates import update
from tests.support.engines.values import Item, Value, copy, hashed, size, stored

MAX_ITEM: Final = 400 * 1024
SCHEMA_MISMATCH: Final = "The provided key element does not match the schema"


@dataclass(frozen=True, slots=True)
class Change:
    """One item before and after a commit, or None for no item. Do not change the items."""

    table: str
    key: str
    before: Item | None
    after: Item | None


@dataclass(frozen=True, slots=True)
class Commit:
    """The changes of one atomic write; numbers count from 1 in order of time."""

    number: int
    time: float
    operation: str
    changes: tuple[Change, ...]


@dataclass(slots=True)
class Table:
    """Items by the text of their key; a write replaces an item and never changes it in place.

    `former` holds each item as it was before its last write, for reads that are not consistent.
    """

    name: str
    key_name: str
    items: dict[str, Item] = field(default_factory=dict)
    former: dict[str, Item | None] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    _ordered: list[str] | None = None

    def key(self, key: Mapping[str, Any]) -> str:
        """The text of a `Key` parameter; raises a ValidationException if it does not match the schema."""
        if key.keys() != {self.key_name}:
            raise invalid(SCHEMA_MISMATCH)
        return self._text(key[self.key_name], SCHEMA_MISMATCH)

    def key_of(self, item: Mapping[str, Any]) -> str:
        """The text of the key of an item to put."""
        if self.key_name not in item:
            raise invalid(
                f"One or more parameter values were invalid: Missing the key {self.key_name} in the item"
            )
        kind = next(iter(item[self.key_name]))
        return self._text(
            item[self.key_name],
            "One or more parameter values were invalid: "
            f"Type mismatch for key {self.key_name} expected: S actual: {kind}",
        )

    def _text(self, value: Mapping[str, Any], mismatch: str) -> str:
        text = value.get("S")
        if text is None:
            raise invalid(mismatch)
        if not text:
            raise invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute "
                f"cannot contain an empty string value. Key: {self.key_name}"
            )
        if len(text.encode()) > 2048:
            raise invalid(
                "One or more parameter values were invalid: "
                "Size of hashkey has exceeded the maximum size limit of2048 bytes"
            )
        return str(text)

    def index(self, name: str) -> Index:
        """An index by its name; raises a ValidationException."""
        if name not in self.indexes:
            raise invalid(f"The table does not have the specified index: {name}")
        return self.indexes[name]

    def put(self, now: float, key: str, item: Item | None, bytes_: int) -> None:
        """Store an item of `bytes_` bytes, or delete it if `item` is None."""
        for index in self.indexes.values():
            index.follow(now, key, item)
        self.sizes[key] = bytes_
        self.former[key] = self.items.get(key)
        if (item is None) is (key in self.items):
            self._ordered = None
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item

    def ordered(self) -> list[str]:
        """All keys in the order of a scan, which sorts by their hashes."""
        if self._ordered is None:
            self._ordered = sorted(self.items, key=hashed)
        return self._ordered

    def after(self, key: str) -> list[str]:
        """The keys that follow `key` in a scan; `key` itself may be deleted."""
        return [other for other in self.ordered() if hashed(other) > hashed(key)]


@dataclass(slots=True)
class Write:
    """One action on one item: its condition and its change.

    `returns_item` is whether a failed condition returns the item (`ALL_OLD`).
    """

    table: Table
    key: str
    run: Callable[[Item | None], Item | None]
    condition: Callable[[Item, Values], bool] | None
    values: dict[str, Value]
    returns_item: bool
    kind: str
    size: int = 0  # of the new item, in bytes
    targets: frozenset[str] = frozenset()  # the attributes that an Update changes

    @property
    def before(self) -> Item | None:
        return self.table.items.get(self.key)

    def outcome(self) -> Item | None:
        """The item after the write; raises `ConditionFailed`, or a ValidationException."""
        before = self.before
        if self.condition is not None and not self.condition(before or {}, self.values):
            raise ConditionFailed(copy(before) if self.returns_item and before is not None else None)
        after = self.run(before)
        if after is not None and self.kind == "Update":
            self.size = size(after)
            if self.size > MAX_ITEM:
                raise invalid("Item size to update has exceeded the maximum allowed size")
            for index in self.table.indexes.values():
                index.check_item(after, update=True)
        return after

    @property
    def units(self) -> int:
        """The write units outside a transaction; a refused write counts too."""
        return max(1, -(-max(self.size, self.table.sizes.get(self.key, 0)) // 1024))


def put(table: Table, request: Mapping[str, Any]) -> Write:
    """The write of a `Put` request."""
    key = table.key_of(request["Item"])
    item = {name: stored(value) for name, value in request["Item"].items()}
    for index in table.indexes.values():
        index.check_item(item)
    write = _write(table, key, "Put", request, lambda _before: item)
    write.size = size(item)
    if write.size > MAX_ITEM:
        raise invalid("Item size has exceeded the maximum allowed size")
    return write


def delete(table: Table, request: Mapping[str, Any]) -> Write:
    """The write of a `Delete` request."""
    return _write(table, table.key(request["Key"]), "Delete", request, lambda _before: None)


def check(table: Table, request: Mapping[str, Any]) -> Write:
    """The write of a `ConditionCheck` request; it changes nothing."""
    return _write(table, table.key(request["Key"]), "ConditionCheck", request, lambda before: before)


def change(table: Table, request: Mapping[str, Any]) -> Write:
    """The write of an `Update` request; without an expression it only creates a missing item."""
    key, text = table.key(request["Key"]), request.get("UpdateExpression")
    names = request.get("ExpressionAttributeNames")
    compiled = None if text is None else update(text, names)
    if compiled is not None and table.key_name in compiled.targets:
        raise invalid(
            f"One or more parameter values were invalid: Cannot update attribute {table.key_name}. "
            "This attribute is part of the key"
        )
    values: dict[str, Value] = {}

    def run(before: Item | None) -> Item:
        item = {table.key_name: {"S": key}} if before is None else before
        return item if compiled is None else compiled.run(item, values)

    write = _write(table, key, "Update", request, run, compiled=compiled)
    values |= write.values
    return write


def _write(
    table: Table,
    key: str,
    kind: str,
    request: Mapping[str, Any],
    run: Callable[[Item | None], Item | None],
    *,
    compiled: Compiled | None = None,
) -> Write:
    names, text = request.get("ExpressionAttributeNames"), request.get("ConditionExpression")
    test = None if text is None else condition(text, names)
    expressions = [expression for expression in (compiled, test) if expression is not None]
    values = bound(expressions, names, request.get("ExpressionAttributeValues"))
    returns_item = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    targets = compiled.targets if compiled is not None else frozenset()
    return Write(table, key, run, test.run if test else None, values, returns_item, kind, targets=targets)
