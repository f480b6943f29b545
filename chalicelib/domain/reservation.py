"""The reservation of an order on record: its states, what it holds, its operations and their answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from chalicelib.domain.commands import is_countable

MAX_OPERATIONS: Final = 50
"""The most operations of an order, without those on the whole order."""
MAX_BYTES: Final = 370_000
"""The most bytes of a record, when those of operations to come are counted: DynamoDB takes 400 KB.

The bound also keeps ten answers below SQS's 1 MiB for a batch. Larger ones could never be sent together, and
the sweep would stop at them each time.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""
_BYTES_PER_OPERATION: Final = 300
"""More than what an operation has beside its id and the text of its answer: names, its type, its time."""
_BYTES_PER_WHOLE: Final = 4_000
"""More than what an operation on the whole order has beside its items: the reason of a release."""
_BYTES_OF_REFUSAL: Final = 90_000
"""More than what a refused operation has that names as many SKUs as it may, all of them unknown."""
_WHOLE_OPERATIONS: Final = 3
"""So many operations on the whole order may still come: its expiry, its confirmation, its end."""


class Outcome(StrEnum):
    """The state of an order that is on record. One is `FULFILLED` if any unit was shipped."""

    RESERVED = "RESERVED"
    REJECTED = "REJECTED"
    RELEASED = "RELEASED"
    FULFILLED = "FULFILLED"


class AnswerType(StrEnum):
    """The types of the answers that the OMS receives."""

    RESERVED = "InventoryReserved"
    FAILED = "InventoryReservationFailed"
    CONFIRMED = "InventoryConfirmed"
    EXTENDED = "InventoryExtended"
    FULFILLED = "InventoryFulfilled"
    RELEASED = "InventoryReleased"
    CHANGE_REJECTED = "InventoryChangeRejected"


