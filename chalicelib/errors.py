"""Every error that the IMS raises on purpose.

    ImsError
    ├── InvalidInput            names the fields at fault
    │   ├── InvalidJson
    │   └── InvalidToken
    ├── UnsupportedMediaType
    ├── MethodNotAllowed
    ├── NotFound
    ├── Conflict                the request is fine, the state is against it
    │   ├── AlreadyExists
    │   ├── InsufficientStock
    │   ├── QuantityMismatch
    │   ├── HasStock
    │   ├── StockLimit
    │   └── IdempotencyKeyReused
    ├── Unauthenticated         the bearer token is missing or not good
    ├── KeysUnavailable         the issuer's keys cannot be had for now, so no token can be judged
    ├── Contended               others change the same item, past the retries
    ├── AwsError                a call to AWS failed
    │   ├── Throttled           … for now: asked too fast
    │   ├── Unreachable         … for now: time-out, no connection, 5xx; it may have taken effect
    │   ├── TransactionCancelled
    │   └── Refused             … for good: the same call will fail again
    ├── OutOfTime               the time limit is near; what is left will be delivered again
    └── SettingsError           the environment lacks something

`chalicelib/api/problems.py` gives each its HTTP status.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field at fault: its dotted path (`items.0.quantity`) and what is wrong with it."""

    field: str
    message: str


class ImsError(Exception):
    """The root of the tree; `str()` is one sentence that a caller may see."""


class InvalidInput(ImsError):
    """The request is malformed; `errors` lists every field at fault."""

    def __init__(self, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class InvalidJson(InvalidInput):
    """The body is not JSON."""


class InvalidToken(InvalidInput):
    """`next_token` was not made by this listing."""


class UnsupportedMediaType(ImsError):
    """The body is declared as something other than JSON."""


class MethodNotAllowed(ImsError):
    """The path exists, the method does not; `allowed` are those that do."""

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class NotFound(ImsError):
    """There is no such SKU or order."""


class Conflict(ImsError):
    """The state is against the request; nothing was changed."""


class AlreadyExists(Conflict):
    """The SKU is taken."""


class InsufficientStock(Conflict):
    """The change would take the stock below zero."""


class QuantityMismatch(Conflict):
    """The stock is not what the caller expected it to be."""


class HasStock(Conflict):
    """A product with stock cannot be deleted."""


class StockLimit(Conflict):
    """The change would take the stock above its upper bound."""


class IdempotencyKeyReused(Conflict):
    """The key came before with another request."""


class Contended(ImsError):
    """Others kept changing the same item; trying again later is safe."""


class Unauthenticated(ImsError):
    """The bearer token is missing or not good; `str()` is why, for the log and not for the caller."""


class KeysUnavailable(ImsError):
    """The issuer's keys cannot be had for now; that says nothing about the token."""


class AwsError(ImsError):
    """A call to AWS failed."""


class Throttled(AwsError):
    """AWS asks to slow down, past botocore's own retries."""


class Unreachable(AwsError):
    """No answer, or a server error; the call may or may not have taken effect."""


class Refused(AwsError):
    """AWS will not take this call, however often it is made; `code` is AWS's error code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


_CONTENTION = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one action of a cancelled transaction failed, or `None` as code if it did not.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
    `item` is the stored item (`ReturnValuesOnConditionCheckFailure=ALL_OLD`), None if there is none.
    """

    code: str
    item: Mapping[str, Any] | None


class TransactionCancelled(AwsError):
    """DynamoDB cancelled a transaction; `reasons` holds one entry per action, in order."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__("the transaction was cancelled: " + ", ".join(reason.code for reason in reasons))
        self.reasons = tuple(reasons)

    @property
    def contended(self) -> bool:
        """Whether any action lost to other traffic, which says nothing about its condition."""
        return any(reason.code in _CONTENTION for reason in self.reasons)

    @property
    def mendable(self) -> bool:
        """Whether another try may succeed: every failure is a condition's or other traffic's."""
        return all(reason.code in _CONTENTION | {"None", "ConditionalCheckFailed"} for reason in self.reasons)


class OutOfTime(ImsError):
    """The function's time limit is near; what is not settled by now will be delivered again."""


class SettingsError(ImsError):
    """The environment lacks a variable or has a bad one; the message names it."""
