import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.answers import (
    Answer,
    AnswerType,
    event_id,
    order_record,
    owed,
    release_answer,
    reserve_answer,
)
from chalicelib.core.fields import Outcome
from chalicelib.core.messages import Invalid, Reserve, TooMany
from chalicelib.core.planner import Decision, Failure, Shortage
from chalicelib.core.records import OrderRecord
from chalicelib.errors import FieldError

NOW = "2026-06-01T12:00:00.000Z"
ORDER = Reserve("order-1", "customer-1", {"A": 2, "B": 1})


def body(answer: Answer) -> Any:
    return json.loads(answer.body)


class TestReserved:
    def test_the_answer_has_the_shape_of_the_contract(self) -> None:
        answer = reserve_answer(Decision(ORDER), NOW)
        assert answer.outcome is Outcome.RESERVED
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
        answer = reserve_answer(Decision(ORDER, Failure.SKU_NOT_FOUND, shortages), NOW)
        assert answer.outcome is Outcome.REJECTED
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
        answer = reserve_answer(decision, NOW)
        assert answer.outcome is Outcome.REJECTED
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
        decision = Decision(Reserve("order-1", "c", refusal=TooMany(100)), Failure.TOO_MANY_ITEMS)
        answer = body(reserve_answer(decision, NOW))
        assert (answer["reason"], answer["items"]) == ("TOO_MANY_ITEMS", [])
        assert answer["counts"] == {"skus": 100, "limit": 99}
        assert "errors" not in answer


class TestReleased:
    def test_the_answer_has_the_shape_of_the_contract(self) -> None:
        answer = release_answer("order-1", {"A": 2, "B": 1}, set(), NOW)
        assert answer.outcome is Outcome.RELEASED
        assert body(answer) == {
            "type": "InventoryReleased",
            "event_id": event_id("order-1", AnswerType.RELEASED),
            "order_id": "order-1",
            "items": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}],
            "timestamp": NOW,
        }

    def test_the_answer_names_the_skus_that_no_longer_exist_without_units(self) -> None:
        answer = body(release_answer("order-1", {"A": 2, "B": 1, "C": 3}, {"B", "Z"}, NOW))
        assert answer["items"] == [{"sku": "A", "quantity": 2}, {"sku": "C", "quantity": 3}]
        assert answer["missing"] == ["B"]

    def test_the_answer_to_the_release_of_an_unknown_order_has_no_items(self) -> None:
        answer = body(release_answer("order-1", {}, {"B"}, NOW))
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
        assert len(ids) == len({one, other}) * 3

    def test_the_event_id_does_not_depend_on_time_or_content(self) -> None:
        early = body(reserve_answer(Decision(ORDER), NOW))
        late = body(reserve_answer(Decision(Reserve("order-1", "other", {"Z": 9})), "2030-01-01T00:00:00Z"))
        assert early["event_id"] == late["event_id"]


@given(st.text(min_size=1, max_size=256))
def test_an_answer_is_ascii_for_any_customer(customer_id: str) -> None:
    answer = reserve_answer(Decision(Reserve("order-1", customer_id, {"A": 1})), NOW)
    assert answer.body.isascii()
    assert answer.body.isprintable()
    assert body(answer)["customer_id"] == customer_id


class TestRecord:
    def test_the_record_holds_the_order_and_its_unpublished_answer(self) -> None:
        answer = reserve_answer(Decision(ORDER), NOW)
        record = order_record(ORDER, answer, NOW)
        assert record == OrderRecord(
            "order-1", Outcome.RESERVED, NOW, "customer-1", {"A": 2, "B": 1}, event=answer.body
        )
        assert owed(record) == answer

    def test_the_record_of_a_rejected_order_holds_the_requested_items(self) -> None:
        decision = Decision(ORDER, Failure.INSUFFICIENT_STOCK, (Shortage("A", 2, 0),))
        record = order_record(ORDER, reserve_answer(decision, NOW), NOW)
        assert record.outcome is Outcome.REJECTED
        assert record.items == {"A": 2, "B": 1}


class TestOwedAnswers:
    RESERVED = reserve_answer(Decision(ORDER), NOW)
    FAILED = reserve_answer(Decision(ORDER, Failure.INSUFFICIENT_STOCK, (Shortage("A", 2, 0),)), NOW)
    RELEASED = release_answer("order-1", {"A": 2}, set(), NOW)

    @pytest.mark.parametrize("answer", [RESERVED, FAILED])
    def test_an_unmarked_answer_is_owed(self, answer: Answer) -> None:
        assert owed(OrderRecord("order-1", answer.outcome, NOW, event=answer.body)) == answer

    @pytest.mark.parametrize("answer", [RESERVED, FAILED])
    def test_a_marked_answer_is_not_owed(self, answer: Answer) -> None:
        record = OrderRecord("order-1", answer.outcome, NOW, event=answer.body, published_at=NOW)
        assert owed(record) is None

    @pytest.mark.parametrize("published_at", [None, NOW])
    def test_a_released_order_owes_the_answer_of_its_release(self, published_at: str | None) -> None:
        record = OrderRecord(
            "order-1",
            Outcome.RELEASED,
            NOW,
            event=self.RESERVED.body,
            published_at=published_at,
            release_event=self.RELEASED.body,
        )
        assert owed(record) == self.RELEASED

    def test_a_marked_release_is_not_owed(self) -> None:
        record = OrderRecord(
            "order-1",
            Outcome.RELEASED,
            NOW,
            release_event=self.RELEASED.body,
            release_published_at=NOW,
        )
        assert owed(record) is None
