from dataclasses import replace
from itertools import product

import pytest

from chalicelib.domain.reservation import (
    RELEASE,
    TRANSITIONS,
    Answer,
    AnswerType,
    Change,
    Operation,
    Outcome,
    Reservation,
    Transition,
    order_of,
    transition,
)

NOW = "2026-06-01T12:00:00.000Z"


def reservation(outcome: Outcome, event: str | None = None) -> Reservation:
    return Reservation("order-1", outcome, NOW, "customer-1", {"A": 2}, event)


def operation(name: str, *, queued: bool = True) -> Operation:
    return Operation(name, RELEASE, NOW, AnswerType.RELEASED, "{}", queued)


class TestTransitions:
    @pytest.mark.parametrize(
        ("outcome", "change", "expected"),
        [
            (None, Change.RESERVE, Transition(Outcome.RESERVED, AnswerType.RESERVED)),
            (None, Change.REJECT, Transition(Outcome.REJECTED, AnswerType.FAILED)),
            (None, Change.RELEASE, Transition(Outcome.RELEASED, AnswerType.RELEASED)),
            (Outcome.RESERVED, Change.RELEASE, Transition(Outcome.RELEASED, AnswerType.RELEASED)),
        ],
    )
    def test_a_change_that_is_possible_leads_to_one_outcome_and_has_one_answer(
        self, outcome: Outcome | None, change: Change, expected: Transition
    ) -> None:
        assert transition(reservation(outcome) if outcome else None, change) == expected

    def test_every_other_change_leaves_the_reservation_as_it_is(self) -> None:
        for outcome, change in set(product((None, *Outcome), Change)) - TRANSITIONS.keys():
            assert transition(reservation(outcome) if outcome else None, change) is None


def test_only_a_reserved_order_holds_units() -> None:
    assert reservation(Outcome.RESERVED).held == {"A": 2}
    assert not reservation(Outcome.REJECTED).held
    assert not reservation(Outcome.RELEASED).held


class TestAnswers:
    @pytest.mark.parametrize(
        ("outcome", "first"),
        [
            (Outcome.RESERVED, AnswerType.RESERVED),
            (Outcome.REJECTED, AnswerType.FAILED),
            (Outcome.RELEASED, AnswerType.RESERVED),
        ],
    )
    def test_the_first_answer_tells_what_became_of_the_reservation(
        self, outcome: Outcome, first: AnswerType
    ) -> None:
        assert reservation(outcome, event="{}").answers == [Answer("order-1", first, "{}")]

    def test_the_answers_of_operations_follow_in_order(self) -> None:
        operations = (operation("R1"), operation(RELEASE))
        found = replace(reservation(Outcome.RELEASED, event="{}"), operations=operations)
        assert [answer.reference for answer in found.answers] == [
            "order-1",
            "order-1\nR1",
            f"order-1\n{RELEASE}",
        ]

    def test_a_tombstone_has_the_release_s_answer_only(self) -> None:
        found = replace(reservation(Outcome.RELEASED), operations=(operation(RELEASE),))
        assert [answer.type for answer in found.answers] == [AnswerType.RELEASED]

    def test_an_answer_is_queued_or_not_and_all_are_in_the_end(self) -> None:
        operations = (operation("R1", queued=False), operation(RELEASE))
        found = replace(reservation(Outcome.RELEASED, event="{}"), event_queued=False, operations=operations)
        assert [answer.operation_id for answer in found.unqueued] == [None, "R1"]
        assert [answer.operation_id for answer in found.queued] == [RELEASE]
        assert found.all_queued().unqueued == []
        assert found.all_queued().answers == found.answers

    def test_a_reference_names_its_order(self) -> None:
        for answer in replace(
            reservation(Outcome.RELEASED, event="{}"), operations=(operation("R1"),)
        ).answers:
            assert order_of(answer.reference) == "order-1"
