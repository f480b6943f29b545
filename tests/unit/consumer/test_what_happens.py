"""Every row of the table "what arrives, what happens", and how many calls it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.answers import AnswerType, event_id
from tests.engines import Crash
from tests.engines.faults import Conflict, crash_before
from tests.messages import release, reserve, without
from tests.unit.consumer.shop import MARK, READ, SEND, TRANSACT, Shop

HAPPY = [TRANSACT, SEND, MARK]


class TestReserve:
    def test_ten_orders_in_stock_take_three_calls(self) -> None:
        shop = Shop({"A": 100, "B": 100})
        assert shop.settle(*(reserve(f"o{n}", {"A": 1, "B": 2}) for n in range(10))) == []
        assert shop.calls == HAPPY
        assert shop.stock == {"A": 90, "B": 80}
        assert shop.told() == {f"o{n}": ["Reserved"] for n in range(10)}
        shop.check()

    def test_a_hot_sku_is_written_once_a_batch(self) -> None:
        shop = Shop({"A": 100})
        shop.settle(*(reserve(f"o{n}", {"A": 3}) for n in range(10)))
        (transaction, *_) = shop.script.calls
        updates = [
            action["Update"] for action in transaction.parameters["TransactItems"] if "Update" in action
        ]
        assert [update["Key"] for update in updates] == [{"sku": {"S": "A"}}]

    def test_the_answer_is_stored_as_it_is_sent_and_marked(self) -> None:
        shop = Shop({"A": 1})
        shop.settle(reserve("o", {"A": 1}))
        record = shop.record("o")
        assert record is not None
        assert record["event"]["S"] == shop.stage.sqs.history[0].body
        assert record["published_at"]["S"].endswith("Z")
        assert record["outcome"] == {"S": "RESERVED"}
        assert record["items"] == {"M": {"A": {"N": "1"}}}
        assert record["customer_id"] == {"S": "customer of o"}
        lifetime = int(record["ttl"]["N"]) - shop.stage.clock.now
        assert lifetime == pytest.approx(shop.stage.tables.record_ttl_days * 86_400, abs=1)

    def test_the_answer_carries_its_type_as_a_message_attribute(self) -> None:
        shop = Shop({"A": 1})
        shop.settle(reserve("o", {"A": 1}), reserve("p", {"A": 1}))
        assert [sent.attributes["type"]["StringValue"] for sent in shop.stage.sqs.history] == [
            answer["type"] for answer in shop.answers
        ]

    def test_three_of_ten_short_of_stock_take_one_more_try(self) -> None:
        shop = Shop({"A": 7})
        assert shop.settle(*(reserve(f"o{n}", {"A": 1}) for n in range(10))) == []
        assert shop.calls == [TRANSACT, TRANSACT, SEND, MARK]
        assert shop.stock == {"A": 0}
        assert list(shop.told().values()) == [["Reserved"]] * 7 + [["ReservationFailed"]] * 3
        shop.check()

    def test_what_else_a_rejected_order_asks_is_read_for_its_answer(self) -> None:
        shop = Shop({"A": 0, "B": 1, "C": 5})
        shop.settle(reserve("o", {"A": 1, "B": 2, "C": 3}), reserve("p", {"B": 1}))
        assert shop.calls == [TRANSACT, READ, *HAPPY]
        assert shop.answer("o")["items"] == [
            {"sku": "A", "requested": 1, "available": 0, "reason": "INSUFFICIENT_STOCK"},
            {"sku": "B", "requested": 2, "available": 0, "reason": "INSUFFICIENT_STOCK"},
        ]
        shop.check()

    def test_orders_are_admitted_in_order_of_arrival(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("a", {"A": 3}), reserve("b", {"A": 3}), reserve("c", {"A": 2}))
        assert shop.told() == {"a": ["Reserved"], "b": ["ReservationFailed"], "c": ["Reserved"]}
        assert shop.answer("b")["items"][0]["available"] == 0
        shop.check()

    def test_a_sku_that_does_not_exist_wins_over_too_little_stock(self) -> None:
        shop = Shop({"A": 1})
        shop.settle(reserve("o", {"A": 2, "X": 1}))
        answer = shop.answer("o")
        assert answer["reason"] == "SKU_NOT_FOUND"
        assert [(item["sku"], item["reason"]) for item in answer["items"]] == [
            ("A", "INSUFFICIENT_STOCK"),
            ("X", "SKU_NOT_FOUND"),
        ]
        assert shop.stock == {"A": 1}
        shop.check()

    def test_no_ghost_of_an_unknown_sku_is_left(self) -> None:
        shop = Shop({})
        shop.settle(reserve("o", {"X": 1}))
        assert shop.stock == {}

    def test_the_same_sku_twice_is_added_up(self) -> None:
        shop = Shop({"A": 5})
        line = {"sku": "A", "quantity": 3}
        shop.settle(reserve("o", {}, items=[line, line]))
        assert shop.answer("o")["items"] == [
            {"sku": "A", "requested": 6, "available": 5, "reason": "INSUFFICIENT_STOCK"}
        ]

    @pytest.mark.parametrize(
        ("message", "field"),
        [
            (reserve("o", {}), "items"),
            (reserve("o", {"A": 0}), "items.0.quantity"),
            (reserve("o", {}, items=[{"sku": "A", "quantity": 1.5}]), "items.0.quantity"),
            (reserve("o", {"A B": 1}), "items.0.sku"),
            (without(reserve("o", {"A": 1}), "customer_id"), "customer_id"),
        ],
    )
    def test_a_bad_body_is_recorded_and_answered(self, message: Any, field: str) -> None:
        shop = Shop({"A": 1})
        assert shop.settle(message) == []
        assert shop.calls == HAPPY
        answer = shop.answer("o")
        assert (answer["reason"], [error["field"] for error in answer["errors"]]) == (
            "INVALID_REQUEST",
            [field],
        )
        record = shop.record("o")
        assert record is not None
        assert record["outcome"] == {"S": "REJECTED"}
        assert shop.stock == {"A": 1}
        shop.check()

    def test_a_hundred_skus_are_recorded_and_answered_as_too_many(self) -> None:
        shop = Shop({f"S{n}": 1 for n in range(100)})
        assert shop.settle(reserve("o", {f"S{n}": 1 for n in range(100)})) == []
        assert shop.answer("o")["reason"] == "TOO_MANY_ITEMS"
        assert set(shop.stock.values()) == {1}
        shop.check()

    def test_99_skus_are_taken(self) -> None:
        shop = Shop({f"S{n}": 1 for n in range(99)})
        assert shop.settle(reserve("o", {f"S{n}": 1 for n in range(99)})) == []
        assert shop.calls == HAPPY
        assert set(shop.stock.values()) == {0}
        shop.check()


class TestPoison:
    @pytest.mark.parametrize(
        "poison",
        [
            "not JSON",
            "[]",
            {"type": "Unknown", "order_id": "o"},
            reserve("not usable!", {"A": 1}),
            reserve("o", {"A": 1}, timestamp="2020-01-01T00:00:00Z"),
            release("o", timestamp="2020-01-01T00:00:00Z"),
        ],
    )
    def test_fails_alone(self, poison: Any) -> None:
        shop = Shop({"A": 2})
        assert shop.settle(reserve("a", {"A": 1}), poison, reserve("b", {"A": 1})) == [1]
        assert shop.calls == HAPPY
        assert shop.told() == {"a": ["Reserved"], "b": ["Reserved"]}
        shop.check()

    def test_a_batch_of_nothing_else_makes_no_call(self) -> None:
        shop = Shop()
        assert shop.settle("{", "[]") == [0, 1]
        assert shop.calls == []

    def test_a_message_as_old_as_a_record_may_be_is_not_applied(self) -> None:
        shop = Shop({"A": 2})
        age = timedelta(days=shop.stage.tables.record_ttl_days - 1)
        limit = datetime.fromtimestamp(shop.stage.clock.now, UTC) - age
        young, old = (limit + timedelta(seconds=seconds) for seconds in (1, -1))
        assert shop.settle(
            reserve("young", {"A": 1}, timestamp=young.isoformat()),
            reserve("old", {"A": 1}, timestamp=old.isoformat()),
        ) == [1]


class TestAgain:
    def test_an_order_that_was_answered_is_ignored(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}))
        assert shop.settle(reserve("o", {"A": 2})) == []
        assert shop.calls == [TRANSACT]
        assert shop.stock == {"A": 3}
        assert shop.told() == {"o": ["Reserved"]}
        shop.check()

    def test_a_redelivered_order_is_looked_up_first(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}))
        assert shop.settle(reserve("o", {"A": 2}), receives=2) == []
        assert shop.calls == [READ]
        assert shop.told() == {"o": ["Reserved"]}

    def test_a_redelivered_order_that_was_never_settled_costs_one_more_read(self) -> None:
        shop = Shop({"A": 5})
        assert shop.settle(reserve("o", {"A": 2}), receives=2) == []
        assert shop.calls == [READ, *HAPPY]
        shop.check()

    def test_two_duplicates_among_ten_take_one_more_try(self) -> None:
        shop = Shop({"A": 50})
        shop.settle(reserve("o3", {"A": 1}), reserve("o7", {"A": 1}))
        assert shop.settle(*(reserve(f"o{n}", {"A": 1}) for n in range(10))) == []
        assert shop.calls == [TRANSACT, TRANSACT, SEND, MARK]
        assert shop.stock == {"A": 40}
        assert set(map(len, shop.told().values())) == {1}
        shop.check()

    def test_an_answer_not_marked_is_sent_again_as_it_was_and_marked(self) -> None:
        shop = Shop({"A": 5})
        shop.fail(MARK, crash_before)
        with pytest.raises(Crash):
            shop.settle(reserve("o", {"A": 2}))
        assert shop.settle(reserve("o", {"A": 2})) == []
        assert shop.calls == [TRANSACT, SEND, MARK]
        first, second = shop.stage.sqs.history
        assert first.body == second.body
        assert shop.stock == {"A": 3}
        assert shop.settle(reserve("o", {"A": 2}), receives=2) == []
        assert shop.calls == [READ]
        shop.check()

    def test_the_same_order_twice_in_one_batch_is_answered_once(self) -> None:
        shop = Shop({"A": 5})
        assert shop.settle(reserve("o", {"A": 2}), reserve("o", {"A": 2}), reserve("o", {"A": 2})) == []
        assert shop.calls == HAPPY
        assert shop.stock == {"A": 3}
        assert shop.told() == {"o": ["Reserved"]}
        shop.check()

    def test_with_other_items_the_first_stands(self) -> None:
        shop = Shop({"A": 5, "B": 5})
        shop.settle(reserve("o", {"A": 2}))
        assert shop.settle(reserve("o", {"B": 1})) == []
        assert shop.stock == {"A": 3, "B": 5}
        assert shop.told() == {"o": ["Reserved"]}
        shop.check()

    def test_a_rejected_order_stays_rejected_when_the_stock_has_come(self) -> None:
        shop = Shop({"A": 1})
        shop.settle(reserve("o", {"A": 2}))
        shop.set_stock("A", 9)
        shop.initial["A"] = 9
        assert shop.settle(reserve("o", {"A": 2})) == []
        assert shop.stock == {"A": 9}
        assert shop.told() == {"o": ["ReservationFailed"]}
        shop.check()


class TestRelease:
    def test_of_a_reserved_order_gives_its_stock_back_once(self) -> None:
        shop = Shop({"A": 5, "B": 5})
        shop.settle(reserve("o", {"A": 2, "B": 1}))
        assert shop.settle(release("o")) == []
        assert shop.calls == [READ, *HAPPY]
        assert shop.stock == {"A": 5, "B": 5}
        released = shop.answers[1]
        assert released["type"] == "InventoryReleased"
        assert released["items"] == [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]
        assert released["event_id"] == event_id("o", AnswerType.RELEASED)
        assert shop.settle(release("o")) == []
        assert shop.calls == [READ]
        assert shop.stock == {"A": 5, "B": 5}
        assert shop.told() == {"o": ["Reserved", "Released"]}
        shop.check()

    def test_its_answer_is_stored_beside_the_first(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}))
        first = shop.record("o")
        shop.stage.clock.advance(60)
        shop.settle(release("o"))
        record = shop.record("o")
        assert first is not None
        assert record is not None
        assert record["outcome"] == {"S": "RELEASED"}
        assert (record["event"], record["published_at"]) == (first["event"], first["published_at"])
        assert record["release_event"]["S"] == shop.stage.sqs.history[1].body
        assert "release_published_at" in record
        assert record["created_at"] == first["created_at"]

    def test_the_record_starts_its_life_anew(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}))
        shop.stage.clock.advance(50 * 86_400)
        shop.settle(release("o", timestamp="2025-08-04T00:00:00Z"))
        record = shop.record("o")
        assert record is not None
        lifetime = int(record["ttl"]["N"]) - shop.stage.clock.now
        assert lifetime == pytest.approx(shop.stage.tables.record_ttl_days * 86_400, abs=1)

    def test_the_first_answer_goes_out_first_if_it_is_still_owed(self) -> None:
        shop = Shop({"A": 5})
        shop.fail(SEND, crash_before)
        with pytest.raises(Crash):
            shop.settle(reserve("o", {"A": 2}))
        assert shop.settle(release("o")) == []
        assert shop.calls == [READ, SEND, TRANSACT, SEND, MARK]
        assert shop.told() == {"o": ["Reserved", "Released"]}
        record = shop.record("o")
        assert record is not None
        assert "published_at" in record
        shop.check()

    def test_the_first_answer_goes_out_once_however_often_the_release_is_tried(self) -> None:
        shop = Shop({"A": 5})
        shop.fail(SEND, crash_before)
        with pytest.raises(Crash):
            shop.settle(reserve("o", {"A": 2}))
        shop.fail(TRANSACT, Conflict([0]), Conflict([0]))
        assert shop.settle(release("o")) == []
        assert shop.told() == {"o": ["Reserved", "Released"]}

    def test_of_an_unknown_order_leaves_a_tombstone_that_keeps_a_late_reserve_from_the_stock(self) -> None:
        shop = Shop({"A": 5})
        assert shop.settle(release("o")) == []
        assert shop.calls == [READ, *HAPPY]
        assert shop.answer("o")["items"] == []
        assert shop.settle(reserve("o", {"A": 2})) == []
        assert shop.stock == {"A": 5}
        assert shop.told() == {"o": ["Released"]}
        shop.check()

    def test_of_a_rejected_order_changes_nothing_and_has_no_answer_of_its_own(self) -> None:
        shop = Shop({"A": 1})
        shop.settle(reserve("o", {"A": 2}))
        before = shop.record("o")
        assert shop.settle(release("o")) == []
        assert shop.calls == [READ]
        assert shop.record("o") == before
        assert shop.told() == {"o": ["ReservationFailed"]}
        shop.check()

    def test_of_a_rejected_order_sends_the_answer_that_is_still_owed(self) -> None:
        shop = Shop({"A": 1})
        shop.fail(SEND, crash_before)
        with pytest.raises(Crash):
            shop.settle(reserve("o", {"A": 2}))
        assert shop.settle(release("o")) == []
        assert shop.told() == {"o": ["ReservationFailed"]}
        record = shop.record("o")
        assert record is not None
        assert "published_at" in record
        shop.check()

    def test_that_was_recorded_but_not_answered_is_answered_as_it_was(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}))
        shop.fail(MARK, crash_before)
        with pytest.raises(Crash):
            shop.settle(release("o"))
        assert shop.settle(release("o"), receives=2) == []
        assert shop.calls == [READ, SEND, MARK]
        assert shop.stage.sqs.history[1].body == shop.stage.sqs.history[2].body
        assert shop.stock == {"A": 5}
        shop.check()

    def test_names_the_skus_that_no_longer_exist(self) -> None:
        shop = Shop({"A": 5, "X": 2})
        shop.settle(reserve("o", {"A": 2, "X": 2}))
        shop.stage.dynamodb.delete_item(TableName=shop.stage.tables.inventory_table, Key={"sku": {"S": "X"}})
        assert shop.settle(release("o")) == []
        assert shop.calls == [READ, TRANSACT, *HAPPY]
        released = shop.answers[1]
        assert (released["items"], released["missing"]) == ([{"sku": "A", "quantity": 2}], ["X"])
        assert shop.stock == {"A": 5}
        shop.check()

    def test_gives_back_to_a_sku_that_came_back(self) -> None:
        shop = Shop({"X": 2})
        shop.settle(reserve("o", {"X": 2}), reserve("p", {"X": 0}))

        def recreate(call: Any) -> Any:
            shop.set_stock("X", 0)
            return call.proceed()

        shop.stage.dynamodb.delete_item(TableName=shop.stage.tables.inventory_table, Key={"sku": {"S": "X"}})
        shop.fail(TRANSACT, None, recreate)
        assert shop.settle(release("o")) == []
        assert shop.stock == {"X": 2}
        assert "missing" not in shop.answers[-1]
        shop.check()

    def test_many_orders_take_as_many_calls_as_one(self) -> None:
        shop = Shop({"A": 100})
        shop.settle(*(reserve(f"o{n}", {"A": 2}) for n in range(10)))
        assert shop.settle(*(release(f"o{n}") for n in range(10))) == []
        assert shop.calls == [READ, *HAPPY]
        assert shop.stock == {"A": 100}
        shop.check()

    def test_twice_in_one_batch_is_answered_once(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}))
        assert shop.settle(release("o"), release("o", reason="again")) == []
        assert shop.told() == {"o": ["Reserved", "Released"]}
        assert shop.stock == {"A": 5}


class TestReserveAndReleaseInOneBatch:
    @pytest.mark.parametrize("release_first", [True, False])
    def test_the_release_stands_for_both_and_no_stock_is_taken(self, release_first: bool) -> None:
        shop = Shop({"A": 5})
        both = [release("o"), reserve("o", {"A": 2})]
        assert shop.settle(*(both if release_first else reversed(both)), reserve("p", {"A": 1})) == []
        assert shop.stock == {"A": 4}
        assert shop.told() == {"o": ["Released"], "p": ["Reserved"]}
        shop.check()

    def test_they_never_share_a_transaction(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}), release("o"))
        for call in shop.script.calls:
            if call.operation == TRANSACT:
                keys = [
                    str(request) for action in call.parameters["TransactItems"] for request in action.values()
                ]
                assert sum("'order_id'" in key for key in keys) <= 1

    def test_of_a_reserved_order_releases_it_and_ignores_the_repeat(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}))
        assert shop.settle(reserve("o", {"A": 2}), release("o")) == []
        assert shop.stock == {"A": 5}
        assert shop.told() == {"o": ["Reserved", "Released"]}
        shop.check()
