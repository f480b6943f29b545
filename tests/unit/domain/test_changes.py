"""What a command does to a record, and what the commands of a group do to the stock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from chalicelib.domain.changes import OrderChanges, plan_changes
from chalicelib.domain.commands import AGED_ID, EXPIRED_ID, ChangeOrder, ChangeType, due_change
from chalicelib.domain.planner import Failure, Shortage, Snapshot, pack, plan
from chalicelib.domain.reservation import (
    MAX_OPERATIONS,
    Answer,
    AnswerType,
    Operation,
    Outcome,
    Reference,
    Reservation,
    moves,
)
from chalicelib.domain.rulings import (
    GRACE,
    LateConfirmation,
    Line,
    Refusal,
    Rules,
    Ruling,
    Verdict,
    answer_to,
    confirmed_late,
    recorded,
    rule,
)
from chalicelib.domain.timestamps import later
from chalicelib.domain.writes import MoveStock, ProveAbsent, RecordReservation, Write
from chalicelib.errors import FieldError
from tests.unit.domain.model_store import NOW, ModelStore

SOON = "2026-06-01T13:00:00.000Z"
LATER = "2026-06-02T13:00:00.000Z"
ENDED = "2026-06-01T11:59:55.000Z"
"""The end of a hold that may be released at `NOW`, and not before."""


def answer(ruling: Ruling, now: str) -> Answer:
    kind = AnswerType.CHANGE_REJECTED if ruling.refusal else AnswerType.RELEASED
    return Answer(Reference(ruling.command.order_id, ruling.operation_id), kind, f"{ruling.refusal} {now}")


RULES = Rules(NOW, answer)
AGING = replace(RULES, aging=timedelta(hours=1))


def record(**changes: Any) -> Reservation:
    items = {"A": 3, "B": 1}
    base = Reservation("o", Outcome.RESERVED, NOW, "c", items, event="{}", change="c1", held=items)
    return replace(base, **changes)


def change(kind: ChangeType, operation_id: str | None = None, **fields: Any) -> ChangeOrder:
    return ChangeOrder("o", kind, operation_id or kind.value, **fields)


CONFIRM = change(ChangeType.CONFIRM)
EXTEND = change(ChangeType.EXTEND, "E1", expires_at=LATER)
FULFILL = change(ChangeType.FULFILL)
PART = change(ChangeType.FULFILL, "F1", items={"A": 1})
RELEASE = change(ChangeType.RELEASE)
BACK = change(ChangeType.RELEASE, "R1", items={"A": 1})
INVALID = change(ChangeType.FULFILL, "F9", errors=(FieldError("items", "is bad"),))
DUE = due_change("o")
ALL = {
    "confirm": CONFIRM,
    "extend": EXTEND,
    "fulfill": FULFILL,
    "part": PART,
    "release": RELEASE,
    "back": BACK,
    "invalid": INVALID,
    "due": DUE,
}

CLOSED: dict[str, Any] = {"held": {}, "expires_at": None, "due_at": None}
EXPIRED = record(outcome=Outcome.RELEASED, **CLOSED, expired={"A": 3, "B": 1})
STATES: dict[str, Reservation | None] = {
    "unknown": None,
    "hold": record(expires_at=SOON, due_at=SOON),
    "ended hold": record(expires_at=ENDED, due_at=ENDED),
    "firm": record(),
    "aged": record(due_at=ENDED),
    "partly shipped": record(held={"A": 2, "B": 1}, fulfilled={"A": 1}),
    "fulfilled": record(outcome=Outcome.FULFILLED, **CLOSED, fulfilled={"A": 3, "B": 1}),
    "released": record(outcome=Outcome.RELEASED, **CLOSED),
    "expired": EXPIRED,
    "expired after a part": record(
        outcome=Outcome.FULFILLED, **CLOSED, fulfilled={"A": 2}, expired={"A": 1, "B": 1}
    ),
    "cancelled after it had expired": replace(EXPIRED, expired={}),
    "rejected": record(outcome=Outcome.REJECTED, **CLOSED),
    "tombstone": Reservation("o", Outcome.RELEASED, NOW, held={}, change="c1"),
    "1.1 reserved": record(held=None, change=None),
    "1.1 released": record(outcome=Outcome.RELEASED, held=None, change=None),
    "released by 1.1": record(outcome=Outcome.RELEASED),
}
R, U, P, L = Refusal, Verdict.UNKNOWN, Verdict.POINTLESS, Verdict.LATE
DONE = None
N, X = R.NOT_RESERVED, R.EXPIRED
# fmt: off
TABLE: dict[str, tuple[Refusal | Verdict | None, ...]] = {
    # state:                         confirm, extend, fulfill, part, release, back, invalid, due
    "unknown":                        (U,     U,      U,       U,    DONE,    U,    U,       P),
    "hold":                           (DONE,  DONE,   DONE,    DONE, DONE,    DONE, R.INVALID_REQUEST, P),
    "ended hold":                     (DONE,  DONE,   DONE,    DONE, DONE,    DONE, R.INVALID_REQUEST, DONE),
    "firm":                           (DONE,  R.NOT_A_HOLD, DONE, DONE, DONE, DONE, R.INVALID_REQUEST, P),
    "aged":                           (DONE,  R.NOT_A_HOLD, DONE, DONE, DONE, DONE, R.INVALID_REQUEST, DONE),
    "partly shipped":                 (DONE,  R.NOT_A_HOLD, DONE, DONE, DONE, DONE, R.INVALID_REQUEST, P),
    "fulfilled":                      (N,     N,      N,       N,    N,       N,    R.INVALID_REQUEST, P),
    "released":                       (N,     N,      N,       N,    N,       N,    R.INVALID_REQUEST, P),
    "expired":                        (L,     X,      X,       X,    X,       X,    R.INVALID_REQUEST, P),
    "expired after a part":           (L,     X,      X,       X,    X,       X,    R.INVALID_REQUEST, P),
    "cancelled after it had expired": (N,     N,      N,       N,    N,       N,    R.INVALID_REQUEST, P),
    "rejected":                       (N,     N,      N,       N,    P,       N,    R.INVALID_REQUEST, P),
    "tombstone":                      (N,     N,      N,       N,    N,       N,    R.INVALID_REQUEST, P),
    "1.1 reserved":                   (DONE,  R.NOT_A_HOLD, DONE, DONE, DONE, DONE, R.INVALID_REQUEST, P),
    "1.1 released":                   (N,     N,      N,       N,    N,       N,    R.INVALID_REQUEST, P),
    "released by 1.1":                (N,     N,      N,       N,    N,       N,    R.INVALID_REQUEST, P),
}
# fmt: on
CASES = [
    pytest.param(state, command, expected, id=f"{state}-{command}")
    for state, row in TABLE.items()
    for command, expected in zip(ALL, row, strict=True)
]


class TestRule:
    @pytest.mark.parametrize(("state", "command", "expected"), CASES)
    def test_each_command_in_each_state(
        self, state: str, command: str, expected: Refusal | Verdict | None
    ) -> None:
        ruled = rule(STATES[state], ALL[command], RULES)
        assert (ruled.refusal if isinstance(ruled, Ruling) else ruled) == expected

    @pytest.mark.parametrize(("state", "command", "expected"), CASES)
    def test_a_refused_command_changes_nothing_but_that_a_cancelled_order_is_not_taken_again(
        self, state: str, command: str, expected: Refusal | Verdict | None
    ) -> None:
        ruled = rule(STATES[state], ALL[command], RULES)
        if isinstance(ruled, Ruling) and ruled.refusal:
            before = STATES[state]
            assert before is not None
            forgotten = before.expired and command == "release"
            assert ruled.after == (replace(before, expired={}) if forgotten else before)

    @pytest.mark.parametrize(("state", "command", "expected"), CASES)
    def test_the_same_operation_is_settled_once(
        self, state: str, command: str, expected: Refusal | Verdict | None
    ) -> None:
        ruled = rule(STATES[state], ALL[command], RULES)
        if isinstance(ruled, Ruling):
            after, _ = recorded(ruled, RULES)
            again = Verdict.POINTLESS if ALL[command].due else Verdict.REPEATED
            assert rule(after, ALL[command], RULES) is again

    @pytest.mark.parametrize(
        ("command", "outcome", "held", "fulfilled"),
        [
            (CONFIRM, Outcome.RESERVED, {"A": 2, "B": 1}, {"A": 1}),
            (FULFILL, Outcome.FULFILLED, {}, {"A": 3, "B": 1}),
            (PART, Outcome.RESERVED, {"A": 1, "B": 1}, {"A": 2}),
            (replace(PART, items={"A": 2, "B": 1}), Outcome.FULFILLED, {}, {"A": 3, "B": 1}),
            (RELEASE, Outcome.FULFILLED, {}, {"A": 1}),
            (BACK, Outcome.RESERVED, {"A": 1, "B": 1}, {"A": 1}),
            (replace(BACK, items={"A": 2, "B": 1}), Outcome.FULFILLED, {}, {"A": 1}),
            (replace(BACK, items={"A": 2}), Outcome.RESERVED, {"B": 1}, {"A": 1}),
        ],
    )
    def test_an_order_is_fulfilled_at_its_end_if_any_unit_was_shipped(
        self, command: ChangeOrder, outcome: Outcome, held: dict[str, int], fulfilled: dict[str, int]
    ) -> None:
        ruled = rule(STATES["partly shipped"], command, RULES)
        assert isinstance(ruled, Ruling)
        assert (ruled.after.outcome, ruled.after.held, ruled.after.fulfilled) == (outcome, held, fulfilled)

    def test_more_than_is_held_is_refused_with_the_lines_at_fault(self) -> None:
        for kind in (PART, BACK):
            ruled = rule(STATES["partly shipped"], replace(kind, items={"A": 3, "B": 1, "X": 1}), RULES)
            assert isinstance(ruled, Ruling)
            assert ruled.refusal is Refusal.MORE_THAN_HELD
            assert ruled.lines == (Line("A", 3, 2), Line("X", 1, 0))

    @pytest.mark.parametrize("state", ["hold", "ended hold"])
    def test_a_confirmed_hold_has_no_end(self, state: str) -> None:
        for rules, due_at in ((RULES, None), (AGING, "2026-06-01T13:00:00.000Z")):
            ruled = rule(STATES[state], CONFIRM, rules)
            assert isinstance(ruled, Ruling)
            assert (ruled.after.expires_at, ruled.after.due_at) == (None, due_at)
            assert ruled.items == {"A": 3, "B": 1}

    def test_a_firm_order_that_is_confirmed_does_not_get_younger(self) -> None:
        old = record(due_at=SOON)
        ruled = rule(old, CONFIRM, AGING)
        assert isinstance(ruled, Ruling)
        assert ruled.after == old

    @pytest.mark.parametrize("end", [SOON, LATER, "2026-06-01T12:30:00.000Z", "2026-05-01T00:00:00.000Z"])
    def test_an_extended_hold_is_due_at_its_new_end(self, end: str) -> None:
        ruled = rule(STATES["hold"], replace(EXTEND, expires_at=end), AGING)
        assert isinstance(ruled, Ruling)
        assert (ruled.after.expires_at, ruled.after.due_at) == (end, end)

    @pytest.mark.parametrize("command", [FULFILL, RELEASE])
    def test_a_closed_order_is_never_due(self, command: ChangeOrder) -> None:
        for state in ("hold", "aged"):
            ruled = rule(STATES[state], command, AGING)
            assert isinstance(ruled, Ruling)
            assert (ruled.after.expires_at, ruled.after.due_at) == (None, None)

    def test_a_part_of_a_hold_keeps_its_end(self) -> None:
        for command in (PART, BACK):
            ruled = rule(STATES["hold"], command, AGING)
            assert isinstance(ruled, Ruling)
            assert (ruled.after.expires_at, ruled.after.due_at) == (SOON, SOON)


class TestDue:
    @pytest.mark.parametrize("early", [timedelta(milliseconds=1), GRACE, timedelta(days=1)])
    def test_nothing_ends_before_its_time(self, early: timedelta) -> None:
        rules = replace(RULES, now=later(NOW, -early))
        for state in ("ended hold", "aged"):
            assert rule(STATES[state], DUE, rules) is Verdict.POINTLESS

    def test_a_hold_that_ends_gives_back_all_and_remembers_it(self) -> None:
        ruled = rule(STATES["ended hold"], DUE, RULES)
        assert isinstance(ruled, Ruling)
        assert ruled.after == replace(EXPIRED, operations=())
        assert (ruled.operation_id, ruled.expired_at, ruled.silent) == (EXPIRED_ID, ENDED, False)
        assert ruled.items == {"A": 3, "B": 1}

    def test_a_hold_that_ends_after_a_shipment_is_fulfilled(self) -> None:
        hold = record(held={"A": 1, "B": 1}, fulfilled={"A": 2}, expires_at=ENDED, due_at=ENDED)
        ruled = rule(hold, DUE, RULES)
        assert isinstance(ruled, Ruling)
        assert ruled.after == STATES["expired after a part"]

    def test_a_firm_order_that_is_old_enough_is_closed_as_shipped_without_an_answer(self) -> None:
        ruled = rule(STATES["aged"], DUE, RULES)
        assert isinstance(ruled, Ruling)
        assert ruled.after == STATES["fulfilled"]
        after, _ = recorded(ruled, RULES)
        assert after.operations == (Operation(AGED_ID, "FulfillInventory", NOW, None, None),)

    @pytest.mark.parametrize("command", [CONFIRM, EXTEND])
    def test_a_confirmation_or_an_extension_that_comes_first_wins(self, command: ChangeOrder) -> None:
        ruled = rule(STATES["ended hold"], command, RULES)
        assert isinstance(ruled, Ruling)
        assert rule(ruled.after, DUE, RULES) is Verdict.POINTLESS

    def test_what_is_gone_is_missing(self) -> None:
        ruled = rule(STATES["ended hold"], DUE, RULES, {"A"})
        assert isinstance(ruled, Ruling)
        assert (ruled.items, ruled.missing) == ({"B": 1}, ("A",))


class TestLateConfirmation:
    @pytest.mark.parametrize("state", ["expired", "expired after a part"])
    def test_the_units_are_taken_again_and_the_order_is_firm(self, state: str) -> None:
        found = STATES[state]
        assert found is not None
        ruled = confirmed_late(found, CONFIRM, (), AGING)
        assert ruled.again
        assert ruled.items == found.expired
        assert ruled.after.outcome is Outcome.RESERVED
        assert (ruled.after.held, ruled.after.fulfilled) == (found.expired, found.fulfilled)
        assert (ruled.after.expired, ruled.after.expires_at) == ({}, None)
        assert ruled.after.due_at == later(NOW, timedelta(hours=1))
        assert moves(found, ruled.after) == {sku: (-n, n) for sku, n in found.expired.items()}

    def test_without_enough_stock_it_is_refused_for_good(self) -> None:
        short = (Shortage("A", 3, 1), Shortage("B", 1, None))
        ruled = confirmed_late(EXPIRED, CONFIRM, short, RULES)
        assert (ruled.refusal, ruled.shortages) == (Refusal.EXPIRED, short)
        after, _ = recorded(ruled, RULES)
        assert after == replace(EXPIRED, operations=after.operations)
        assert rule(after, CONFIRM, RULES) is Verdict.REPEATED

    def test_it_asks_for_what_the_end_of_the_hold_gave_back(self) -> None:
        late = LateConfirmation(CONFIRM, EXPIRED)
        assert (late.order_id, late.items, list(late.skus)) == ("o", {"A": 3, "B": 1}, ["A", "B"])


def full(count: int = MAX_OPERATIONS, **changes: Any) -> Reservation:
    operations = [
        Operation(f"x{n}", "ReleaseInventory", NOW, AnswerType.RELEASED, "{}") for n in range(count)
    ]
    return record(operations=tuple(operations), **changes)


class TestTooManyOperations:
    @pytest.mark.parametrize("command", [EXTEND, PART, BACK, INVALID], ids=lambda command: command.type.value)
    def test_the_operation_that_is_too_many_is_refused_and_on_no_record(self, command: ChangeOrder) -> None:
        ruled = rule(full(), command, RULES)
        assert isinstance(ruled, Ruling)
        assert ruled.refusal is Refusal.TOO_MANY_OPERATIONS
        after, beyond = recorded(ruled, RULES)
        assert after == full(full_at=NOW)
        assert beyond is not None

    def test_it_has_the_same_answer_each_time(self) -> None:
        ruled = rule(full(full_at="then"), PART, RULES)
        assert isinstance(ruled, Ruling)
        after, beyond = recorded(ruled, RULES)
        assert after == full(full_at="then")
        assert beyond == answer(ruled, "then")

    @pytest.mark.parametrize("command", [CONFIRM, FULFILL, RELEASE, DUE])
    def test_what_is_done_to_the_whole_order_is_always_possible(self, command: ChangeOrder) -> None:
        ruled = rule(full(expires_at=ENDED, due_at=ENDED, full_at="then"), command, RULES)
        assert isinstance(ruled, Ruling)
        assert ruled.refusal is None

    def test_an_operation_that_was_settled_before_is_repeated_not_refused(self) -> None:
        assert rule(full(), replace(PART, operation_id="x7"), RULES) is Verdict.REPEATED


class TestAnswerTo:
    def test_an_answer_on_record_is_found(self) -> None:
        found = replace(full(1), event="{}")
        for known in found.answers:
            assert answer_to(found, known.reference, answer) == known

    def test_an_answer_on_no_record_is_made_again(self) -> None:
        found = full(full_at="then")
        made = answer_to(found, Reference("o", "F1", "FulfillInventory"), answer)
        assert made == Answer(Reference("o", "F1"), AnswerType.CHANGE_REJECTED, "TOO_MANY_OPERATIONS then")

    @pytest.mark.parametrize(
        ("found", "reference"),
        [
            (full(), Reference("o", "F1")),
            (full(), Reference("o", "F1", "FulfillInventory")),
            (full(full_at="then"), Reference("o", "F1", "UnknownType")),
            (full(full_at="then"), Reference("o", None, "FulfillInventory")),
            (record(event=None), Reference("o")),
        ],
    )
    def test_another_one_is_lost(self, found: Reservation, reference: Reference) -> None:
        assert answer_to(found, reference, answer) is None


def planned(
    found: Reservation | None, *commands: ChangeOrder, missing: Sequence[str] = (), rules: Rules = RULES
) -> Any:
    decided = plan_changes([OrderChanges("o", commands, found)], set(missing), rules, "c2")
    (changed,) = decided.orders
    return changed, decided.writes


class TestPlan:
    def test_nothing_to_change_makes_no_transaction(self) -> None:
        assert plan_changes([], set(), RULES, "c2").writes == ()

    def test_what_orders_move_of_one_sku_is_one_write(self) -> None:
        orders = [
            OrderChanges("a", [replace(RELEASE, order_id="a")], record(order_id="a")),
            OrderChanges("b", [replace(PART, order_id="b")], record(order_id="b")),
        ]
        decided = plan_changes(orders, set(), RULES, "c2")
        assert decided.writes == (MoveStock("A", 3, -4), MoveStock("B", 1, -1))

    def test_moves_that_cancel_out_are_no_write(self) -> None:
        orders = [
            OrderChanges("a", [replace(CONFIRM, order_id="a")], record(order_id="a")),
            OrderChanges("b", [], record(order_id="b")),
        ]
        assert plan_changes(orders, set(), RULES, "c2").writes == ()

    def test_two_changes_of_an_order_are_one_write(self) -> None:
        changed, writes = planned(STATES["hold"], CONFIRM, PART, BACK)
        assert [operation.id for operation in changed.write.reservation.operations] == [
            "ConfirmInventory",
            "F1",
            "R1",
        ]
        assert changed.write.seen == STATES["hold"]
        assert changed.write.reservation.change == "c2"
        assert changed.write.reservation.held == {"A": 1, "B": 1}
        assert writes == (MoveStock("A", 1, -2),)

    def test_a_sku_that_is_gone_is_proved_absent_and_reported(self) -> None:
        changed, writes = planned(record(), RELEASE, missing=["B", "Y"])
        assert writes == (MoveStock("A", 3, -3), ProveAbsent("B"))
        (ruling,) = changed.rulings
        assert (ruling.items, ruling.missing) == ({"A": 3}, ("B",))

    def test_what_version_1_1_reserved_of_a_sku_that_is_gone_is_written_off(self) -> None:
        old = record(held=None, change=None)
        changed, writes = planned(old, PART, missing=["B"])
        assert writes == (MoveStock("A", 0, 2), ProveAbsent("B"))
        assert changed.write.reservation.held == {"A": 2}

    def test_an_unknown_order_is_left_to_come_again_unless_it_is_cancelled(self) -> None:
        changed, writes = planned(None, CONFIRM, PART)
        assert (changed.write, changed.unknown, writes) == (None, (CONFIRM, PART), ())
        changed, writes = planned(None, CONFIRM, RELEASE, PART)
        assert changed.unknown == (CONFIRM,)
        assert changed.write.seen is None
        assert [ruling.refusal for ruling in changed.rulings] == [None, Refusal.NOT_RESERVED]
        assert writes == ()

    def test_what_follows_a_late_confirmation_waits_for_it(self) -> None:
        changed, writes = planned(EXPIRED, PART, CONFIRM, FULFILL, BACK)
        assert [ruling.refusal for ruling in changed.rulings] == [Refusal.EXPIRED]
        assert list(changed.waiting) == [FULFILL, BACK]
        assert changed.late == LateConfirmation(CONFIRM, changed.write.reservation)
        assert writes == ()

    def test_a_cancelled_order_is_not_taken_again(self) -> None:
        changed, _ = planned(EXPIRED, RELEASE, CONFIRM)
        assert changed.late is None
        assert [ruling.refusal for ruling in changed.rulings] == [Refusal.EXPIRED, Refusal.NOT_RESERVED]

    def test_a_repeat_writes_nothing(self) -> None:
        changed, _ = planned(record(), PART)
        again, writes = planned(changed.write.reservation, PART)
        assert (again.write, again.rulings, again.repeated, writes) == (None, (), True, ())

    def test_a_repeat_queues_the_answer_that_was_a_response_and_no_other(self) -> None:
        responses = replace(RULES, queue=False)
        changed, _ = planned(record(event_queued=False), PART, BACK, rules=responses)
        known = changed.write.reservation
        assert len(known.unqueued) == 3
        again, writes = planned(known, PART)
        assert [answer.reference for answer in again.write.newly_queued] == [Reference("o", "F1")]
        assert writes == ()
        silent, _ = planned(known, PART, rules=responses)
        assert silent.write is None

    def test_any_message_queues_all_that_version_1_1_owes(self) -> None:
        old = record(held=None, change=None, event_queued=False)
        changed, _ = planned(old, PART)
        assert [answer.reference.operation_id for answer in changed.write.newly_queued] == [None, "F1"]
        done = replace(changed.write.reservation, change="c2")
        assert done.unqueued == []

    def test_the_answer_of_one_operation_too_many_is_beyond_the_record(self) -> None:
        changed, _ = planned(full(), PART, BACK)
        assert changed.write.reservation == full(full_at=NOW, change="c2")
        assert len(changed.beyond) == 2
        again, _ = planned(full(full_at=NOW), PART)
        assert (again.write, len(again.beyond)) == (None, 1)
        response, _ = planned(full(full_at=NOW), PART, rules=replace(RULES, queue=False))
        assert response.beyond == ()

    @pytest.mark.parametrize("state", ["1.1 reserved", "firm"])
    def test_the_skus_that_may_move_are_known_before(self, state: str) -> None:
        for commands in ([PART], [BACK], [RELEASE], [FULFILL], [CONFIRM], [PART, BACK], [PART, RELEASE]):
            order = OrderChanges("o", commands, STATES[state])
            moved = {write.sku for write in plan_changes([order], set(), RULES, "c2").writes}
            assert moved <= set(order.skus)
        assert list(OrderChanges("o", [RELEASE], None).skus) == []


SKUS = [f"S{n}" for n in range(4)]
ITEMS = st.dictionaries(st.sampled_from(SKUS), st.integers(1, 5), min_size=1, max_size=3)
TIMES = st.integers(-60, 60).map(lambda minutes: later(NOW, timedelta(minutes=minutes)))


@st.composite
def commands(draw: st.DrawFn) -> ChangeOrder:
    kind = draw(st.sampled_from(ChangeType))
    name = f"x{draw(st.integers(0, 5))}"
    if kind is ChangeType.CONFIRM:
        return change(kind)
    if kind is ChangeType.EXTEND:
        return change(kind, name, expires_at=draw(TIMES))
    if draw(st.booleans()):
        return change(kind, name, items=draw(ITEMS))
    return change(kind, draw(st.sampled_from([None, name])))


def checked(found: Reservation) -> Reservation:
    """The record, once it is checked that nothing was lost or made."""
    assert found.items.keys() >= found.holding.keys() | found.fulfilled.keys()
    for sku, units in found.items.items():
        parts = (found.holding.get(sku, 0), found.fulfilled.get(sku, 0), found.released.get(sku, 0))
        assert min(parts) >= 0
        assert sum(parts) == (0 if found.outcome is Outcome.REJECTED else units)
    ids = [operation.id for operation in found.operations]
    assert len(set(ids)) == len(ids)
    assert found.is_open is bool(found.holding)
    assert (found.outcome is Outcome.FULFILLED) is (not found.is_open and bool(found.fulfilled))
    assert found.due_at is None or found.is_open
    assert found.expires_at is None or found.due_at == found.expires_at
    assert not (found.expired and found.is_open)
    return found


class TestAnyHistory:
    @settings(max_examples=300)
    @given(
        ITEMS,
        st.none() | TIMES,
        st.booleans(),
        st.lists(commands() | st.just(DUE) | st.just("enough") | st.just("too little"), max_size=15),
        st.booleans(),
    )
    def test_units_are_kept_through_any_commands(
        self, items: dict[str, int], end: str | None, old: bool, history: list[Any], aging: bool
    ) -> None:
        found = Reservation(
            "o", Outcome.RESERVED, NOW, "c", items, held=items, expires_at=end, due_at=end, change="c1"
        )
        if old:
            found = replace(found, held=None, expires_at=None, due_at=None, change=None)
        rules = AGING if aging else RULES
        stock = Counter({sku: 10 - items.get(sku, 0) for sku in SKUS})
        reserved = Counter(found.counted)
        enough = True
        for number, command in enumerate(history):
            if isinstance(command, str):
                enough = command == "enough"
                continue
            rules = replace(rules, now=later(NOW, timedelta(minutes=10 * number)))
            ruled = rule(found, command, rules)
            if ruled is Verdict.LATE:
                event("late")
                short = () if enough else (Shortage(next(iter(found.expired)), 1, 0),)
                ruled = confirmed_late(found, command, short, rules)
            if not isinstance(ruled, Ruling):
                continue
            after, _ = recorded(ruled, rules)
            for sku, (units, counted) in moves(found, after).items():
                stock[sku] += units
                reserved[sku] += counted
                assert reserved[sku] >= 0
            found = checked(after)
        assert {sku: units for sku, units in reserved.items() if units} == dict(found.counted)
        taken = {sku: 10 - units for sku, units in stock.items() if units != 10}
        assert taken == dict(Counter(found.holding) + Counter(found.fulfilled))

    @given(
        st.lists(st.tuples(ITEMS, st.lists(commands(), min_size=1, max_size=3)), min_size=1, max_size=6),
        st.sets(st.sampled_from(SKUS)),
        st.sets(st.sampled_from(SKUS)),
    )
    def test_what_a_group_moves_is_the_sum_of_what_its_records_say_from_any_snapshot(
        self,
        orders: list[tuple[dict[str, int], list[ChangeOrder]]],
        gone: set[str],
        believed: set[str],
    ) -> None:
        found = {
            f"o{n}": record(order_id=f"o{n}", items=items, held=items, due_at=SOON, expires_at=SOON)
            for n, (items, _) in enumerate(orders)
        }
        changes = [
            OrderChanges(
                order_id, [replace(command, order_id=order_id) for command in wanted], found[order_id]
            )
            for order_id, (_, wanted) in zip(found, orders, strict=True)
        ]
        held = sum((Counter(order.held) for order in found.values()), Counter[str]())
        stock = {sku: 5 for sku in SKUS if sku not in gone}
        store = ModelStore(dict(stock), dict(found), dict(held))
        for group in pack(changes):
            snapshot = Snapshot(dict.fromkeys(believed))
            for _ in range(4):
                decided = plan_changes(group, snapshot.missing, RULES, "c2")
                writes: list[Write] = [order.write for order in decided.orders if order.write]
                failures = store.execute([*decided.writes, *writes])
                if not failures:
                    break
                for current in failures:
                    snapshot.update(current)
            assert not failures
        after = store.reservations.values()
        left = sum((Counter(order.holding) for order in after), Counter[str]())
        back = sum((Counter(order.released) for order in after), Counter[str]())
        assert store.stock == {sku: units + back[sku] for sku, units in stock.items()}
        assert {sku: store.reserved[sku] for sku in stock if store.reserved.get(sku)} == {
            sku: units for sku, units in left.items() if sku in stock
        }


def settle_late(
    lates: Sequence[LateConfirmation], store: ModelStore, view: Mapping[str, int | None]
) -> dict[str, Failure | None]:
    """Plan and commit late confirmations until it is done, as the settler does."""
    snapshot = Snapshot(dict(view))
    for _ in range(20):
        decided = plan(lates, snapshot.stock, NOW)
        while decided.unseen:
            snapshot.update(store.read(decided.unseen))
            decided = plan(lates, snapshot.stock, NOW)
        writes: list[Write] = [*decided.writes]
        for decision in decided.decisions:
            late = decision.order
            after, _ = recorded(
                confirmed_late(late.reservation, late.command, decision.shortages, RULES), RULES
            )
            writes.append(RecordReservation(replace(after, change="c2"), late.reservation))
        failures = store.execute(writes)
        if not failures:
            return {decision.order.order_id: decision.failure for decision in decided.decisions}
        for current in failures:
            snapshot.update(current)
    raise AssertionError("the plans do not converge")


@settings(max_examples=200)
@given(
    st.lists(ITEMS, min_size=1, max_size=6),
    st.dictionaries(st.sampled_from(SKUS), st.integers(0, 12)),
    st.dictionaries(st.sampled_from(SKUS), st.none() | st.integers(0, 12)),
)
def test_late_confirmations_never_oversell_and_each_refusal_is_true(
    given_back: list[dict[str, int]], stock: dict[str, int], view: dict[str, int | None]
) -> None:
    found = {
        f"o{n}": replace(EXPIRED, order_id=f"o{n}", items=items, expired=items)
        for n, items in enumerate(given_back)
    }
    lates = [LateConfirmation(replace(CONFIRM, order_id=name), order) for name, order in found.items()]
    store = ModelStore(dict(stock), dict(found))
    decided = settle_late(lates, store, view)
    for name, failure in decided.items():
        items, after = found[name].expired, store.reservations[name]
        checked(after)
        if failure is None:
            assert after.holding == items
        else:
            assert after == replace(found[name], operations=after.operations, change="c2")
            if failure is Failure.SKU_NOT_FOUND:
                assert any(sku not in store.stock for sku in items)
            else:
                short = [sku for sku, units in items.items() if store.stock.get(sku, units) < units]
                assert short, "one SKU proves it, the others are as last seen"
    taken = sum((Counter(order.holding) for order in store.reservations.values()), Counter[str]())
    assert store.stock == {sku: units - taken[sku] for sku, units in stock.items()}
    assert {sku: units for sku, units in store.reserved.items() if units} == dict(taken)
