"""Global secondary indexes that hold only keys (KEYS_ONLY), with a partition and a sort key of text.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.engines.conditions import KeyPart
from tests.support.engines.errors import invalid
from tests.support.engines.values import Item, Value, hashed, stored

TYPE_MISMATCH: Final = "Type mismatch for Index Key"
EMPTY_KEY: Final = "The AttributeValue for a key attribute cannot contain an empty string value."


@dataclass(slots=True)
class Index:
    """The entries of the items that have both keys; it follows its table after a lag.

    `table_key` is the name of the table's key.
    """

    name: str
    table_key: str
    partition: str
    sort: str
    _entries: dict[str, Item] = field(default_factory=dict)
    _coming: deque[tuple[float, str, Item | None]] = field(default_factory=deque)

    def follow(self, now: float, key: str, item: Item | None) -> None:
        """Receive a write to the table: the new item at `key`, or None."""
        self._coming.append((now, key, self._entry(item)))

    def _entry(self, item: Item | None) -> Item | None:
        if item is None or self.partition not in item or self.sort not in item:
            return None
        return {name: item[name] for name in (self.table_key, self.partition, self.sort)}

    def entries(self, until: float) -> list[Item]:
        """The entries after the table's writes until that time, in order; a query never goes back in time."""
        while self._coming and self._coming[0][0] <= until:
            _, key, entry = self._coming.popleft()
            if entry is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = entry
        return sorted(self._entries.values(), key=self.position)

    def position(self, entry: Item) -> tuple[str, bytes]:
        """Where an entry stands in its partition. AWS promises no order of those with equal sort keys."""
        return entry[self.sort]["S"], hashed(entry[self.table_key]["S"])

    def check_item(self, item: Item, *, update: bool = False) -> None:
        """Raise the ValidationException for an item whose keys of this index are not text or are empty."""
        for name in (self.partition, self.sort):
            if name not in item:
                continue
            ((kind, content),) = item[name].items()
            if kind != "S":
                raise invalid(
                    f"One or more parameter values were invalid: {TYPE_MISMATCH} {name} "
                    f"Expected: S Actual: {kind} IndexName: {self.name}"
                )
            if not content and update:
                raise invalid(
                    "One or more parameter values are not valid. The update expression attempted to update "
                    f"a secondary index key to a value that is not supported. {EMPTY_KEY}"
                )
            if not content:
                raise invalid(
                    "One or more parameter values are not valid. A value specified for a secondary index "
                    f"key is not supported. {EMPTY_KEY} IndexName: {self.name}, IndexKey: {name}"
                )

    def check_condition(self, parts: Sequence[KeyPart], values: Mapping[str, Value]) -> None:
        """Raise the ValidationException for a key condition that does not fit the keys."""
        names = [part.name for part in parts]
        if len(set(names)) < len(names):
            raise invalid(
                "Invalid KeyConditionExpression: "
                "KeyConditionExpressions must only contain one condition per key"
            )
        for name in (self.partition, *([self.sort] if len(names) > 1 else [])):
            if name not in names:
                raise invalid(f"Query condition missed key schema element: {name}")
        for part in parts:
            if part.name == self.partition and part.sign != "=":
                raise invalid("Query key condition not supported")
            for reference in part.references:
                _check_text(
                    part.name, values[reference], "Condition parameter type does not match schema type"
                )

    def start(self, given: Mapping[str, Any]) -> Item:
        """The entry that an `ExclusiveStartKey` names, which may be gone."""
        if given.keys() != {self.table_key, self.partition, self.sort}:
            raise invalid("The provided starting key is invalid")
        entry = {name: stored(value) for name, value in given.items()}
        for name, value in entry.items():
            _check_text(name, value, "The provided starting key is invalid")
        return entry


def _check_text(name: str, value: Value, mismatch: str) -> None:
    if "S" not in value:
        raise invalid(f"One or more parameter values were invalid: {mismatch}")
    if not value["S"]:
        raise invalid(f"One or more parameter values are not valid. {EMPTY_KEY} Key: {name}")
