import json
from typing import Any, get_args
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.consumer.answers import queue_writes, release_write, reserve_write
from chalicelib.contracts import responses
from chalicelib.contracts.events import Event, RejectionReason, event_id
from chalicelib.domain.commands import Invalid, Reserve, TooMany
from chalicelib.domain.planner import Decision, Failure, OrderToRelease, Released, Shortage
from chalicelib.domain.reservation import RELEASE, Answer, AnswerType, Operation, Outcome, Reservation
from chalicelib.domain.writes import RecordReservation
from chalicelib.errors import FieldError

NOW = "2026-06-01T12:00:00.000Z"
ORDER = Reserve("order-1", "customer-1", {"A": 2, "B": 1})


def released(items: dict[str, int], *missing: str) -> Released:
    reservation = Reservation("order-1", Outcome.RESERVED, NOW, "customer-1", items)
    returned = {sku: units for sku, units in items.items() if sku not in missing}
    return Released(OrderToRelease("order-1", reservation), returned, missing)


def reserve_answer(decision: Decision, now: str) -> Answer:
    (answer,) = reserve_write(decision, now, "c1").newly_queued
    return answer


def release_answer(released: Released, now: str) -> Answer:
    return release_write(released, now, "c2").newly_queued[-1]


def body(answer: Answer) -> Any:
    return json.loads(answer.body)


class TestReserved:
    def test_the_answer_has_the_shape_of_the_contract(self) -> None:
        answer = reserve_answer(Decision(ORDER), NOW)
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
        answer = reserve_answer(Decision(ORDER, Failure.SKU_NOT_FOUND, shortages), NOW)
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
        answer = reserve_answer(decision, NOW)
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
        answer = body(reserve_answer(decision, NOW))
        assert (answer["reason"], answer["items"]) == ("TOO_MANY_ITEMS", [])
        assert answer["counts"] == {"skus": 99, "limit": 98}
        assert "errors" not in answer


class TestReleased:
    def test_the_answer_has_the_shape_of_the_contract(self) -> None:
        answer = release_answer(released({"A": 2, "B": 1}), NOW)
        assert answer.type is AnswerType.RELEASED
        assert body(answer) == {
            "type": "InventoryReleased",
            "event_id": event_id("order-1", AnswerType.RELEASED),
            "order_id": "order-1",
            "items": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}],
            "timestamp": NOW,
        }

    def test_the_answer_names_the_skus_that_no_longer_exist_without_units(self) -> None:
        answer = body(release_answer(released({"A": 2, "B": 1, "C": 3}, "B"), NOW))
        assert answer["items"] == [{"sku": "A", "quantity": 2}, {"sku": "C", "quantity": 3}]
        assert answer["missing"] == ["B"]

    def test_the_answer_to_the_release_of_an_unknown_order_has_no_items(self) -> None:
        answer = body(release_answer(Released(OrderToRelease("order-1", None), {}, ()), NOW))
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


class TestWrites:
    def test_a_reserved_order_is_recorded_with_its_answer(self) -> None:
        write = reserve_write(Decision(ORDER), NOW, "c1")
        event = reserve_answer(Decision(ORDER), NOW).body
        assert write == RecordReservation(
            Reservation(
                "order-1", Outcome.RESERVED, NOW, "customer-1", {"A": 2, "B": 1}, event=event, change="c1"
            )
        )

    def test_a_rejected_order_is_recorded_with_what_was_asked(self) -> None:
        decision = Decision(ORDER, Failure.INSUFFICIENT_STOCK, (Shortage("A", 2, 0),))
        reservation = reserve_write(decision, NOW, "c1").reservation
        assert reservation.outcome is Outcome.REJECTED
        assert reservation.items == {"A": 2, "B": 1}

    def test_the_release_of_a_reserved_order_adds_an_operation_with_its_answer(self) -> None:
        write = release_write(released({"A": 2}), NOW, "c2")
        assert write.seen == released({"A": 2}).order.reservation
        event = release_answer(released({"A": 2}), NOW).body
        operation = Operation(RELEASE, RELEASE, NOW, AnswerType.RELEASED, event)
        assert write.reservation == Reservation(
            "order-1",
            Outcome.RELEASED,
            NOW,
            "customer-1",
            {"A": 2},
            operations=(operation,),
            change="c2",
        )

    def test_the_release_of_an_unknown_order_leaves_a_tombstone(self) -> None:
        write = release_write(Released(OrderToRelease("order-1", None), {}, ()), NOW, "c2")
        assert write.seen is None
        assert write.reservation.outcome is Outcome.RELEASED
        assert write.reservation.items == {}
        assert [answer.reference for answer in write.newly_queued] == ["order-1\nReleaseInventory"]

    def test_a_release_queues_a_first_answer_that_nothing_else_would_send(self) -> None:
        seen = Reservation("order-1", Outcome.RESERVED, NOW, "c", {"A": 2}, event="{}", event_queued=False)
        write = release_write(Released(OrderToRelease("order-1", seen), {"A": 2}, ()), NOW, "c2")
        assert [answer.reference for answer in write.newly_queued] == ["order-1", "order-1\nReleaseInventory"]

    def test_a_release_without_room_for_the_outbox_queues_nothing(self) -> None:
        write = release_write(released({"A": 2}), NOW, "c2", queued=False)
        assert write.newly_queued == []
        assert [answer.reference for answer in write.reservation.unqueued] == ["order-1\nReleaseInventory"]

    def test_only_records_with_unqueued_answers_are_written_to_queue_them(self) -> None:
        told = Reservation("a", Outcome.RESERVED, NOW, event="{}")
        owed = Reservation("b", Outcome.REJECTED, NOW, event="{}", event_queued=False)
        (write,) = queue_writes([told, owed], "c3")
        assert write.seen == owed
        assert write.reservation.change == "c3"
        assert write.newly_queued == [Answer("b", AnswerType.FAILED, "{}")]


def test_the_domain_and_the_contract_use_the_same_words() -> None:
    types = {get_args(event.model_fields["type"].annotation)[0] for event in get_args(Event)}
    assert types == set(AnswerType)
    assert set(get_args(RejectionReason)) == set(Failure)
    assert set(get_args(responses.Reservation.model_fields["outcome"].annotation)) == set(Outcome)
