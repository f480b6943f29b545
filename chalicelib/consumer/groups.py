"""Works through groups of orders: each is settled, tried again, halved or given up; none blocks another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from chalicelib.consumer.pace import Pace
from chalicelib.core.records import Known
from chalicelib.errors import Contended, OutOfTime, Refused, Throttled, TransactionCancelled, Unreachable

HALVE_AFTER: Final = 3
"""A group that has lost so many times in a row is halved: fewer items meet less traffic."""

# Whatever the orders, such a call fails; halving would only make it fail more often.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html
_HOPELESS: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "NoCredentialsError",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    }
)


class Order(Protocol):
    """Anything with an order id."""

    @property
    def order_id(self) -> str: ...


_O = TypeVar("_O", bound=Order)


class Reporter(Protocol):
    """Who is told what happens to groups."""

    def retry(self, order_ids: Sequence[str], why: Exception) -> None: ...
    def failed(self, order_ids: Sequence[str], why: Exception) -> None: ...


@dataclass(slots=True)
class Group(Generic[_O]):
    """Orders that are settled in one transaction, what is known of them, and how often that has failed."""

    orders: Sequence[_O]
    known: Known = field(default_factory=Known)
    attempt: int = 0

    @property
    def order_ids(self) -> list[str]:
        return [order.order_id for order in self.orders]

    def halves(self) -> list[Group[_O]]:
        """The group as two, or as it is if it has one order; both keep what is known."""
        middle = len(self.orders) // 2
        parts = [self.orders[:middle], self.orders[middle:]]
        return [Group(orders, self.known, self.attempt) for orders in parts if orders]


def work_through(
    groups: Iterable[Group[_O]], settle: Callable[[Group[_O]], None], pace: Pace, report: Reporter
) -> set[str]:
    """Settle all `groups` before time is up; returns the ids of the orders that are not settled.

    `settle` raises where a group must be tried again or given up. A group that lost to other traffic goes
    to the back of the queue.
    """
    queue = deque(groups)
    failed: set[str] = set()
    try:
        while queue:
            pace.check()
            try:
                settle(queue[0])
            except OutOfTime:
                raise
            except Exception as error:  # noqa: BLE001 - an unforeseen fault of one order must not fail the others
                group = queue.popleft()
                if _may_pass(error):
                    report.retry(group.order_ids, error)
                    queue.extend(_again(group, error))
                    pace.pause(group.attempt)
                elif len(group.orders) > 1 and not _hopeless(error):
                    queue.extendleft(reversed(group.halves()))
                else:
                    failed.update(group.order_ids)
                    report.failed(group.order_ids, error)
            else:
                queue.popleft()
    except OutOfTime:
        pass  # what is still in the queue is not settled
    return failed.union(*(group.order_ids for group in queue))


def _again(group: Group[_O], error: Exception) -> list[Group[_O]]:
    """The group for its next try: as it is, or halved, if other traffic has beaten it often enough."""
    group = Group(group.orders, group.known, group.attempt + 1)
    beaten = isinstance(error, TransactionCancelled | Contended)
    return group.halves() if beaten and group.attempt % HALVE_AFTER == 0 else [group]


def _may_pass(error: Exception) -> bool:
    if isinstance(error, TransactionCancelled):
        return error.mendable
    return isinstance(error, Contended | Throttled | Unreachable)


def _hopeless(error: Exception) -> bool:
    return isinstance(error, Refused) and error.code in _HOPELESS
