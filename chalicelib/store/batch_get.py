"""One consistent `BatchGetItem` over any number of keys and tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from random import Random
from time import sleep
from typing import TYPE_CHECKING, Any, Final, Protocol

from chalicelib.core.backoff import full_jitter
from chalicelib.errors import Throttled
from chalicelib.store.calls import aws_errors

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]
Key = tuple[str, str, str]
"""(table, name of the key attribute, value)"""

MAX_KEYS: Final = 100
_TRIES: Final = 6


class Pause(Protocol):
    """Waits before try number `attempt` (from 0); may raise if there is no time for one more."""

    def __call__(self, attempt: int) -> None: ...


def brief_pause(attempt: int, rng: Random = Random()) -> None:  # noqa: B008 - one generator is meant
    """Wait with full jitter; for callers without a deadline of their own."""
    sleep(full_jitter(attempt, rng))


def batch_get(client: DynamoDBClient, keys: Iterable[Key], pause: Pause = brief_pause) -> dict[Key, Item]:
    """Read `keys` consistently, 100 a call, asking again for those that DynamoDB left unprocessed.

    Returns the items that exist. Raises `AwsError`, `Throttled` where keys stay unprocessed, and what
    `pause` raises.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    """
    wanted = list(dict.fromkeys(keys))
    attribute = {table: name for table, name, _ in wanted}
    found: dict[Key, Item] = {}
    attempt = 0
    while wanted:
        chunk, wanted = wanted[:MAX_KEYS], wanted[MAX_KEYS:]
        with aws_errors():
            answer = client.batch_get_item(RequestItems=_request(chunk))
        for table, items in answer["Responses"].items():
            name = attribute[table]
            found |= {(table, name, item[name]["S"]): item for item in items}
        unread = [
            (table, attribute[table], key[attribute[table]]["S"])
            for table, left in answer.get("UnprocessedKeys", {}).items()
            for key in left["Keys"]
        ]
        if unread:
            if attempt == _TRIES:
                raise Throttled("DynamoDB left keys unread, past the retries")
            pause(attempt)
            attempt += 1
            wanted = unread + wanted
    return found


def _request(chunk: Iterable[Key]) -> Any:
    by_table = itertools.groupby(sorted(chunk), key=lambda key: key[0])
    return {
        table: {"Keys": [{name: {"S": value}} for _, name, value in keys], "ConsistentRead": True}
        for table, keys in by_table
    }
