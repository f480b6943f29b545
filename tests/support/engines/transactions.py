"""`TransactWriteItems`: all actions or none, and the reasons of a cancellation.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.engines import indexes, tables
from tests.support.engines.errors import ConditionFailed, Refusal, invalid
from tests.support.engines.tables import Table, Write
from tests.support.engines.values import Item

MAX_ACTIONS: Final = 100
MAX_BYTES: Final = 4 * 1024 * 1024
TOKEN_SECONDS: Final = 600
_KINDS: Final[dict[str, Callable[[Table, Mapping[str, Any]], Write]]] = {
    "Put": tables.put,
    "Update": tables.change,
    "Delete": tables.delete,
    "ConditionCheck": tables.check,
}
_REPORTED: Final = (tables.SCHEMA_MISMATCH, "Type mismatch for key", indexes.TYPE_MISMATCH)
Reason = dict[str, Any]


def cancelled(reasons: Sequence[Reason]) -> Refusal:
    """A `TransactionCanceledException` for these reasons, one per action."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    extra = {"Message": message, "CancellationReasons": list(reasons)}
    return Refusal("TransactionCanceledException", message, extra=extra)


def writes(actions: Sequence[Mapping[str, Any]], find: Callable[[str], Table]) -> list[Write]:
    """The writes of a transaction; raises a ValidationException for an invalid transaction."""
    if not 1 <= len(actions) <= MAX_ACTIONS:
        bound = "greater than or equal to 1" if not actions else f"less than or equal to {MAX_ACTIONS}"
        raise invalid(
            f"1 validation error detected: Value '{list(actions)}' at 'transactItems' failed to satisfy "
            f"constraint: Member must have length {bound}"
        )
    made, reasons = [], [{"Code": "None"} for _ in actions]
    keys: list[tuple[str, str]] = []
    for index, action in enumerate(actions):
        if len(action) != 1:
            raise invalid(
                "TransactItems can only contain one of Check, Put, Update or Delete"
                if action
                else "TransactWriteRequest should contain Delete or Put or Update or ConditionCheck"
            )
        ((kind, request),) = action.items()
        table = find(request["TableName"])
        try:
            made.append(_KINDS[kind](table, request))
            keys.append((table.name, made[-1].key))
        except Refusal as refusal:
            # The reasons report a key of the wrong type, unlike every other mistake (measured on AWS).
            if not any(mistake in refusal.message for mistake in _REPORTED):
                raise
            reasons[index] = {"Code": "ValidationError", "Message": refusal.message}
            if indexes.TYPE_MISMATCH in refusal.message:  # the table's own key is in order
                keys.append((table.name, table.key_of(request["Item"])))
    if len(set(keys)) < len(keys):
        raise invalid("Transaction request cannot include multiple operations on one item")
    if sum(write.size for write in made) > MAX_BYTES:
        raise invalid("Transaction request exceeds the 4MB transaction size limit")
    if len(made) < len(actions):
        raise cancelled(reasons)
    return made


def outcomes(made: Sequence[Write]) -> tuple[list[Item | None], list[Reason]]:
    """The new item and the reason of each write; the code of a write that would succeed is `None`."""
    after: list[Item | None] = []
    reasons: list[Reason] = []
    for write in made:
        reason: Reason = {"Code": "None"}
        new_item = None
        try:
            new_item = write.outcome()
        except ConditionFailed as failed:
            reason = {"Code": "ConditionalCheckFailed", "Message": failed.message, **failed.extra}
        except Refusal as refusal:
            if indexes.EMPTY_KEY in refusal.message:
                raise
            reason = {"Code": "ValidationError", "Message": refusal.message}
        after.append(new_item)
        reasons.append(reason)
    return after, reasons


@dataclass(slots=True)
class Tokens:
    """The transactions of the last ten minutes by their `ClientRequestToken`."""

    done: dict[str, tuple[float, str]] = field(default_factory=dict)

    def repeated(self, token: str, actions: Any, now: float) -> bool:
        """Whether this request was done before.

        Raises IdempotentParameterMismatchException if the token belongs to another request.
        """
        expires, fingerprint = self.done.get(token, (now, ""))
        if expires <= now:
            return False
        if fingerprint != _fingerprint(actions):
            raise Refusal(
                "IdempotentParameterMismatchException",
                "Request token already in use for another request with a different payload",
            )
        return True

    def remember(self, token: str, actions: Any, now: float) -> None:
        """Remember a request that was done."""
        self.done[token] = (now + TOKEN_SECONDS, _fingerprint(actions))


def _fingerprint(actions: Any) -> str:
    return json.dumps(actions, sort_keys=True, default=repr)
