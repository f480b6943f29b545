from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.commands import AGED_ID, EXPIRED_ID, is_countable, is_ours
from chalicelib.domain.reservation import (
    MAX_OPERATIONS,
    Answer,
    AnswerType,
    Operation,
    Outcome,
    Reference,
    Reservation,
    adopted,
    moves,
)

NOW = "2026-06-01T12:00:00.000Z"
LATER = "2026-06-02T12:00:00.000Z"
RELEASE = "ReleaseInventory"


def reservation(outcome: Outcome = Outcome.RESERVED, event: str | None = None, **more: Any) -> Reservation:
    values: dict[str, Any] = {"held": {"A": 2} if outcome is Outcome.RESERVED else {}, "change": "c1"}
    return Reservation("order-1", outcome, NOW, "customer-1", {"A": 2}, event, **(values | more))


def operation(name: str, *, queued: bool = True) -> Operation:
    return Operation(name, RELEASE, NOW, AnswerType.RELEASED, "{}", queued)


class TestUnits:
    def test_only_an_open_order_holds_units(self) -> None:
        assert reservation().holding == {"A": 2}
        assert all(not reservation(outcome).holding for outcome in Outcome if outcome is not Outcome.RESERVED)

    def test_an_open_order_of_version_1_1_holds_its_items_which_do_not_count_as_reserved(self) -> None:
        old = reservation(held=None, change=None)
        assert old.holding == {"A": 2}
        assert old.counted == {}

    def test_what_version_1_1_released_counts_as_reserved_until_it_is_adopted(self) -> None:
        old = reservation(Outcome.RELEASED, held={"A": 2})
        assert old.holding == {}
        assert old.counted == {"A": 2}

    @pytest.mark.parametrize(
        ("record", "released"),
        [
            (reservation(), {}),
            (reservation(held={"A": 1}), {"A": 1}),
            (reservation(held={"A": 1}, fulfilled={"A": 1}), {}),
            (reservation(Outcome.RELEASED), {"A": 2}),
            (reservation(Outcome.FULFILLED, fulfilled={"A": 1}), {"A": 1}),
            (reservation(Outcome.REJECTED), {}),
        ],
    )
    def test_what_is_neither_held_nor_shipped_is_released(
        self, record: Reservation, released: dict[str, int]
    ) -> None:
        assert record.released == released


class TestMoves:
    """What is added to what is available of a SKU, and to what is reserved of it."""

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (None, reservation(), {"A": (-2, 2)}),
            (None, reservation(Outcome.REJECTED), {}),
            (None, Reservation("order-1", Outcome.RELEASED, NOW, held={}), {}),
            (reservation(), reservation(expires_at=LATER), {}),
            (reservation(), reservation(Outcome.RELEASED), {"A": (2, -2)}),
            (reservation(), reservation(held={"A": 1}), {"A": (1, -1)}),
            (reservation(), reservation(held={"A": 1}, fulfilled={"A": 1}), {"A": (0, -1)}),
            (reservation(), reservation(Outcome.FULFILLED, fulfilled={"A": 2}), {"A": (0, -2)}),
            (reservation(Outcome.RELEASED, expired={"A": 2}), reservation(), {"A": (-2, 2)}),
            (
                reservation(Outcome.FULFILLED, fulfilled={"A": 1}, expired={"A": 1}),
                reservation(held={"A": 1}, fulfilled={"A": 1}),
                {"A": (-1, 1)},
            ),
            (reservation(Outcome.REJECTED), reservation(Outcome.REJECTED, event="{}"), {}),
        ],
    )
    def test_what_moves_is_the_difference_of_two_records(
        self, before: Reservation | None, after: Reservation, expected: dict[str, tuple[int, int]]
    ) -> None:
        assert moves(before, after) == expected

    @pytest.mark.parametrize(
        ("after", "expected"),
        [
            (reservation(held=None, operations=(operation("x"),)), {}),
            (reservation(), {"A": (0, 2)}),
            (reservation(Outcome.RELEASED), {"A": (2, 0)}),
            (reservation(Outcome.FULFILLED, fulfilled={"A": 2}), {}),
            (reservation(held={"A": 1}), {"A": (1, 1)}),
        ],
    )
    def test_units_of_version_1_1_become_reserved_with_the_first_change_of_them(
        self, after: Reservation, expected: dict[str, tuple[int, int]]
    ) -> None:
        assert moves(reservation(held=None, change=None), after) == expected


class TestAdopted:
    def test_an_open_record_of_version_1_1_holds_its_items_from_then_on(self) -> None:
        old = reservation(held=None, change=None, event="{}", event_queued=False)
        new = adopted(old, LATER)
        assert new == replace(old, held={"A": 2}, event_queued=True, due_at=LATER)
        assert moves(old, new) == {"A": (0, 2)}

    def test_what_version_1_1_released_is_not_reserved_from_then_on(self) -> None:
        old = reservation(Outcome.RELEASED, held={"A": 2}, expires_at=LATER, due_at=LATER)
        new = adopted(old, None)
        assert new == replace(old, held={}, expires_at=None, due_at=None)
        assert moves(old, new) == {"A": (0, -2)}

    @pytest.mark.parametrize(
        "record",
        [
            reservation(),
            reservation(expires_at=LATER, due_at=LATER),
            reservation(Outcome.RELEASED),
            reservation(Outcome.REJECTED, event="{}", event_queued=False),
            reservation(Outcome.FULFILLED, fulfilled={"A": 2}),
        ],
    )
    def test_a_record_of_today_stays_as_it_is(self, record: Reservation) -> None:
        assert adopted(record, LATER) == record


