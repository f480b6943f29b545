import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.contracts import responses
from chalicelib.contracts.events import ChangeRejectionReason, Event, RejectionReason, event_id
from chalicelib.domain.changes import OrderChanges, plan_changes
from chalicelib.domain.commands import ChangeOrder, ChangeType, Invalid, Reserve, TooMany, due_change
from chalicelib.domain.planner import Decision, Failure, Shortage
from chalicelib.domain.reservation import (
    Answer,
    AnswerType,
    Operation,
    Outcome,
    Reference,
    Reservation,
)
from chalicelib.domain.rulings import Refusal, Rules, Ruling, rule
from chalicelib.domain.writes import RecordReservation
from chalicelib.errors import FieldError
from chalicelib.services.answers import change_answer, queue_writes, reserve_write

NOW = "2026-06-01T12:00:00.000Z"
LATER = "2026-06-02T12:00:00.000Z"
ORDER = Reserve("order-1", "customer-1", {"A": 2, "B": 1})
RULES = Rules(NOW, change_answer)
RELEASE_ID = ChangeType.RELEASE.value


def reserve_answer(decision: Decision[Reserve], now: str = NOW) -> Answer:
    (answer,) = reserve_write(decision.order, decision, Rules(now, change_answer), "c1").newly_queued
    return answer


def held(items: dict[str, int], **changes: Any) -> Reservation:
    record = Reservation("order-1", Outcome.RESERVED, NOW, "customer-1", items, held=items, change="c1")
    return replace(record, **changes)


def change(kind: ChangeType, operation_id: str | None = None, **fields: Any) -> ChangeOrder:
    return ChangeOrder("order-1", kind, operation_id or kind.value, **fields)


def answer_to(record: Reservation | None, command: ChangeOrder, *missing: str) -> dict[str, Any]:
    ruling = rule(record, command, RULES, set(missing))
    assert isinstance(ruling, Ruling)
    answer = change_answer(ruling, NOW)
    assert answer.body.isascii()
    assert answer.type == body(answer)["type"]
    return dict(body(answer))


def released(record: Reservation | None, *missing: str) -> RecordReservation:
    order = OrderChanges("order-1", [change(ChangeType.RELEASE)], record)
    (changed,) = plan_changes([order], set(missing), RULES, "c2").orders
    assert changed.write is not None
    return changed.write


def body(answer: Answer) -> Any:
    return json.loads(answer.body)


class TestReserved:
    def test_the_answer_has_the_shape_of_the_contract(self) -> None:
        answer = reserve_answer(Decision(ORDER))
        assert answer.type is AnswerType.RESERVED
        assert body(answer) == {
            "type": "InventoryReserved",
            "event_id": event_id("order-1", AnswerType.RESERVED),
            "order_id": "order-1",
            "customer_id": "customer-1",
            "items": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}],
            "timestamp": NOW,
        }


class TestFailed:
    def test_the_answer_lists_only_the_short_entries(self) -> None:
        shortages = (Shortage("A", 2, 1), Shortage("B", 1, None))
        answer = reserve_answer(Decision(ORDER, Failure.SKU_NOT_FOUND, shortages))
        assert answer.type is AnswerType.FAILED
        assert body(answer) == {
            "type": "InventoryReservationFailed",
            "event_id": event_id("order-1", AnswerType.FAILED),
            "order_id": "order-1",
            "customer_id": "customer-1",
            "reason": "SKU_NOT_FOUND",
            "items": [
                {"sku": "A", "requested": 2, "available": 1, "reason": "INSUFFICIENT_STOCK"},
                {"sku": "B", "requested": 1, "available": 0, "reason": "SKU_NOT_FOUND"},
            ],
            "timestamp": NOW,
        }

    def test_the_answer_lists_the_errors_of_an_invalid_order(self) -> None:
        refusal = Invalid((FieldError("items.0.sku", "is bad"), FieldError("customer_id", "is missing")))
        decision = Decision(Reserve("order-1", None, refusal=refusal), Failure.INVALID_REQUEST)
        answer = reserve_answer(decision)
        assert answer.type is AnswerType.FAILED
        assert body(answer) == {
            "type": "InventoryReservationFailed",
            "event_id": event_id("order-1", AnswerType.FAILED),
            "order_id": "order-1",
            "customer_id": None,
            "reason": "INVALID_REQUEST",
            "items": [],
            "errors": [
                {"field": "items.0.sku", "message": "is bad"},
                {"field": "customer_id", "message": "is missing"},
            ],
            "timestamp": NOW,
        }

    def test_the_answer_counts_the_skus_of_a_too_large_order(self) -> None:
        decision = Decision(Reserve("order-1", "c", refusal=TooMany(99)), Failure.TOO_MANY_ITEMS)
        answer = body(reserve_answer(decision))
        assert (answer["reason"], answer["items"]) == ("TOO_MANY_ITEMS", [])
        assert answer["counts"] == {"skus": 99, "limit": 98}
        assert "errors" not in answer


