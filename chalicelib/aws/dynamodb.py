"""The DynamoDB calls that several stores make: get, batch get, pages, update, transaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from chalicelib.aws.errors import aws_errors
from chalicelib.errors import Contended, OutOfTime, Refused, Throttled, TransactionCancelled

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.aws.deadline import Deadline

Item = Mapping[str, Any]
Key = tuple[str, str, str]
"""(table, name of the key attribute, value)"""

MAX_KEYS: Final = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""
_READ_TRIES: Final = 7
_UPDATE_TRIES: Final = 4
_TRANSACTION_TRIES: Final = 8


def get(client: DynamoDBClient, table: str, key: Mapping[str, Any], deadline: Deadline) -> Item | None:
    """Read one item consistently; None if there is none. Raises `AwsError`, `OutOfTime`."""
    deadline.check()
    with aws_errors():
        response = client.get_item(TableName=table, Key=key, ConsistentRead=True)
    return response.get("Item")


def batch_get(client: DynamoDBClient, keys: Iterable[Key], deadline: Deadline) -> dict[Key, Item]:
    """Read `keys` consistently, 100 a call, and retry those that DynamoDB left unprocessed.

    Returns the items that exist. Raises `AwsError`, `Throttled` where keys stay unprocessed, `OutOfTime`.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    """
    wanted = list(dict.fromkeys(keys))
    attribute = {table: name for table, name, _ in wanted}
    found: dict[Key, Item] = {}
    if not wanted:
        return found
    for _ in deadline.tries(_READ_TRIES):
        unread: list[Key] = []
        for start in range(0, len(wanted), MAX_KEYS):
            deadline.check()
            with aws_errors():
                response = client.batch_get_item(RequestItems=_batch(wanted[start : start + MAX_KEYS]))
            for table, items in response["Responses"].items():
                name = attribute[table]
                found |= {(table, name, item[name]["S"]): item for item in items}
            unread += [
                (table, attribute[table], key[attribute[table]]["S"])
                for table, left in response.get("UnprocessedKeys", {}).items()
                for key in left["Keys"]
            ]
        if not unread:
            return found
        wanted = unread
    raise Throttled("DynamoDB left keys unprocessed after all retries")


def _batch(keys: Iterable[Key]) -> Any:
    by_table = itertools.groupby(sorted(keys), key=lambda key: key[0])
    return {
        table: {"Keys": [{name: {"S": value}} for _, name, value in keys], "ConsistentRead": True}
        for table, keys in by_table
    }


def scan_page(
    client: DynamoDBClient, table: str, limit: int, after: str | None, deadline: Deadline
) -> tuple[list[Item], str | None]:
    """Read at most `limit` items that follow the SKU `after` (None: from the start), in the table's order.

    Returns them with the SKU to go on after, None at the end. The SKU `after` need not exist any more.
    Consistent, so that a product that was just created is listed. Raises `AwsError`, `OutOfTime`.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.Pagination
    """
    deadline.check()
    start: dict[str, Any] = {} if after is None else {"ExclusiveStartKey": {"sku": {"S": after}}}
    with aws_errors():
        response = client.scan(TableName=table, Limit=limit, ConsistentRead=True, **start)
    last = response.get("LastEvaluatedKey")
    return list(response["Items"]), last["sku"]["S"] if last else None


def pages(
    call: Callable[..., Mapping[str, Any]], request: Mapping[str, Any], deadline: Deadline
) -> Iterator[list[Item]]:
    """Read all items of a scan or a query, which `call` makes, page by page.

    Raises `AwsError`, and `OutOfTime` in place of a page for which there is no time.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.Pagination
    """
    start: dict[str, Any] = {}
    while True:
        deadline.check()
        with aws_errors():
            page = call(**request, **start)
        yield list(page["Items"])
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def update(client: DynamoDBClient, request: Mapping[str, Any], deadline: Deadline) -> Item | None:
    """Make one update; retry while a transaction has the item, or DynamoDB throttles.

    Returns the item after the update, None if its condition did not hold. Raises `AwsError`, `OutOfTime`;
    after `Unreachable` the update may have been made.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
    """
    throttled = Throttled("DynamoDB throttled the update after all retries")
    for _ in deadline.tries(_UPDATE_TRIES):
        try:
            with aws_errors():
                response = client.update_item(**request, ReturnValues="ALL_NEW")
        except Throttled as error:
            throttled = error
        except Refused as refused:
            if refused.code == "ConditionalCheckFailedException":
                return None
            raise
        else:
            return response["Attributes"]
    raise throttled


def transact(client: DynamoDBClient, actions: Sequence[Any], deadline: Deadline) -> None:
    """Do all of `actions` at once, or none; retry while it conflicts or is throttled.

    Raises `TransactionCancelled` where a condition did not hold, `Contended` or `Throttled` after the last
    retry, and any other `AwsError` or `OutOfTime`; after `Unreachable` the transaction may have been done.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    lost: TransactionCancelled | None = None
    try:
        for _ in deadline.tries(_TRANSACTION_TRIES):
            try:
                with aws_errors():
                    client.transact_write_items(TransactItems=actions)
            except TransactionCancelled as cancelled:
                if not cancelled.conflicted:
                    raise
                lost = cancelled
            else:
                return
    except OutOfTime:
        if lost is None:
            raise
    if lost is not None and lost.throttled:
        raise Throttled("DynamoDB throttled the transaction after all retries") from lost
    raise Contended("other writers keep changing the same items; try again") from lost
