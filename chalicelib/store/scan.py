"""One page of a whole table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.store.calls import aws_errors
from chalicelib.store.items import Item, sku_key

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def scan_page(
    client: DynamoDBClient, table: str, limit: int, after: str | None
) -> tuple[list[Item], str | None]:
    """At most `limit` items that follow the SKU `after` (None: from the start), in the table's own order.

    Returns them with the SKU to go on after, None at the end. The SKU `after` need not exist any more.
    Consistent, so that what was just created is listed. Raises `AwsError`.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.Pagination
    """
    start: dict[str, Any] = {} if after is None else {"ExclusiveStartKey": sku_key(after)}
    with aws_errors():
        answer = client.scan(TableName=table, Limit=limit, ConsistentRead=True, **start)
    last = answer.get("LastEvaluatedKey")
    return list(answer["Items"]), last["sku"]["S"] if last else None
