"""Orders over REST: each call is settled as a message is, in a group of its own, and answered at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from chalicelib.aws.deadline import Deadline
from chalicelib.aws.errors import is_passing
from chalicelib.domain.changes import OrderChanges
from chalicelib.domain.commands import ChangeOrder, Reserve
from chalicelib.domain.planner import Snapshot
from chalicelib.domain.reservation import AnswerType, Outcome, Reservation
from chalicelib.domain.rulings import LateConfirmation, Refusal, Ruling
from chalicelib.errors import (
    AwsError,
    Contended,
    NotFound,
    OperationIdReused,
    OrderIdReused,
    OrderRejected,
    Throttled,
    TransactionCancelled,
)
from chalicelib.services.change_settler import ChangeSettler
from chalicelib.services.demand_settler import DemandSettler
from chalicelib.services.groups import Group
from chalicelib.services.settler import Demand, Hints, NoReport, Settler
from chalicelib.store.order_store import OrderStore

_TRIES: Final = 8
_R = TypeVar("_R")
_S = TypeVar("_S", bound=Settler)


@dataclass(frozen=True)
class Orders:
    """Reserves stock for orders, and changes their reservations; nothing goes to the OMS's queue.

    After `aging` the sweep closes a firm order; None: never. Each call may raise `AwsError`, `Contended`, and
    `OutOfTime` where its deadline is near. A repeat of a call gets the same answer, and changes nothing.
    """

    store: OrderStore
    aging: timedelta | None = None

    def get(self, order_id: str, deadline: Deadline) -> Reservation:
        """What is on record of an order. Raises `NotFound`."""
        found = self.store.find(order_id, deadline)
        if found is None:
            raise NotFound(f"there is no reservation for order {order_id}")
        return found

    def reserve(self, order: Reserve, deadline: Deadline) -> Reservation:
        """Take stock for `order`, and return what is on record of it then.

        Raises `OrderRejected`, and `OrderIdReused` if the order came before with another body.
        """
        group: Group[Demand] = Group([order])
        settler = self._settler(DemandSettler, deadline)
        _retry(lambda: settler.settle(group), deadline)
        record = group.snapshot.reservations[order.order_id]
        if record is None or record.event is None:  # once it is settled, there is a record
            raise OrderRejected(Refusal.NOT_RESERVED.value, "the order was released before it was reserved")
        answer = json.loads(record.event)
        asked = answer.get("expires_at") if record.outcome is not Outcome.REJECTED else record.expires_at
        if (record.customer_id, record.items, asked) != (order.customer_id, order.items, order.expires_at):
            raise OrderIdReused(f"order {order.order_id} came before with another body")
        if record.outcome is Outcome.REJECTED:
            raise _rejected(answer)
        return record

    def knows(self, order_id: str, operation_id: str | None, deadline: Deadline) -> bool:
        """Whether an operation on an order (None: its reservation) is on record."""
        found = self.store.find(order_id, deadline)
        return found is not None and (operation_id is None or found.operation(operation_id) is not None)

    def change(self, command: ChangeOrder, deadline: Deadline) -> Reservation:
        """Do `command`, and return the record of its order then.

        Raises `NotFound`, `OrderRejected`, and `OperationIdReused` if its id came before with another body.
        """
        for _ in deadline.tries(_TRIES):
            order = OrderChanges(command.order_id, [command], self.get(command.order_id, deadline))
            group = Group([order])
            settler = self._settler(ChangeSettler, deadline)
            rulings = _retry(lambda: settler.settle(group), deadline)  # noqa: B023 - called at once
            record = group.snapshot.reservations.get(command.order_id) or order.reservation
            if late := settler.late.get(command.order_id):
                record = self._confirm_late(late[0], deadline)
            if record is not None:
                return _outcome(record, command, rulings)
        raise Contended("the order keeps changing; try again")

    def _confirm_late(self, late: LateConfirmation, deadline: Deadline) -> Reservation | None:
        """Take the units again, and return the record; None if the order has changed meanwhile."""
        group: Group[Demand] = Group([late], Snapshot(reservations={late.order_id: late.reservation}))
        settler = self._settler(DemandSettler, deadline)
        _retry(lambda: settler.settle(group), deadline)
        return None if settler.returned else group.snapshot.reservations[late.order_id]

    def _settler(self, kind: type[_S], deadline: Deadline) -> _S:
        """A settler whose answers are the responses. The log line of the call is report enough."""
        return kind(self.store, None, Hints(), deadline, NoReport(), self.aging)


def _outcome(record: Reservation, command: ChangeOrder, rulings: Sequence[Ruling]) -> Reservation:
    """The record, unless `command` was refused: then that is raised."""
    operation = record.operation(command.operation_id)
    if operation is None or operation.event is None:
        refusal = next((ruling.refusal for ruling in rulings if ruling.refusal), Refusal.NOT_RESERVED)
        raise OrderRejected(refusal.value, _DETAILS[refusal])
    answer = json.loads(operation.event)
    if operation.type != command.type or not _answers(answer, command):
        raise OperationIdReused(f"operation {command.operation_id} came before with another body")
    if operation.answer is AnswerType.CHANGE_REJECTED:
        raise _rejected(answer)
    return record


def _answers(answer: Mapping[str, Any], command: ChangeOrder) -> bool:
    """Whether a stored answer may be that to `command`: a rejection does not say what was asked."""
    if answer["type"] == AnswerType.EXTENDED:
        return bool(answer["expires_at"] == command.expires_at)
    if answer["type"] in (AnswerType.FULFILLED, AnswerType.RELEASED):
        if command.items is None:
            return not answer.get("remaining")  # version 1.1 did not write it: it knew no parts
        missing = answer.get("missing", ())
        done = {item["sku"]: item["quantity"] for item in answer["items"]}
        return done == {sku: units for sku, units in command.items.items() if sku not in missing}
    return True


def _rejected(answer: Mapping[str, Any]) -> OrderRejected:
    """The error that tells what a stored answer says."""
    detail = _DETAILS.get(answer["reason"], "the order was rejected")
    return OrderRejected(answer["reason"], detail, answer.get("items", ()))


_DETAILS: Final[dict[str, str]] = {
    "INSUFFICIENT_STOCK": "there is not enough stock for the order",
    "SKU_NOT_FOUND": "the order names SKUs that do not exist",
    "NOT_RESERVED": "the order holds nothing",
    "EXPIRED": "the order's hold has ended",
    "NOT_A_HOLD": "the order is firm, so it has no end that could be moved",
    "MORE_THAN_HELD": "the order holds fewer units",
    "INVALID_REQUEST": "the operation was invalid",
    "TOO_MANY_ITEMS": "the order names too many SKUs",
    "TOO_MANY_OPERATIONS": "the order takes no more operations",
}


def _retry(settle: Callable[[], _R], deadline: Deadline) -> _R:
    """Call `settle` until it succeeds, a few times; nothing is done twice, as it finds what is on record."""
    last: AwsError | Contended | None = None
    for _ in deadline.tries(_TRIES):
        try:
            return settle()
        except (AwsError, Contended) as error:
            if not (isinstance(error, Contended) or is_passing(error)):
                raise
            last = error
    if isinstance(last, TransactionCancelled) and last.throttled:
        raise Throttled("DynamoDB throttled the transaction after all retries") from last
    if isinstance(last, TransactionCancelled) or last is None:
        raise Contended("other writers keep changing the same items; try again") from last
    raise last