class TestReservedForAWhile:
    def test_the_answer_tells_the_end_of_the_hold(self) -> None:
        answer = body(reserve_answer(Decision(replace(ORDER, expires_at=LATER))))
        assert answer["expires_at"] == LATER

    def test_the_answer_to_a_hold_that_had_ended_before_gives_that_as_its_reason(self) -> None:
        decision = Decision(replace(ORDER, expires_at=NOW), Failure.EXPIRED)
        answer = body(reserve_answer(decision))
        assert (answer["type"], answer["reason"], answer["items"]) == (
            "InventoryReservationFailed",
            "EXPIRED",
            [],
        )


UNITS = {"A": 2, "B": 1}
LINES = [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]
HOLD = held(UNITS, expires_at=LATER, due_at=LATER)
PART = {"items": {"A": 1}}
GONE = held(UNITS, outcome=Outcome.RELEASED, held={})
EXPIRED = replace(GONE, expired=UNITS)
BAD = (FieldError("items.0.sku", "is bad"),)

DONE: dict[str, tuple[Reservation, ChangeOrder, dict[str, Any]]] = {
    "confirmed": (HOLD, change(ChangeType.CONFIRM), {"type": "InventoryConfirmed", "items": LINES}),
    "confirmed when it was firm": (
        held(UNITS),
        change(ChangeType.CONFIRM),
        {"type": "InventoryConfirmed", "items": LINES},
    ),
    "extended": (
        HOLD,
        change(ChangeType.EXTEND, "E1", expires_at="2026-06-09T12:00:00.000Z"),
        {"type": "InventoryExtended", "operation_id": "E1", "expires_at": "2026-06-09T12:00:00.000Z"},
    ),
    "shipped whole": (
        held(UNITS),
        change(ChangeType.FULFILL),
        {"type": "InventoryFulfilled", "items": LINES, "remaining": []},
    ),
    "shipped in part": (
        held(UNITS),
        change(ChangeType.FULFILL, "F1", **PART),
        {
            "type": "InventoryFulfilled",
            "operation_id": "F1",
            "items": [{"sku": "A", "quantity": 1}],
            "remaining": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}],
        },
    ),
    "released whole": (
        held(UNITS),
        change(ChangeType.RELEASE, reason="changed their mind"),
        {"type": "InventoryReleased", "items": LINES, "remaining": [], "reason": "changed their mind"},
    ),
    "released whole under an id": (
        held(UNITS),
        change(ChangeType.RELEASE, "R1"),
        {"type": "InventoryReleased", "operation_id": "R1", "items": LINES, "remaining": []},
    ),
    "released in part": (
        held(UNITS),
        change(ChangeType.RELEASE, "R1", **PART),
        {
            "type": "InventoryReleased",
            "operation_id": "R1",
            "items": [{"sku": "A", "quantity": 1}],
            "remaining": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}],
        },
    ),
}

REJECTED: dict[str, tuple[Reservation, ChangeOrder, dict[str, Any]]] = {
    "a closed order": (GONE, change(ChangeType.CONFIRM), {"reason": "NOT_RESERVED"}),
    "an expired order": (
        EXPIRED,
        change(ChangeType.FULFILL, "F1", **PART),
        {"reason": "EXPIRED", "operation_id": "F1"},
    ),
    "a firm order": (
        held(UNITS),
        change(ChangeType.EXTEND, "E1", expires_at=LATER),
        {"reason": "NOT_A_HOLD", "operation_id": "E1"},
    ),
    "more than is held": (
        held(UNITS),
        change(ChangeType.RELEASE, "R1", items={"A": 3, "B": 1, "C": 1}),
        {
            "reason": "MORE_THAN_HELD",
            "operation_id": "R1",
            "items": [{"sku": "A", "requested": 3, "held": 2}, {"sku": "C", "requested": 1, "held": 0}],
        },
    ),
    "an invalid operation": (
        held(UNITS),
        change(ChangeType.FULFILL, "F1", errors=BAD),
        {
            "reason": "INVALID_REQUEST",
            "operation_id": "F1",
            "errors": [{"field": "items.0.sku", "message": "is bad"}],
        },
    ),
    "an invalid operation without an id": (
        held(UNITS),
        change(ChangeType.EXTEND, "invalid#1", errors=BAD),
        {"reason": "INVALID_REQUEST", "errors": [{"field": "items.0.sku", "message": "is bad"}]},
    ),
    "one operation too many": (
        held(UNITS, full_at=NOW),
        change(ChangeType.RELEASE, "R1", **PART),
        {"reason": "TOO_MANY_OPERATIONS", "operation_id": "R1"},
    ),
}


