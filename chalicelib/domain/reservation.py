"""The reservation of an order as a state machine, and its answers to the OMS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple


class Outcome(StrEnum):
    """The state of an order that is on record; None stands for an order without a record."""

    RESERVED = "RESERVED"
    REJECTED = "REJECTED"
    RELEASED = "RELEASED"


class Change(StrEnum):
    """What can happen to a reservation."""

    RESERVE = "RESERVE"
    REJECT = "REJECT"
    RELEASE = "RELEASE"


class AnswerType(StrEnum):
    """The types of the answers that the OMS receives."""

    RESERVED = "InventoryReserved"
    FAILED = "InventoryReservationFailed"
    RELEASED = "InventoryReleased"


class Transition(NamedTuple):
    """Where a change leads, and what the OMS is told of it."""

    outcome: Outcome
    answer: AnswerType


TRANSITIONS: Final[Mapping[tuple[Outcome | None, Change], Transition]] = {
    (None, Change.RESERVE): Transition(Outcome.RESERVED, AnswerType.RESERVED),
    (None, Change.REJECT): Transition(Outcome.REJECTED, AnswerType.FAILED),
    # A tombstone: the release overtook its reservation, which must take no stock when it arrives.
    (None, Change.RELEASE): Transition(Outcome.RELEASED, AnswerType.RELEASED),
    (Outcome.RESERVED, Change.RELEASE): Transition(Outcome.RELEASED, AnswerType.RELEASED),
}
"""Every change that is possible. Any other leaves the reservation as it is, and has no answer of its own."""

RELEASE: Final = "ReleaseInventory"
"""The id of the operation that releases a whole order: the type of its message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An event for the OMS; `body` is its JSON text, stored with the reservation and never made again.

    `operation_id` is None for the answer to the reservation itself.
    """

    order_id: str
    type: AnswerType
    body: str
    operation_id: str | None = None

    @property
    def reference(self) -> str:
        """What an outbox item says of this answer; no id contains a line break."""
        return self.order_id if self.operation_id is None else f"{self.order_id}\n{self.operation_id}"


def order_of(reference: str) -> str:
    """The id of the order whose answer `reference` names."""
    return reference.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Operation:
    """A change of an order on record, under an id of its own within the order, with its answer.

    `type` is the type of the message that asked for it, `at` is ISO 8601 in UTC, `event` is the body of the
    answer. `queued`: the answer is in the OMS queue, or an item of the outbox owes it.
    """

    id: str
    type: str
    at: str
    answer: AnswerType
    event: str
    queued: bool = True


@dataclass(frozen=True, slots=True)
class Reservation:
    """One order on record; times are ISO 8601 in UTC, `event` is the body of its first answer.

    A tombstone has no `event`. `event_queued` says of the first answer what `Operation.queued` says of its
    own. `change` is the id of the commit that wrote the record last, None if an older version wrote it.
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

    @property
    def held(self) -> Mapping[str, int]:
        """The units that the order holds, by SKU."""
        return self.items if self.outcome is Outcome.RESERVED else {}

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

    def _answers(self) -> Iterator[tuple[Answer, bool]]:
        if self.event is not None:
            first = AnswerType.FAILED if self.outcome is Outcome.REJECTED else AnswerType.RESERVED
            yield Answer(self.order_id, first, self.event), self.event_queued
        for operation in self.operations:
            answer = Answer(self.order_id, operation.answer, operation.event, operation.id)
            yield answer, operation.queued


def transition(reservation: Reservation | None, change: Change) -> Transition | None:
    """Where `change` leads from the state of `reservation` (None: no record); None if it changes nothing."""
    return TRANSITIONS.get((reservation.outcome if reservation else None, change))
