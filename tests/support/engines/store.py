"""The state of the stand-in for DynamoDB, and its read operations."""

# ruff: noqa: N803 - the arguments have boto3's names

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from tests.support.engines.conditions import condition, key_condition, projection
from tests.support.engines.engine import Clock, Engine, operation
from tests.support.engines.errors import Refusal, invalid
from tests.support.engines.expressions import bound
from tests.support.engines.indexes import Index
from tests.support.engines.tables import Change, Commit, Table, Write
from tests.support.engines.values import Item, copy, hashed, size

MAX_PAGE: Final = 1024 * 1024
MAX_BATCH: Final = 16 * 1024 * 1024


class Store(Engine):
    """Tables with a history of all commits, capacity units as AWS counts them, and the read operations.

    Each read of a table that is not consistent calls `stale`; if that returns true, the read returns the
    item as it was before its last write. `indexes` has the names of the keys of each table's indexes. They
    do not yet show the writes of the last `index_lag` seconds; change it at any time. The units do not
    include the writes to indexes.
    """

    service: ClassVar[str] = "dynamodb"

    def __init__(
        self,
        tables: Mapping[str, str],
        clock: Clock = time.time,
        *,
        checked: bool = True,
        record: bool = False,
        stale: Callable[[], bool] = lambda: False,
        indexes: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
        index_lag: float = 0,
    ) -> None:
        super().__init__(clock, checked=checked, record=record)
        self.tables = {name: Table(name, key_name) for name, key_name in tables.items()}
        for table, given in (indexes or {}).items():
            for name, keys in given.items():
                self.tables[table].indexes[name] = Index(name, tables[table], *keys)
        self.index_lag = index_lag
        self.history: list[Commit] = []
        self.units: Counter[str] = Counter()
        self.stale = stale

    def find(self, name: str) -> Table:
        """A table by its name; raises ResourceNotFoundException."""
        if name not in self.tables:
            raise Refusal("ResourceNotFoundException", "Requested resource not found")
        return self.tables[name]

    def snapshot(self) -> dict[str, dict[str, Item]]:
        """The current items, by table and key; do not change them."""
        with self.lock:
            return {name: dict(table.items) for name, table in self.tables.items()}

    def commit(self, name: str, done: Sequence[tuple[Write, Item | None]]) -> None:
        """Store the results of the writes, as one entry of the history."""
        now = self.clock()
        changes = tuple(
            Change(write.table.name, write.key, write.before, after)
            for write, after in done
            if write.kind != "ConditionCheck"
        )
        for write, after in done:
            if write.kind != "ConditionCheck":
                write.table.put(now, write.key, after, write.size)
        if changes:
            self.history.append(Commit(len(self.history) + 1, now, name, changes))

    def read(self, table: Table, key: str, consistent: bool, factor: float = 1) -> Item | None:
        """The item that a read returns; counts the read units."""
        item = table.items.get(key)
        if not consistent and key in table.former and self.stale():
            item = table.former[key]
        units = max(1, -(-table.sizes.get(key, 0) // 4096))
        self.units["read"] += units * (factor if consistent else 0.5)  # type: ignore[assignment]
        return item

    @operation
    def get_item(
        self,
        *,
        TableName: str,
        Key: Mapping[str, Any],
        ConsistentRead: bool = False,
        ProjectionExpression: str | None = None,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        table = self.find(TableName)
        key, select = table.key(Key), _selector(ProjectionExpression, ExpressionAttributeNames)
        item = self.read(table, key, ConsistentRead)
        return {} if item is None else {"Item": select(item)}

    @operation
    def batch_get_item(self, *, RequestItems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        if sum(len(request["Keys"]) for request in RequestItems.values()) > 100:
            raise invalid("Too many items requested for the BatchGetItem call")
        responses: dict[str, list[Item]] = {name: [] for name in RequestItems}
        unprocessed: dict[str, dict[str, Any]] = {}
        room = MAX_BATCH
        for table, request, key in list(self._wanted(RequestItems)):
            room -= table.sizes.get(key, 0)
            if room < 0:
                left = unprocessed.setdefault(table.name, {**request, "Keys": []})
                left["Keys"].append({table.key_name: {"S": key}})
                continue
            item = self.read(table, key, request.get("ConsistentRead", False))
            if item is not None:
                responses[table.name].append(_select(request)(item))
        return {"Responses": responses, "UnprocessedKeys": unprocessed}

    def _wanted(self, requests: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Table, Any, str]]:
        # The order of the answer is not that of the request.
        for name, request in requests.items():
            table = self.find(name)
            keys = [table.key(key) for key in request["Keys"]]
            if not keys:
                raise invalid(
                    "1 validation error detected: Value at 'RequestItems.member.Keys' failed to satisfy "
                    "constraint: Member must have length greater than or equal to 1"
                )
            if len(set(keys)) < len(keys):
                raise invalid("Provided list of item keys contains duplicates")
            yield from ((table, request, key) for key in sorted(keys, key=hashed))

    @operation
    def transact_get_items(self, *, TransactItems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if not 1 <= len(TransactItems) <= 100:
            raise invalid(
                "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: "
                "Member must have length less than or equal to 100 and greater than or equal to 1"
            )
        gets = [(self.find(entry["Get"]["TableName"]), entry["Get"]) for entry in TransactItems]
        keys = [(table, table.key(get["Key"]), _select(get)) for table, get in gets]
        if len({(table.name, key) for table, key, _ in keys}) < len(keys):
            raise invalid("Transaction request cannot include multiple operations on one item")
        found = [(self.read(table, key, True, factor=2), select) for table, key, select in keys]
        return {"Responses": [{} if item is None else {"Item": select(item)} for item, select in found]}

    @operation
    def scan(
        self,
        *,
        TableName: str,
        Limit: int | None = None,
        ExclusiveStartKey: Mapping[str, Any] | None = None,
        ConsistentRead: bool = False,
        FilterExpression: str | None = None,
        ProjectionExpression: str | None = None,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ExpressionAttributeValues: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        table, names = self.find(TableName), ExpressionAttributeNames
        test = condition(FilterExpression, names, "FilterExpression") if FilterExpression else None
        select = projection(ProjectionExpression, names) if ProjectionExpression else None
        values = bound([e for e in (test, select) if e is not None], names, ExpressionAttributeValues)
        _check_limit(Limit)
        keys = table.after(table.key(ExclusiveStartKey)) if ExclusiveStartKey else table.ordered()
        items: list[Item] = []
        read: list[str] = []
        size = 0
        for key in keys:
            if len(read) == Limit or (read and size + table.sizes[key] > MAX_PAGE):
                break
            read.append(key)
            size += table.sizes[key]
            item = table.former[key] if not ConsistentRead and self.stale() else table.items[key]
            if item is not None and (test is None or test.run(item, values)):
                items.append(copy(select.run(item, values) if select else item))
        self.units["read"] += max(1, -(-size // 4096)) * (1 if ConsistentRead else 0.5)  # type: ignore[assignment]
        answer: dict[str, Any] = {"Items": items, "Count": len(items), "ScannedCount": len(read)}
        # Like AWS, return a LastEvaluatedKey when the limit is reached at the last item.
        if read and (len(read) == Limit or len(read) < len(keys)):
            answer["LastEvaluatedKey"] = {table.key_name: {"S": read[-1]}}
        return answer

    @operation
    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        IndexName: str | None = None,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ExpressionAttributeValues: Mapping[str, Any] | None = None,
        Limit: int | None = None,
        ExclusiveStartKey: Mapping[str, Any] | None = None,
        ConsistentRead: bool = False,
    ) -> dict[str, Any]:
        if IndexName is None:
            raise NotImplementedError("a query without an index")
        index = self.find(TableName).index(IndexName)
        test, parts = key_condition(KeyConditionExpression, ExpressionAttributeNames)
        values = bound([test], ExpressionAttributeNames, ExpressionAttributeValues)
        index.check_condition(parts, values)
        _check_limit(Limit)
        if ConsistentRead:
            raise invalid("Consistent reads are not supported on global secondary indexes")
        entries = [entry for entry in index.entries(self.clock() - self.index_lag) if test.run(entry, values)]
        if ExclusiveStartKey is not None:
            start = index.start(ExclusiveStartKey)
            if not test.run(start, values):
                raise invalid("The provided starting key does not match the range key predicate")
            entries = [entry for entry in entries if index.position(entry) > index.position(start)]
        items: list[Item] = []
        read = 0
        for entry in entries:
            if len(items) == Limit or (items and read + size(entry) > MAX_PAGE):
                break
            read += size(entry)
            items.append(copy(entry))
        self.units["read"] += max(1, -(-read // 4096)) * 0.5  # type: ignore[assignment]
        answer: dict[str, Any] = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
        if items and (len(items) == Limit or len(items) < len(entries)):
            answer["LastEvaluatedKey"] = copy(items[-1])
        return answer


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise invalid(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1"
        )


def _select(request: Mapping[str, Any]) -> Callable[[Item], Item]:
    return _selector(request.get("ProjectionExpression"), request.get("ExpressionAttributeNames"))


def _selector(text: str | None, names: Mapping[str, str] | None) -> Callable[[Item], Item]:
    compiled = projection(text, names) if text is not None else None
    bound([] if compiled is None else [compiled], names, None)
    return lambda item: copy(item if compiled is None else compiled.run(item, {}))