class TestChanged:
    @pytest.mark.parametrize("case", DONE)
    def test_the_answer_to_a_change_has_the_shape_of_the_contract(self, case: str) -> None:
        record, command, expected = DONE[case]
        whole_release = command.operation_id == RELEASE_ID
        assert answer_to(record, command) == {
            **expected,
            "event_id": event_id(
                "order-1", expected["type"], None if whole_release else command.operation_id
            ),
            "order_id": "order-1",
            "timestamp": NOW,
        }

    @pytest.mark.parametrize("case", REJECTED)
    def test_the_answer_to_a_refused_change_has_the_shape_of_the_contract(self, case: str) -> None:
        record, command, expected = REJECTED[case]
        assert answer_to(record, command) == {
            **expected,
            "type": "InventoryChangeRejected",
            "event_id": event_id("order-1", "InventoryChangeRejected", command.operation_id),
            "order_id": "order-1",
            "operation": command.type.value,
            "timestamp": NOW,
        }

    def test_the_end_of_a_hold_is_answered_with_that_as_its_reason(self) -> None:
        ended = replace(HOLD, expires_at="2026-06-01T11:00:00.000Z", due_at="2026-06-01T11:00:00.000Z")
        assert answer_to(ended, due_change("order-1")) == {
            "type": "InventoryReleased",
            "event_id": event_id("order-1", "InventoryReleased", "EXPIRED"),
            "order_id": "order-1",
            "items": LINES,
            "remaining": [],
            "reason": "EXPIRED",
            "expired_at": "2026-06-01T11:00:00.000Z",
            "timestamp": NOW,
        }

    def test_the_answer_names_the_skus_that_no_longer_exist_without_units(self) -> None:
        answer = answer_to(held({"A": 2, "B": 1, "C": 3}), change(ChangeType.RELEASE), "B")
        assert answer["items"] == [{"sku": "A", "quantity": 2}, {"sku": "C", "quantity": 3}]
        assert answer["missing"] == ["B"]

    def test_what_was_shipped_is_not_missing_when_its_sku_is_gone(self) -> None:
        answer = answer_to(held({"A": 2}), change(ChangeType.FULFILL), "A")
        assert answer["items"] == [{"sku": "A", "quantity": 2}]
        assert "missing" not in answer

    def test_the_answer_to_the_release_of_an_unknown_order_has_no_items(self) -> None:
        answer = answer_to(None, change(ChangeType.RELEASE))
        assert answer["items"] == []
        assert "missing" not in answer


class TestEventId:
    def test_the_event_id_is_the_same_each_time_an_answer_is_sent(self) -> None:
        # Sent answers carry it: this value must never change.
        first = event_id("order-1", AnswerType.RESERVED)
        assert first == "56fc5ec6-3205-584b-9898-cee90b82dad2"
        assert UUID(first).version == 5

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_the_event_id_differs_by_order_and_type(self, one: str, other: str) -> None:
        ids = {event_id(order, kind) for order in (one, other) for kind in AnswerType}
        assert len(ids) == len({one, other}) * len(AnswerType)

    def test_the_event_id_does_not_depend_on_time_or_content(self) -> None:
        early = body(reserve_answer(Decision(ORDER)))
        late = body(reserve_answer(Decision(Reserve("order-1", "other", {"Z": 9})), "2030-01-01T00:00:00Z"))
        assert early["event_id"] == late["event_id"]


@given(st.text(min_size=1, max_size=256))
def test_an_answer_is_ascii_for_any_customer(customer_id: str) -> None:
    answer = reserve_answer(Decision(Reserve("order-1", customer_id, {"A": 1})))
    assert answer.body.isascii()
    assert answer.body.isprintable()
    assert body(answer)["customer_id"] == customer_id


