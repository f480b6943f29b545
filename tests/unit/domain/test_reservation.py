from itertools import product

import pytest

from chalicelib.domain.reservation import (
    TRANSITIONS,
    Answer,
    AnswerType,
    Change,
    Outcome,
    Reservation,
    Transition,
    transition,
)

NOW = "2026-06-01T12:00:00.000Z"
ANSWERS = {outcome: Answer("order-1", kind, "{}") for kind, outcome in zip(AnswerType, Outcome, strict=True)}


def reservation(outcome: Outcome, **more: str | None) -> Reservation:
    return Reservation("order-1", outcome, NOW, "customer-1", {"A": 2}, **more)


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

    def test_each_type_of_answer_reports_one_outcome(self) -> None:
        for outcome, answer in ANSWERS.items():
            assert answer.outcome is outcome
        assert {t.answer: t.outcome for t in TRANSITIONS.values()} == {
            answer.type: outcome for outcome, answer in ANSWERS.items()
        }


def test_only_a_reserved_order_holds_units() -> None:
    assert reservation(Outcome.RESERVED).held == {"A": 2}
    assert not reservation(Outcome.REJECTED).held
    assert not reservation(Outcome.RELEASED).held


class TestOwed:
    @pytest.mark.parametrize("outcome", [Outcome.RESERVED, Outcome.REJECTED])
    def test_an_answer_that_is_not_marked_is_owed(self, outcome: Outcome) -> None:
        assert reservation(outcome, event="{}").owed == ANSWERS[outcome]

    @pytest.mark.parametrize("outcome", [Outcome.RESERVED, Outcome.REJECTED])
    def test_an_answer_that_is_marked_is_not_owed(self, outcome: Outcome) -> None:
        assert reservation(outcome, event="{}", published_at=NOW).owed is None

    @pytest.mark.parametrize("published_at", [None, NOW])
    def test_a_released_order_owes_its_release_s_answer_and_never_the_first(
        self, published_at: str | None
    ) -> None:
        released = reservation(
            Outcome.RELEASED, event='{"first": 1}', published_at=published_at, release_event="{}"
        )
        assert released.owed == ANSWERS[Outcome.RELEASED]

    def test_a_released_order_owes_nothing_once_its_release_s_answer_is_marked(self) -> None:
        released = reservation(Outcome.RELEASED, release_event="{}", release_published_at=NOW)
        assert released.owed is None
