"""Counts the read and write units of requests by DynamoDB's rules, including cancelled transactions.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html (sizes); that a
ConditionCheck costs as much as a write: https://martinhicks.dev/articles/what-a-conditional-dynamodb-transaction-costs
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

KEYS: Final = ("sku", "order_id", "id")
STOCK_BYTES: Final = 160
"""The size of an item of InventoryTable, with the names of its attributes; far below 1 KB."""

Call = tuple[str, str, dict[str, Any]]
"""(service, operation, parameters)"""


@dataclass(slots=True)
class Units:
    """The capacity units used so far."""

    written: int = 0
    read: int = 0


class Accounts:
    """Adds up the units of calls; it remembers the size of each item, which sets the units of a write."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def charge(self, calls: Iterable[Call]) -> Units:
        """The units of `calls`, in the order in which they were made."""
        units = Units()
        for service, operation, params in calls:
            if service == "dynamodb":
                self._charge(operation, params, units)
        return units

    def _charge(self, operation: str, params: Mapping[str, Any], units: Units) -> None:
        match operation:
            case "TransactWriteItems":
                for action in params["TransactItems"]:
                    ((kind, request),) = action.items()
                    # Both phases of each action cost units, even if the transaction is cancelled.
                    units.written += 2 * kilobytes(self._size_after(kind, request))
            case "PutItem":
                units.written += kilobytes(self._size_after("Put", params))
            case "UpdateItem":
                units.written += kilobytes(self._size_after("Update", params))
            case "DeleteItem":
                units.written += kilobytes(self._sizes.pop(_key(params["Key"]), 0))
            case "GetItem":
                units.read += self._read(params["Key"])
            case "BatchGetItem":
                for table in params["RequestItems"].values():
                    units.read += sum(self._read(key) for key in table["Keys"])
            case _:
                raise ValueError(f"no rule for {operation}")

    def _size_after(self, kind: str, request: Mapping[str, Any]) -> int:
        """The size of the item after `request`."""
        if kind == "Put":
            size = sum(len(name) + size_of(value) for name, value in request["Item"].items())
            self._sizes[_key(request["Item"])] = size
            return size
        key = _key(request["Key"])
        if kind == "Update" and "order_id" in request["Key"]:
            # The attributes that an update sets: its values, and 20 bytes for each name.
            added = sum(20 + size_of(value) for value in request["ExpressionAttributeValues"].values())
            self._sizes[key] = self._sizes.get(key, 0) + added
        return self._sizes.get(key, STOCK_BYTES)

    def _read(self, key: Mapping[str, Any]) -> int:
        return -(-self._sizes.get(_key(key), STOCK_BYTES) // 4096)


def kilobytes(size: int) -> int:
    """The write units of `size` bytes: KB, rounded up, at least one."""
    return max(1, -(-size // 1024))


def size_of(value: Mapping[str, Any]) -> int:
    """The size of an attribute's value in bytes."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return len(content.strip("-").replace(".", "")) // 2 + 2
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(len(member.encode()) for member in content)
        case "L":
            return 3 + sum(1 + size_of(inner) for inner in content)
        case "M":
            return 3 + sum(1 + len(name) + size_of(inner) for name, inner in content.items())
        case _:
            raise ValueError(f"no rule for the type {kind}")


def _key(item: Mapping[str, Any]) -> str:
    return str(next(item[name]["S"] for name in KEYS if name in item))
