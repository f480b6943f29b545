"""Works through groups of orders: each is settled, retried, halved or given up, and blocks no other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Protocol, TypeVar

from chalicelib.aws.deadline import Deadline
from chalicelib.aws.errors import is_caller_fault, is_passing
from chalicelib.domain.planner import Snapshot
from chalicelib.domain.reservation import Answer, Reservation
from chalicelib.errors import Contended, OutOfTime, TransactionCancelled

HALVE_AFTER: Final = 3
"""A group that has lost so many times in a row is halved: fewer items meet less traffic."""


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
    """Orders that are settled in one transaction, what was seen of them, and how often that has failed.

    `tries` has the answers of each commit that was tried: if no response came, it may have been done.
    """

    orders: Sequence[_O]
    snapshot: Snapshot = field(default_factory=Snapshot)
    attempt: int = 0
    tries: dict[str, Sequence[Answer]] = field(default_factory=dict)

    @property
    def order_ids(self) -> list[str]:
        return [order.order_id for order in self.orders]

    @property
    def recorded(self) -> list[Reservation]:
        """The records that were seen of the orders."""
        records = self.snapshot.reservations
        return [found for order in self.orders if (found := records.get(order.order_id))]

    def again(self) -> Group[_O]:
        """The group for its next try."""
        return replace(self, attempt=self.attempt + 1)

    def halves(self) -> list[Group[_O]]:
        """Split the group in two, unless it has one order; both parts keep what was seen and tried."""
        middle = len(self.orders) // 2
        parts = [self.orders[:middle], self.orders[middle:]]
        return [replace(self, orders=orders, tries=dict(self.tries)) for orders in parts if orders]


def work_through(
    groups: Iterable[Group[_O]],
    settle: Callable[[Group[_O]], object],
    deadline: Deadline,
    report: Reporter,
) -> set[str]:
    """Settle all `groups` before the deadline; returns the ids of the orders that are not settled.

    `settle` raises where a group must be retried or given up. A group that conflicted goes to the back of
    the queue.
    """
    queue = deque(groups)
    failed: set[str] = set()
    try:
        while queue:
            deadline.check()
            try:
                settle(queue[0])
            except OutOfTime:
                raise
            except Exception as error:  # noqa: BLE001 - an unforeseen fault of one order must not fail the others
                group = queue.popleft()
                if is_passing(error) or isinstance(error, Contended):
                    report.retry(group.order_ids, error)
                    queue.extend(_retried(group, error))
                    deadline.pause(group.attempt)
                elif len(group.orders) > 1 and not is_caller_fault(error):
                    queue.extendleft(reversed(group.halves()))
                else:
                    failed.update(group.order_ids)
                    report.failed(group.order_ids, error)
            else:
                queue.popleft()
    except OutOfTime:
        pass  # what is still in the queue is not settled
    return failed.union(*(group.order_ids for group in queue))


def _retried(group: Group[_O], error: Exception) -> list[Group[_O]]:
    """The group for its next try: as it is, or halved, if it has lost to other traffic often enough."""
    group = group.again()
    lost = isinstance(error, TransactionCancelled | Contended)
    return group.halves() if lost and group.attempt % HALVE_AFTER == 0 else [group]
