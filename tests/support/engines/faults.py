"""Faults of a call; each one answers or raises in place of the service.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
and https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from uuid import uuid4

from botocore.exceptions import ClientError, ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError

from tests.support.engines.errors import Refusal
from tests.support.engines.network import Call, Crash
from tests.support.engines.transactions import cancelled

_URL: Final = "https://aws.invalid/"


def throttled(call: Call) -> Any:
    """DynamoDB or SQS throttles the call."""
    code = "RequestThrottled" if hasattr(call.client, "send_message") else "ThrottlingException"
    raise call.refuse(Refusal(code, "Rate exceeded"))


def unavailable(call: Call) -> Any:
    """The service fails before the effect."""
    raise call.refuse(Refusal("InternalServerError", "Internal server error", status=500))


def failed_after_effect(call: Call) -> Any:
    """The service fails after the effect."""
    call.proceed()
    return unavailable(call)


def unreachable(call: Call) -> Any:
    """The client gets no connection; the call has no effect."""
    raise ConnectTimeoutError(endpoint_url=_URL)


def timed_out_before_effect(call: Call) -> Any:
    """The client gets no answer, and the call has no effect."""
    raise ReadTimeoutError(endpoint_url=_URL)


def timed_out_after_effect(call: Call) -> Any:
    """The client gets no answer, but the call takes effect."""
    call.proceed()
    raise ReadTimeoutError(endpoint_url=_URL)


def reset_after_effect(call: Call) -> Any:
    """The connection breaks after the effect."""
    call.proceed()
    raise ConnectionClosedError(endpoint_url=_URL)


def sent_twice(call: Call) -> Any:
    """botocore loses the first answer and retries: the service sees the call twice.

    A transaction carries the token that botocore gives it, so the repeated call does nothing.
    """
    if call.operation == "transact_write_items":
        call.parameters.setdefault("ClientRequestToken", str(uuid4()))
    with contextlib.suppress(ClientError):  # the first answer is lost, whatever it was
        call.proceed()
    return call.proceed()


def crash_before(call: Call) -> Any:
    """The process crashes before the call."""
    raise Crash(f"before {call.operation} ({call.number})")


def crash_after(call: Call) -> Any:
    """The process crashes after the effect, before it reads the answer."""
    call.proceed()
    raise Crash(f"after {call.operation} ({call.number})")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Other requests use some of the items: the call writes nothing.

    A transaction gets the reason TransactionConflict, or another `code`, for the actions at `indexes`; the
    other actions get the reasons of their own conditions. A single write fails as a whole.
    """

    indexes: Sequence[int] = (0,)
    code: str = "TransactionConflict"

    def __call__(self, call: Call) -> Any:
        message = "Transaction is ongoing for the item"
        if call.operation == "transact_write_items":
            actions = call.parameters["TransactItems"]
            reasons = call.client.cancellation_reasons(actions)
            for index in {index % len(actions) for index in self.indexes}:
                reasons[index] = {"Code": self.code, "Message": message}
            raise call.refuse(cancelled(reasons))
        raise call.refuse(Refusal("TransactionConflictException", message))


@dataclass(frozen=True, slots=True)
class FewReasons:
    """A cancelled transaction reports only some of the failed conditions; AWS does not rule this out."""

    rng: Random

    def __call__(self, call: Call) -> Any:
        reasons = call.client.cancellation_reasons(call.parameters["TransactItems"])
        failing = [index for index, reason in enumerate(reasons) if reason["Code"] != "None"]
        if not failing:
            return call.proceed()
        reported = set(self.rng.sample(failing, self.rng.randint(1, len(failing))))
        raise call.refuse(
            cancelled(
                [reason if index in reported else {"Code": "None"} for index, reason in enumerate(reasons)]
            )
        )


@dataclass(frozen=True, slots=True)
class Partial:
    """A batch call does not do the entries at `indexes` and reports them; it does the others.

    This works for the batch calls of both services. In SQS, `sender_fault` means "do not retry".
    """

    indexes: Sequence[int] = (0,)
    code: str = "ThrottlingError"
    sender_fault: bool = False

    def __call__(self, call: Call) -> Any:
        match call.operation:
            case "batch_get_item":
                return self._unprocessed(call, "Keys", "UnprocessedKeys")
            case "batch_write_item":
                return self._unprocessed(call, None, "UnprocessedItems")
        return self._entries(call)

    def _split(self, entries: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        left_out = {index % len(entries) for index in self.indexes}
        kept = [entry for index, entry in enumerate(entries) if index not in left_out]
        return kept, [entries[index] for index in sorted(left_out)]

    def _unprocessed(self, call: Call, inner: str | None, member: str) -> Any:
        requests: Mapping[str, Any] = call.parameters["RequestItems"]
        flat = [
            (table, entry)
            for table, request in requests.items()
            for entry in (request[inner] if inner else request)
        ]
        kept, left = self._split(flat)

        def regrouped(entries: list[Any]) -> dict[str, Any]:
            grouped: dict[str, Any] = {}
            for table, entry in entries:
                grouped.setdefault(table, []).append(entry)
            return {
                table: {**requests[table], inner: entries} if inner else entries
                for table, entries in grouped.items()
            }

        answer = (
            getattr(call.client, call.operation)(RequestItems=regrouped(kept))
            if kept
            else ({"Responses": {}} if inner else {})
        )
        return {**answer, member: regrouped(left)}

    def _entries(self, call: Call) -> Any:
        kept, left = self._split(call.parameters["Entries"])
        answer = getattr(call.client, call.operation)(**{**call.parameters, "Entries": kept}) if kept else {}
        failed = [
            {"Id": entry["Id"], "SenderFault": self.sender_fault, "Code": self.code, "Message": "injected"}
            for entry in left
        ]
        return {**answer, "Failed": [*answer.get("Failed", []), *failed]}
