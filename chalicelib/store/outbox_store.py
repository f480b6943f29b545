"""The outbox: one item for each commit whose answers are perhaps not all in the OMS queue.

An item names answers, whose texts are in the records. It is written in the commit's own transaction, and goes
once the answers are sent. Several senders may work on one item at the same time: removing names from a set
needs no condition, so none of them can lose a name that another still has to send.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.aws import dynamodb
from chalicelib.aws.errors import aws_errors
from chalicelib.domain.reservation import Reference
from chalicelib.errors import Refused
from chalicelib.store.items import outbox_key

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.aws.deadline import Deadline
    from chalicelib.settings import TableSettings


@dataclass(frozen=True, slots=True)
class Owed:
    """What the commit `change` still owes: the references of answers, and when it was made."""

    change: str
    references: Sequence[Reference]
    created_at: datetime


class OutboxStore:
    """Reads OutboxTable, and removes what is sent; `OrderStore` fills it. Each call may raise `AwsError`."""

    def __init__(self, client: DynamoDBClient, tables: TableSettings) -> None:
        self._client = client
        self._table = tables.outbox_table

    def scan(self, deadline: Deadline) -> Iterator[list[Owed]]:
        """Read all items, page by page. Raises `OutOfTime` in place of a page for which there is no time."""
        request = {"TableName": self._table, "ConsistentRead": True}
        for page in dynamodb.pages(self._client.scan, request, deadline):
            yield [
                Owed(
                    item["id"]["S"],
                    # A set that has lost its last member is no longer there.
                    [Reference.parse(name) for name in item["owed"]["SS"]] if "owed" in item else (),
                    datetime.fromisoformat(item["created_at"]["S"]),
                )
                for item in page
            ]

    def remove(self, change: str) -> None:
        """Remove the item of a commit, all of whose answers are sent."""
        with aws_errors():
            self._client.delete_item(TableName=self._table, Key=outbox_key(change))

    def narrow(self, change: str, sent: Sequence[Reference]) -> None:
        """Remove the references `sent` from the item of a commit, if it is still there."""
        try:
            with aws_errors():
                self._client.update_item(
                    TableName=self._table,
                    Key=outbox_key(change),
                    UpdateExpression="DELETE owed :sent",
                    ConditionExpression="attribute_exists(id)",  # an update would create the item anew
                    ExpressionAttributeValues={":sent": {"SS": [str(reference) for reference in sent]}},
                )
        except Refused as refused:
            if refused.code != "ConditionalCheckFailedException":
                raise
