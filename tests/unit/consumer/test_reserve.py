"""The effect of a `ReserveInventory` in each state of the order, and how many calls it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.messages import release, reserve, text, without
from tests.unit.consumer.consumer_harness import HAPPY_PATH, READ, REMOVE, SEND, TRANSACT, ConsumerHarness


class TestReserve:
    def test_ten_orders_in_stock_take_three_calls(self) -> None:
        harness = ConsumerHarness({"A": 100, "B": 100})
        assert harness.settle(*(reserve(f"o{n}", {"A": 1, "B": 2}) for n in range(10))) == []
        assert harness.calls == HAPPY_PATH
        assert harness.stock == {"A": 90, "B": 80}
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(10)}
        harness.check()

    def test_a_hot_sku_is_written_once_per_batch(self) -> None:
        harness = ConsumerHarness({"A": 100})
        harness.settle(*(reserve(f"o{n}", {"A": 3}) for n in range(10)))
        (transaction, *_) = harness.script.calls
        updates = [
            action["Update"] for action in transaction.parameters["TransactItems"] if "Update" in action
        ]
        assert [update["Key"] for update in updates] == [{"sku": {"S": "A"}}]

    def test_the_answer_is_stored_as_it_is_sent(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("o", {"A": 1}))
        record = harness.record("o")
        assert record is not None
        assert record["event"]["S"] == harness.stage.sqs.history[0].body
        assert record["outcome"] == {"S": "RESERVED"}
        assert record["items"] == {"M": {"A": {"N": "1"}}}
        assert record["customer_id"] == {"S": "customer of o"}
        assert "ttl" not in record, "an open order must not be forgotten"

    def test_the_record_of_a_rejected_order_expires(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("o", {"A": 2}))
        record = harness.record("o")
        assert record is not None
        lifetime = int(record["ttl"]["N"]) - harness.stage.clock.now
        assert lifetime == pytest.approx(harness.stage.tables.record_ttl_days * 86_400, abs=1)

    def test_the_answer_carries_its_type_as_a_message_attribute(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("o", {"A": 1}), reserve("p", {"A": 1}))
        assert [sent.attributes["type"]["StringValue"] for sent in harness.stage.sqs.history] == [
            answer["type"] for answer in harness.answers
        ]

    def test_three_rejected_orders_of_ten_take_one_more_try(self) -> None:
        harness = ConsumerHarness({"A": 7})
        assert harness.settle(*(reserve(f"o{n}", {"A": 1}) for n in range(10))) == []
        assert harness.calls == [TRANSACT, TRANSACT, SEND, REMOVE]
        assert harness.stock == {"A": 0}
        assert list(harness.answer_types().values()) == [["Reserved"]] * 7 + [["ReservationFailed"]] * 3
        harness.check()

    def test_the_other_skus_of_a_rejected_order_are_read_for_its_answer(self) -> None:
        harness = ConsumerHarness({"A": 0, "B": 1, "C": 5})
        harness.settle(reserve("o", {"A": 1, "B": 2, "C": 3}), reserve("p", {"B": 1}))
        assert harness.calls == [TRANSACT, READ, *HAPPY_PATH]
        assert harness.answer("o")["items"] == [
            {"sku": "A", "requested": 1, "available": 0, "reason": "INSUFFICIENT_STOCK"},
            {"sku": "B", "requested": 2, "available": 0, "reason": "INSUFFICIENT_STOCK"},
        ]
        harness.check()

    def test_orders_are_admitted_in_order_of_arrival(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("a", {"A": 3}), reserve("b", {"A": 3}), reserve("c", {"A": 2}))
        assert harness.answer_types() == {"a": ["Reserved"], "b": ["ReservationFailed"], "c": ["Reserved"]}
        assert harness.answer("b")["items"][0]["available"] == 0
        harness.check()

    def test_an_unknown_sku_takes_precedence_over_insufficient_stock(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("o", {"A": 2, "X": 1}))
        answer = harness.answer("o")
        assert answer["reason"] == "SKU_NOT_FOUND"
        assert [(item["sku"], item["reason"]) for item in answer["items"]] == [
            ("A", "INSUFFICIENT_STOCK"),
            ("X", "SKU_NOT_FOUND"),
        ]
        assert harness.stock == {"A": 1}
        harness.check()

    def test_an_unknown_sku_leaves_no_item(self) -> None:
        harness = ConsumerHarness({})
        harness.settle(reserve("o", {"X": 1}))
        assert harness.stock == {}

    def test_quantities_of_one_sku_are_added_up(self) -> None:
        harness = ConsumerHarness({"A": 5})
        line = {"sku": "A", "quantity": 3}
        harness.settle(reserve("o", {}, items=[line, line]))
        assert harness.answer("o")["items"] == [
            {"sku": "A", "requested": 6, "available": 5, "reason": "INSUFFICIENT_STOCK"}
        ]

    @pytest.mark.parametrize(
        ("message", "field"),
        [
            (reserve("o", {}), "items"),
            (reserve("o", {"A": 0}), "items.0.quantity"),
            (reserve("o", {}, items=[{"sku": "A", "quantity": 1.5}]), "items.0.quantity"),
            (reserve("o", {"A  B": 1}), "items.0.sku"),
            (without(reserve("o", {"A": 1}), "customer_id"), "customer_id"),
            (
                text(reserve("o", {"A": 1})).replace('"quantity"', '"quantity": 2, "quantity"'),
                "items.0.quantity",
            ),
            (reserve("o", {"A": 1}, customer_id="\ud800"), "customer_id"),
            (text(reserve("o", {"A": 1}))[:-1] + ', "\\ud800": 1, "\\ud800": 1}', "\\ud800"),
        ],
    )
    def test_an_invalid_order_is_recorded_and_answered(self, message: Any, field: str) -> None:
        harness = ConsumerHarness({"A": 1})
        assert harness.settle(message) == []
        assert harness.calls == HAPPY_PATH
        answer = harness.answer("o")
        assert (answer["reason"], [error["field"] for error in answer["errors"]]) == (
            "INVALID_REQUEST",
            [field],
        )
        record = harness.record("o")
        assert record is not None
        assert record["outcome"] == {"S": "REJECTED"}
        assert harness.stock == {"A": 1}
        harness.check()

    def test_an_order_of_99_skus_is_recorded_and_answered_as_too_many(self) -> None:
        harness = ConsumerHarness({f"S{n}": 1 for n in range(99)})
        assert harness.settle(reserve("o", {f"S{n}": 1 for n in range(99)})) == []
        assert harness.answer("o")["reason"] == "TOO_MANY_ITEMS"
        assert set(harness.stock.values()) == {1}
        harness.check()

    def test_an_order_of_98_skus_is_reserved(self) -> None:
        harness = ConsumerHarness({f"S{n}": 1 for n in range(98)})
        assert harness.settle(reserve("o", {f"S{n}": 1 for n in range(98)})) == []
        assert harness.calls == HAPPY_PATH
        assert set(harness.stock.values()) == {0}
        harness.check()


class TestPoison:
    @pytest.mark.parametrize(
        "poison",
        [
            "not JSON",
            "[]",
            {"type": "Unknown", "order_id": "o"},
            reserve("not  usable", {"A": 1}),
            reserve("o", {"A": 1}, timestamp="2020-01-01T00:00:00Z"),
            release("o", timestamp="2020-01-01T00:00:00Z"),
        ],
    )
    def test_a_poison_message_fails_alone(self, poison: Any) -> None:
        harness = ConsumerHarness({"A": 2})
        assert harness.settle(reserve("a", {"A": 1}), poison, reserve("b", {"A": 1})) == [1]
        assert harness.calls == HAPPY_PATH
        assert harness.answer_types() == {"a": ["Reserved"], "b": ["Reserved"]}
        harness.check()

    def test_a_batch_of_poison_makes_no_call(self) -> None:
        harness = ConsumerHarness()
        assert harness.settle("{", "[]") == [0, 1]
        assert harness.calls == []

    def test_a_message_older_than_the_records_is_not_applied(self) -> None:
        harness = ConsumerHarness({"A": 2})
        age = timedelta(days=harness.stage.tables.record_ttl_days - 1)
        limit = datetime.fromtimestamp(harness.stage.clock.now, UTC) - age
        young, old = (limit + timedelta(seconds=seconds) for seconds in (1, -1))
        assert harness.settle(
            reserve("young", {"A": 1}, timestamp=young.isoformat()),
            reserve("old", {"A": 1}, timestamp=old.isoformat()),
        ) == [1]

    def test_an_order_more_than_a_day_ahead_is_refused(self) -> None:
        harness = ConsumerHarness({"A": 2})
        limit = datetime.fromtimestamp(harness.stage.clock.now, UTC) + timedelta(days=1)
        near, far = (limit + timedelta(seconds=seconds) for seconds in (-1, 1))
        assert not harness.settle(
            reserve("near", {"A": 1}, timestamp=near.isoformat()),
            reserve("far", {"A": 1}, timestamp=far.isoformat()),
        )
        assert harness.answer_types() == {"near": ["Reserved"], "far": ["ReservationFailed"]}
        assert [error["field"] for error in harness.answer("far")["errors"]] == ["timestamp"]
        harness.check()


class TestRepeats:
    def test_a_repeat_of_an_answered_order_is_ignored(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(reserve("o", {"A": 2})) == []
        assert harness.calls == [TRANSACT]
        assert harness.stock == {"A": 3}
        assert harness.answer_types() == {"o": ["Reserved"]}
        harness.check()

    def test_the_record_of_a_redelivered_order_is_read_first(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(reserve("o", {"A": 2}), receives=2) == []
        assert harness.calls == [READ]
        assert harness.answer_types() == {"o": ["Reserved"]}

    def test_a_redelivered_order_without_a_record_costs_one_more_read(self) -> None:
        harness = ConsumerHarness({"A": 5})
        assert harness.settle(reserve("o", {"A": 2}), receives=2) == []
        assert harness.calls == [READ, *HAPPY_PATH]
        harness.check()

    def test_two_duplicates_among_ten_take_one_more_try(self) -> None:
        harness = ConsumerHarness({"A": 50})
        harness.settle(reserve("o3", {"A": 1}), reserve("o7", {"A": 1}))
        assert harness.settle(*(reserve(f"o{n}", {"A": 1}) for n in range(10))) == []
        assert harness.calls == [TRANSACT, TRANSACT, SEND, REMOVE]
        assert harness.stock == {"A": 40}
        assert set(map(len, harness.answer_types().values())) == {1}
        harness.check()

    def test_a_repeat_of_an_order_leaves_its_answer_to_the_outbox(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.crash_before_call(SEND, reserve("o", {"A": 2}))
        assert harness.settle(reserve("o", {"A": 2})) == []
        assert harness.calls == [TRANSACT]
        assert harness.outbox == [{"o"}]
        harness.check()
        harness.sweep()
        assert harness.answer_types() == {"o": ["Reserved"]}
        assert harness.stock == {"A": 3}
        harness.check()

    def test_an_order_that_is_repeated_in_a_batch_is_answered_once(self) -> None:
        harness = ConsumerHarness({"A": 5})
        assert harness.settle(reserve("o", {"A": 2}), reserve("o", {"A": 2}), reserve("o", {"A": 2})) == []
        assert harness.calls == HAPPY_PATH
        assert harness.stock == {"A": 3}
        assert harness.answer_types() == {"o": ["Reserved"]}
        harness.check()

    def test_a_repeat_with_other_items_does_not_change_the_order(self) -> None:
        harness = ConsumerHarness({"A": 5, "B": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(reserve("o", {"B": 1})) == []
        assert harness.stock == {"A": 3, "B": 5}
        assert harness.answer_types() == {"o": ["Reserved"]}
        harness.check()

    def test_a_rejected_order_stays_rejected_when_stock_arrives(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("o", {"A": 2}))
        harness.set_stock("A", 9)
        harness.initial["A"] = 9
        assert harness.settle(reserve("o", {"A": 2})) == []
        assert harness.stock == {"A": 9}
        assert harness.answer_types() == {"o": ["ReservationFailed"]}
        harness.check()
