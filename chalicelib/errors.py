"""Every error that the IMS raises on purpose.

    ImsError
    ├── InvalidInput            names the invalid fields
    │   ├── InvalidJson
    │   └── InvalidPageToken
    ├── UnsupportedMediaType
    ├── MethodNotAllowed
    ├── NotFound
    ├── Conflict                the request is valid, but the current state does not allow it
    │   ├── AlreadyExists
    │   ├── InsufficientStock
    │   ├── QuantityMismatch
    │   ├── VersionMismatch
    │   ├── BelowReserved
    │   ├── HasStock
    │   ├── HasReservations
    │   ├── StockLimit
    │   ├── IdempotencyKeyReused
    │   ├── OrderIdReused
    │   ├── OperationIdReused
    │   └── OrderRejected       the order, or a change of it, was refused for good
    ├── Unauthenticated         the bearer token is missing or invalid
    ├── KeysUnavailable         the issuer's keys cannot be fetched for now, so no token can be checked
    ├── Contended               other writers keep changing the same item
    ├── Unavailable             no answer in time
    │   ├── OutOfTime           the deadline is near; a repeat is safe
    │   └── OutcomeUnknown      a change may have been made, and a repeat is not safe
    ├── AwsError                a call to AWS failed
    │   ├── Throttled           for now: too many calls
    │   ├── Unreachable         for now: time-out, no connection, 5xx; the call may have taken effect
    │   ├── TransactionCancelled
    │   └── Refused             for good: the same call will fail again
    ├── Poison                  a message that can be neither settled nor answered
    └── SettingsError           the environment lacks something

`chalicelib/api/problems.py` gives each its HTTP status.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid field: its dotted path (`items.0.quantity`) and what is wrong with it."""

    field: str
    message: str


class ImsError(Exception):
    """The root of the tree; `str()` is one sentence that a caller may see."""


class InvalidInput(ImsError):
    """The request is malformed; `errors` lists every invalid field."""

    def __init__(self, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class InvalidJson(InvalidInput):
    """The body is not JSON."""


class InvalidPageToken(InvalidInput):
    """`next_token` was not made by this listing."""


class UnsupportedMediaType(ImsError):
    """The body has another type or content coding than the call takes; `accepted` names the right ones.

    `accepted` has the header that RFC 9110 (15.5.16) and RFC 5789 (2.2) give such a response.
    """

    def __init__(self, message: str, accepted: Mapping[str, str]) -> None:
        super().__init__(message)
        self.accepted = dict(accepted)


class MethodNotAllowed(ImsError):
    """The path does not support the method; `allowed` lists the methods that it supports."""

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class NotFound(ImsError):
    """There is no such SKU or order."""


class Conflict(ImsError):
    """The current state does not allow the request; nothing was changed."""


class AlreadyExists(Conflict):
    """The SKU exists already."""


class InsufficientStock(Conflict):
    """The change would take the stock below zero."""


class QuantityMismatch(Conflict):
    """The stock is not what the caller expected."""


class VersionMismatch(Conflict):
    """The stock has another version than the caller expected."""


class BelowReserved(Conflict):
    """Fewer units were counted than the `reserved` ones that open orders hold."""

    def __init__(self, message: str, reserved: int) -> None:
        super().__init__(message)
        self.reserved = reserved


class HasStock(Conflict):
    """A product with stock cannot be deleted."""


class HasReservations(Conflict):
    """A product with reserved units cannot be deleted."""


class OrderIdReused(Conflict):
    """The order came before with another body."""


class OperationIdReused(Conflict):
    """The operation on the order came before with another body."""


class OrderRejected(Conflict):
    """The order, or a change of it, was refused; `code` says why, and `items` are the lines at fault."""

    def __init__(self, code: str, message: str, items: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.items = tuple(items)


class StockLimit(Conflict):
    """The change would take the stock above its upper bound."""


class IdempotencyKeyReused(Conflict):
    """The key was used before with a different request."""


class Contended(ImsError):
    """Other writers keep changing the same item; a retry is safe."""


class Unauthenticated(ImsError):
    """The bearer token is missing or invalid; `str()` says why, for the log and not for the caller."""


class KeysUnavailable(ImsError):
    """The issuer's keys cannot be fetched for now; that says nothing about the token."""


class Unavailable(ImsError):
    """There is no answer in time."""


class OutOfTime(Unavailable):
    """The deadline is near, and nothing new is begun; a repeat is safe."""


class OutcomeUnknown(Unavailable):
    """A change may have been made, and a repeat could make it twice."""


class Poison(ImsError):
    """A message that can be neither settled nor answered; it belongs in the DLQ."""


class AwsError(ImsError):
    """A call to AWS failed."""


class Throttled(AwsError):
    """AWS throttles the call, and botocore's own retries did not help."""


class Unreachable(AwsError):
    """There was no response, or a server error; the call may have taken effect."""


class Refused(AwsError):
    """AWS refuses this call, and a retry will not help; `code` is AWS's error code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


_THROTTLES = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded"})
_CONFLICTS = _THROTTLES | {"TransactionConflict"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one action of a cancelled transaction failed, or `None` as code if it did not.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
    `item` is the stored item (`ReturnValuesOnConditionCheckFailure=ALL_OLD`), None if there is none.
    """

    code: str
    item: Mapping[str, Any] | None

    @property
    def failed(self) -> bool:
        """Whether the action's condition did not hold."""
        return self.code == "ConditionalCheckFailed"


class TransactionCancelled(AwsError):
    """DynamoDB cancelled a transaction; `reasons` holds one entry per action, in order."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__("the transaction was cancelled: " + ", ".join(reason.code for reason in reasons))
        self.reasons = tuple(reasons)

    @property
    def conflicted(self) -> bool:
        """Whether any action lost to other traffic, which says nothing about its condition."""
        return any(reason.code in _CONFLICTS for reason in self.reasons)

    @property
    def throttled(self) -> bool:
        """Whether any action was throttled."""
        return any(reason.code in _THROTTLES for reason in self.reasons)

    @property
    def retryable(self) -> bool:
        """Whether a retry may succeed: each failure comes from a condition or from other traffic."""
        return all(reason.failed or reason.code in _CONFLICTS | {"None"} for reason in self.reasons)


class SettingsError(ImsError):
    """The environment lacks a variable or has a bad one; the message names it."""
