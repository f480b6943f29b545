"""Transactions and other writes that lose to other traffic, tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

from chalicelib.core.backoff import full_jitter
from chalicelib.errors import Contended, Throttled, TransactionCancelled
from chalicelib.store.calls import aws_errors

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Tries = Callable[[], Iterator[int]]
"""Counts tries, waiting between them; when it ends, the caller gives up."""

MOST_TRIES: Final = 8
_THROTTLES: Final = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded"})
_rng = Random()


def few_tries() -> Iterator[int]:
    """Count `MOST_TRIES` tries with full jitter between them: 1.3 s of waiting on average, 2.5 s at most."""
    for attempt in range(MOST_TRIES):
        if attempt:
            time.sleep(full_jitter(attempt - 1, _rng))
        yield attempt


def transact(client: DynamoDBClient, actions: Sequence[Any], tries: Tries = few_tries) -> None:
    """Do all of `actions` at once, or none; tries again while other traffic is in the way.

    Raises `TransactionCancelled` where a condition did not hold, `Contended` or `Throttled` when it
    gives up, and any other `AwsError`; after `Unreachable` the transaction may have been done.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    lost: TransactionCancelled | None = None
    for _ in tries():
        try:
            with aws_errors():
                client.transact_write_items(TransactItems=actions)
        except TransactionCancelled as cancelled:
            if not cancelled.contended:
                raise
            lost = cancelled
        else:
            return
    if lost is not None and any(reason.code in _THROTTLES for reason in lost.reasons):
        raise Throttled("DynamoDB throttled the transaction, past the retries") from lost
    raise Contended("others kept changing the same items; try again") from lost
