"""The reservation of an order as a state machine, and the answers that it owes to the OMS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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

_OUTCOMES: Final = {transition.answer: transition.outcome for transition in TRANSITIONS.values()}
_ANSWERS: Final = {outcome: answer for answer, outcome in _OUTCOMES.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """An event for the OMS; `body` is its JSON text, stored with the reservation and never made again."""

    order_id: str
    type: AnswerType
    body: str

    @property
    def outcome(self) -> Outcome:
        """The outcome that this answer tells of."""
        return _OUTCOMES[self.type]


@dataclass(frozen=True, slots=True)
class Reservation:
    """One order on record; times are ISO 8601 in UTC, `event` and `release_event` are bodies of answers.

    `published_at` and `release_published_at` are None until that answer is in the OMS queue.
    A tombstone has no `event`.
    """

    order_id: str
    outcome: Outcome
    created_at: str
    customer_id: str | None = None
    items: Mapping[str, int] = field(default_factory=dict)
    event: str | None = None
    published_at: str | None = None
    release_event: str | None = None
    release_published_at: str | None = None

    @property
    def held(self) -> Mapping[str, int]:
        """The units that the order holds, by SKU."""
        return self.items if self.outcome is Outcome.RESERVED else {}

    @property
    def owed(self) -> Answer | None:
        """The answer that is not marked as published, if there is one.

        A released order owes at most its release's answer: the first one is sent before the release.
        """
        if self.outcome is Outcome.RELEASED:
            body, published_at = self.release_event, self.release_published_at
        else:
            body, published_at = self.event, self.published_at
        if body is None or published_at is not None:
            return None
        return Answer(self.order_id, _ANSWERS[self.outcome], body)


def transition(reservation: Reservation | None, change: Change) -> Transition | None:
    """Where `change` leads from the state of `reservation` (None: no record); None if it changes nothing."""
    return TRANSITIONS.get((reservation.outcome if reservation else None, change))