class TestWrites:
    def test_a_reserved_order_is_recorded_with_its_answer(self) -> None:
        write = reserve_write(ORDER, Decision(ORDER), RULES, "c1")
        event = reserve_answer(Decision(ORDER)).body
        assert write == RecordReservation(
            Reservation(
                "order-1",
                Outcome.RESERVED,
                NOW,
                "customer-1",
                {"A": 2, "B": 1},
                event=event,
                change="c1",
                held={"A": 2, "B": 1},
            )
        )

    def test_a_hold_is_due_at_its_end(self) -> None:
        order = replace(ORDER, expires_at=LATER)
        record = reserve_write(order, Decision(order), RULES, "c1").reservation
        assert (record.expires_at, record.due_at) == (LATER, LATER)

    def test_a_firm_order_is_due_when_it_is_old_enough(self) -> None:
        rules = replace(RULES, aging=timedelta(days=1))
        record = reserve_write(ORDER, Decision(ORDER), rules, "c1").reservation
        assert (record.expires_at, record.due_at) == (None, LATER)

    def test_a_rejected_order_is_recorded_with_what_was_asked_and_is_never_due(self) -> None:
        order = replace(ORDER, expires_at=LATER)
        decision = Decision(order, Failure.INSUFFICIENT_STOCK, (Shortage("A", 2, 0),))
        record = reserve_write(order, decision, replace(RULES, aging=timedelta(1)), "c1").reservation
        assert record.outcome is Outcome.REJECTED
        assert record.items == {"A": 2, "B": 1}
        assert record.held == {}
        assert record.due_at is None

    def test_an_answer_that_is_a_response_is_not_queued(self) -> None:
        write = reserve_write(ORDER, Decision(ORDER), replace(RULES, queue=False), "c1")
        assert write.newly_queued == []
        assert [answer.type for answer in write.reservation.unqueued] == [AnswerType.RESERVED]

    def test_the_release_of_a_reserved_order_adds_an_operation_with_its_answer(self) -> None:
        write = released(held({"A": 2}))
        assert write.seen == held({"A": 2})
        (answer,) = write.newly_queued
        operation = Operation(RELEASE_ID, RELEASE_ID, NOW, AnswerType.RELEASED, answer.body)
        assert write.reservation == replace(
            held({"A": 2}), outcome=Outcome.RELEASED, held={}, operations=(operation,), change="c2"
        )

    def test_the_release_of_an_unknown_order_leaves_a_tombstone(self) -> None:
        write = released(None)
        assert write.seen is None
        assert write.reservation.outcome is Outcome.RELEASED
        assert write.reservation.items == {}
        assert [answer.reference for answer in write.newly_queued] == [Reference("order-1", RELEASE_ID)]

    def test_a_release_queues_a_first_answer_that_version_1_1_has_not_sent(self) -> None:
        seen = Reservation("order-1", Outcome.RESERVED, NOW, "c", {"A": 2}, event="{}", event_queued=False)
        assert [answer.reference.operation_id for answer in released(seen).newly_queued] == [None, RELEASE_ID]

    def test_only_records_with_unqueued_answers_are_written_to_queue_them(self) -> None:
        told = Reservation("a", Outcome.RESERVED, NOW, event="{}", change="c1")
        owed = Reservation("b", Outcome.REJECTED, NOW, event="{}", event_queued=False, change="c1")
        (write,) = queue_writes([told, owed], "c3")
        assert write.seen == owed
        assert write.reservation.change == "c3"
        assert write.newly_queued == [Answer(Reference("b"), AnswerType.FAILED, "{}")]

    @pytest.mark.parametrize(("change", "queued"), [(None, [None, RELEASE_ID]), ("c1", [None])])
    def test_of_a_record_of_version_1_1_all_answers_are_queued(
        self, change: str | None, queued: list[str | None]
    ) -> None:
        operation = Operation(RELEASE_ID, RELEASE_ID, NOW, AnswerType.RELEASED, "{}", queued=False)
        found = Reservation("b", Outcome.RELEASED, NOW, event="{}", event_queued=False, change=change)
        (write,) = queue_writes([replace(found, operations=(operation,))], "c3")
        assert [answer.reference.operation_id for answer in write.newly_queued] == queued


def test_the_domain_and_the_contract_use_the_same_words() -> None:
    types = {get_args(event.model_fields["type"].annotation)[0] for event in get_args(Event)}
    assert types == set(AnswerType)
    assert set(get_args(RejectionReason)) == set(Failure)
    assert set(get_args(ChangeRejectionReason)) == set(Refusal)
    assert set(get_args(responses.Reservation.model_fields["outcome"].annotation)) == set(Outcome)