class Reference(NamedTuple):
    """Names an answer: `operation_id` is None for the answer to the reservation itself.

    With a `type`, the answer is on no record: the order took no more operations, and an operation of that
    type was refused for it.
    """

    order_id: str
    operation_id: str | None = None
    type: str | None = None

    def __str__(self) -> str:
        return "\n".join(part for part in self if part is not None)  # no id contains a line break

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The reference that `text` has."""
        order_id, *more = text.split("\n")
        return cls(order_id, *more[:2])


@dataclass(frozen=True, slots=True)
class Answer:
    """An event for the OMS; `body` is its JSON text, stored with the reservation and never made again."""

    reference: Reference
    type: AnswerType
    body: str

    @property
    def order_id(self) -> str:
        return self.reference.order_id


@dataclass(frozen=True, slots=True)
class Operation:
    """A change of an order on record, under an id of its own within the order, with its answer.

    `type` is the type of the message that asked for it, `at` is ISO 8601 in UTC, `event` is the body of the
    answer, None if it has none. `queued`: the answer is in the OMS queue, or an item of the outbox owes it.
    """

    id: str
    type: str
    at: str
    answer: AnswerType | None
    event: str | None
    queued: bool = True


@dataclass(frozen=True, slots=True)
class Reservation:
    """One order on record; times are ISO 8601 in UTC, `event` is the body of its first answer.

    items: the units that were asked for, by SKU.
    held: those that the order holds; they count as reserved stock. None: version 1.1 wrote the record, so
        the order holds its items if it is open, and they do not count as reserved stock yet. If a closed
        order has any, version 1.1 released it, and they count still.
    fulfilled: the units that were shipped.
    expired: the units that the end of its hold gave back; a late confirmation takes them again.
    expires_at: the end of the hold; None: the order is firm, or closed.
    due_at: when the sweep ends the hold, or closes the firm order; None: never.
    full_at: since when the order takes no more operations; see `has_room`.
    event_queued: says of the first answer what `Operation.queued` says of its own. A tombstone has none.
    change: the id of the commit that wrote the record last, None if an older version wrote it.
    """

    order_id: str
    outcome: Outcome
    created_at: str
    customer_id: str | None = None
    items: Mapping[str, int] = field(default_factory=dict)
    event: str | None = None
    event_queued: bool = True
    operations: tuple[Operation, ...] = ()
    change: str | None = None
    held: Mapping[str, int] | None = None
    fulfilled: Mapping[str, int] = field(default_factory=dict)
    expired: Mapping[str, int] = field(default_factory=dict)
    expires_at: str | None = None
    due_at: str | None = None
    full_at: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the order holds anything."""
        return self.outcome is Outcome.RESERVED

    @property
    def holding(self) -> Mapping[str, int]:
        """The units that the order holds, by SKU."""
        if not self.is_open:
            return {}
        return self.items if self.held is None else self.held

    @property
    def counted(self) -> Mapping[str, int]:
        """The units of the order that count as reserved stock, by SKU."""
        return self.held or {}

    @property
    def released(self) -> dict[str, int]:
        """The units that were taken and given back, by SKU."""
        if self.outcome is Outcome.REJECTED:
            return {}
        gone = {
            sku: n - self.holding.get(sku, 0) - self.fulfilled.get(sku, 0) for sku, n in self.items.items()
        }
        return {sku: units for sku, units in gone.items() if units}

    def operation(self, operation_id: str) -> Operation | None:
        """The operation with that id, if there was one."""
        return next((operation for operation in self.operations if operation.id == operation_id), None)

    def has_room(self) -> bool:
        """Whether the order takes one more operation that is not on the whole order."""
        if self.full_at is not None:
            return False
        if sum(is_countable(operation.id) for operation in self.operations) >= MAX_OPERATIONS:
            return False
        # The first answer lists all items, as the answer to an operation on the whole order may do. One on a
        # part lists what remains, too.
        first = len(self.event or "")
        whole = first + _BYTES_PER_WHOLE
        next_ = max(2 * whole, _BYTES_OF_REFUSAL)
        maps = 3 * sum(len(sku.encode()) + 30 for sku in self.items)
        operations = sum(
            len(operation.id.encode()) + len(operation.event or "") + _BYTES_PER_OPERATION
            for operation in self.operations
        )
        return maps + first + operations + next_ + _WHOLE_OPERATIONS * whole <= MAX_BYTES

    @property
    def answers(self) -> list[Answer]:
        """The answers on record, in order."""
        return [answer for answer, _ in self._answers()]

    @property
    def queued(self) -> list[Answer]:
        """The answers that are in the OMS queue, or that the outbox owes."""
        return [answer for answer, queued in self._answers() if queued]

    @property
    def unqueued(self) -> list[Answer]:
        """The answers that nothing will send to the OMS yet."""
        return [answer for answer, queued in self._answers() if not queued]

    def all_queued(self) -> Reservation:
        """The record once the outbox owes all of its answers."""
        operations = tuple(replace(operation, queued=True) for operation in self.operations)
        return replace(self, event_queued=True, operations=operations)

    def with_old_queued(self) -> Reservation:
        """The record once the outbox owes what version 1.1 still owed; as it is if this version wrote it."""
        return self.all_queued() if self.change is None else self

    def with_queued(self, operation_id: str | None) -> Reservation:
        """The record once the outbox owes the answer of that operation (None: the first answer)."""
        if operation_id is None:
            return replace(self, event_queued=True)
        operations = tuple(
            replace(operation, queued=True) if operation.id == operation_id else operation
            for operation in self.operations
        )
        return replace(self, operations=operations)

    def _answers(self) -> Iterator[tuple[Answer, bool]]:
        if self.event is not None:
            first = AnswerType.FAILED if self.outcome is Outcome.REJECTED else AnswerType.RESERVED
            yield Answer(Reference(self.order_id), first, self.event), self.event_queued
        for operation in self.operations:
            if operation.answer is not None and operation.event is not None:
                reference = Reference(self.order_id, operation.id)
                yield Answer(reference, operation.answer, operation.event), operation.queued


def adopted(record: Reservation, due_at: str | None) -> Reservation:
    """The record in today's form, if version 1.1 wrote or released it: what the migration makes of it.

    `due_at` is when an open one becomes due that was never to be.
    """
    after = record.with_old_queued()
    if record.is_open and record.held is None:
        return replace(after, held=record.items, due_at=due_at)
    if not record.is_open and (record.held or record.due_at):
        return replace(after, held={}, expires_at=None, due_at=None)
    return after


def moves(before: Reservation | None, after: Reservation) -> dict[str, tuple[int, int]]:
    """What a change of a record does to the stock: per SKU, the units added to `quantity` and to `reserved`.

    Negative units are taken away. Without a record, and on one that was rejected, nothing is taken.
    """
    taken, taken_before = _taken(after), _taken(before)
    counted, counted_before = after.counted, before.counted if before else {}
    found = {
        sku: (
            taken_before.get(sku, 0) - taken.get(sku, 0),
            counted.get(sku, 0) - counted_before.get(sku, 0),
        )
        for sku in dict.fromkeys((*taken, *taken_before, *counted, *counted_before))
    }
    return {sku: move for sku, move in found.items() if move != (0, 0)}


def _taken(record: Reservation | None) -> Mapping[str, int]:
    """The units that the order has taken out of what is available, and has not given back."""
    if record is None or record.outcome is Outcome.REJECTED:
        return {}
    if not record.fulfilled:
        return record.holding
    return {
        sku: record.holding.get(sku, 0) + record.fulfilled.get(sku, 0)
        for sku in dict.fromkeys((*record.holding, *record.fulfilled))
    }