class TestAnswers:
    @pytest.mark.parametrize(
        ("outcome", "first"),
        [
            (Outcome.RESERVED, AnswerType.RESERVED),
            (Outcome.REJECTED, AnswerType.FAILED),
            (Outcome.RELEASED, AnswerType.RESERVED),
            (Outcome.FULFILLED, AnswerType.RESERVED),
        ],
    )
    def test_the_first_answer_tells_what_became_of_the_reservation(
        self, outcome: Outcome, first: AnswerType
    ) -> None:
        assert reservation(outcome, event="{}").answers == [Answer(Reference("order-1"), first, "{}")]

    def test_the_answers_of_operations_follow_in_order(self) -> None:
        operations = (operation("R1"), operation(RELEASE))
        found = reservation(Outcome.RELEASED, event="{}", operations=operations)
        assert [answer.reference.operation_id for answer in found.answers] == [None, "R1", RELEASE]
        assert {answer.order_id for answer in found.answers} == {"order-1"}

    def test_a_tombstone_has_the_release_s_answer_only(self) -> None:
        found = reservation(Outcome.RELEASED, operations=(operation(RELEASE),))
        assert [answer.type for answer in found.answers] == [AnswerType.RELEASED]

    def test_an_operation_without_an_answer_adds_none(self) -> None:
        aged = Operation(AGED_ID, "FulfillInventory", NOW, None, None)
        assert reservation(Outcome.FULFILLED, operations=(aged,)).answers == []

    def test_an_answer_is_queued_or_not_and_all_are_in_the_end(self) -> None:
        operations = (operation("R1", queued=False), operation(RELEASE))
        found = reservation(Outcome.RELEASED, "{}", event_queued=False, operations=operations)
        assert [answer.reference.operation_id for answer in found.unqueued] == [None, "R1"]
        assert [answer.reference.operation_id for answer in found.queued] == [RELEASE]
        assert found.all_queued().unqueued == []
        assert found.all_queued().answers == found.answers

    @pytest.mark.parametrize(("queued", "left"), [(None, ["R1", "R2"]), ("R1", [None, "R2"])])
    def test_one_answer_can_be_queued_alone(self, queued: str | None, left: list[str | None]) -> None:
        operations = (operation("R1", queued=False), operation("R2", queued=False))
        found = reservation(event="{}", event_queued=False, operations=operations)
        assert [answer.reference.operation_id for answer in found.with_queued(queued).unqueued] == left

    def test_an_operation_is_found_by_its_id(self) -> None:
        found = reservation(operations=(operation("R1"), operation("R2")))
        assert found.operation("R2") == operation("R2")
        assert found.operation("R3") is None


class TestReference:
    @pytest.mark.parametrize(
        ("reference", "text"),
        [
            (Reference("o"), "o"),
            (Reference("o", "R1"), "o\nR1"),
            (Reference("o", "R1", RELEASE), f"o\nR1\n{RELEASE}"),
        ],
    )
    def test_a_reference_is_stored_as_a_text(self, reference: Reference, text: str) -> None:
        assert str(reference) == text
        assert Reference.parse(text) == reference

    def test_more_parts_of_a_later_version_are_ignored(self) -> None:
        assert Reference.parse("o\nR1\nx\ny") == Reference("o", "R1", "x")


class TestRoom:
    def test_an_order_takes_fifty_operations_that_are_not_on_the_whole_order(self) -> None:
        operations = tuple(operation(f"R{n}") for n in range(MAX_OPERATIONS - 1))
        whole = tuple(operation(name) for name in ("ConfirmInventory", EXPIRED_ID, RELEASE))
        assert reservation(operations=operations + whole).has_room()
        assert not reservation(operations=(*operations, operation("invalid#1"))).has_room()

    def test_an_order_that_was_full_once_stays_full(self) -> None:
        assert not reservation(full_at=NOW).has_room()

    def test_an_order_is_full_when_its_record_is_long(self) -> None:
        long = replace(operation("R1"), event="x" * 280_000)
        assert reservation(operations=(replace(long, event="x" * 200_000),)).has_room()
        assert not reservation(operations=(long,)).has_room()


@pytest.mark.parametrize(
    ("operation_id", "ours", "countable"),
    [
        (RELEASE, True, False),
        ("ConfirmInventory", True, False),
        (EXPIRED_ID, True, False),
        (AGED_ID, True, False),
        ("invalid#1", True, True),
        ("R1", False, True),
        ("ReserveInventory", False, True),
    ],
)
def test_ids_of_ours_are_known_and_those_on_whole_orders_do_not_count(
    operation_id: str, ours: bool, countable: bool
) -> None:
    assert (is_ours(operation_id), is_countable(operation_id)) == (ours, countable)
