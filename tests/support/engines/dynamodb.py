"""An in-memory stand-in for the low-level DynamoDB client.

It behaves like AWS where the IMS depends on it, errors and limits included;
`tests/integration/engine_contract/` compares it with the embedded AWS.
It raises TypeError or NotImplementedError for unsupported features.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
"""

# ruff: noqa: N803 - the arguments have boto3's names

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.support.engines import tables, transactions
from tests.support.engines.engine import operation
from tests.support.engines.errors import Refusal, invalid
from tests.support.engines.store import Store
from tests.support.engines.tables import Table, Write
from tests.support.engines.values import Item, Value, copy

_CONDITION: Final = frozenset(
    {
        "TableName",
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnValues",
        "ReturnValuesOnConditionCheckFailure",
    }
)


class FakeDynamoDB(Store):
    """`FakeDynamoDB({"table": "key attribute"}, clock=…)`; see `Store` and `Engine` for the options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.tokens = transactions.Tokens()

    @operation
    def put_item(self, **request: Any) -> dict[str, Any]:
        return self._single("PutItem", tables.put, request, {"Item"})

    @operation
    def update_item(self, **request: Any) -> dict[str, Any]:
        return self._single("UpdateItem", tables.change, request, {"Key", "UpdateExpression"})

    @operation
    def delete_item(self, **request: Any) -> dict[str, Any]:
        return self._single("DeleteItem", tables.delete, request, {"Key"})

    def _single(
        self,
        name: str,
        make: Callable[[Table, Mapping[str, Any]], Write],
        request: dict[str, Any],
        own: set[str],
    ) -> dict[str, Any]:
        unknown = request.keys() - _CONDITION - own
        if unknown:
            raise TypeError(f"{name} does not know {', '.join(sorted(unknown))}")
        wanted = request.get("ReturnValues", "NONE")
        if wanted not in {"NONE", "ALL_OLD"} and name != "UpdateItem":
            raise invalid("ReturnValues can only be ALL_OLD or NONE")
        write = make(self.find(request["TableName"]), request)
        before = write.before
        after = self._write(name, write)
        return _returned(wanted, write, before, after)

    def _write(self, name: str, write: Write) -> Item | None:
        try:
            after = write.outcome()
        except Refusal:
            self.units["write"] += write.units
            raise
        self.units["write"] += write.units
        self.commit(name, [(write, after)])
        return after

    @operation
    def batch_write_item(self, *, RequestItems: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
        if not 1 <= sum(map(len, RequestItems.values())) <= 25:
            raise invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: "
                "Member must have length less than or equal to 25 and greater than or equal to 1"
            )
        made = []
        for name, entries in RequestItems.items():
            for entry in entries:
                ((kind, request),) = entry.items()
                make = tables.put if kind == "PutRequest" else tables.delete
                made.append(make(self.find(name), request))
        if len({(write.table.name, write.key) for write in made}) < len(made):
            raise invalid("Provided list of item keys contains duplicates")
        for write in made:
            self._write("BatchWriteItem", write)
        return {"UnprocessedItems": {}}

    @operation
    def transact_write_items(
        self, *, TransactItems: Sequence[Mapping[str, Any]], ClientRequestToken: str | None = None
    ) -> dict[str, Any]:
        token, now = ClientRequestToken, self.clock()
        if token is not None and not 1 <= len(token) <= 36:
            raise invalid(
                f"1 validation error detected: Value '{token}' at 'clientRequestToken' failed to satisfy "
                "constraint: Member must have length less than or equal to 36"
            )
        if token and self.tokens.repeated(token, TransactItems, now):
            return {}
        made = transactions.writes(TransactItems, self.find)
        after, reasons = transactions.outcomes(made)
        self.units["write"] += sum(2 * write.units for write in made)
        if any(reason["Code"] != "None" for reason in reasons):
            raise transactions.cancelled(reasons)
        self.commit("TransactWriteItems", list(zip(made, after, strict=True)))
        if token:
            self.tokens.remember(token, TransactItems, now)
        return {}

    def cancellation_reasons(self, actions: Sequence[Mapping[str, Any]]) -> list[transactions.Reason]:
        """The reasons that the transaction would get now; changes and counts nothing."""
        with self.lock:
            return transactions.outcomes(transactions.writes(actions, self.find))[1]


def _returned(wanted: str, write: Write, before: Item | None, after: Item | None) -> dict[str, Any]:
    if wanted == "NONE":
        return {}
    source = before if wanted.endswith("OLD") else after
    if source is None:
        return {}
    attributes: dict[str, Value] = copy(source)
    if wanted.startswith("UPDATED"):
        attributes = {name: value for name, value in attributes.items() if name in write.targets}
    return {"Attributes": attributes} if attributes else {}
