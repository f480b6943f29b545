"""What happens to a `ReleaseInventory`, by the rows of the design's table, and how many calls it takes."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.core.answers import AnswerType, event_id
from tests.support.engines.faults import Conflict
from tests.support.messages import release, reserve
from tests.unit.consumer.consumer_harness import (
    HAPPY_PATH,
    MARK,
    READ,
    SEND,
    TRANSACT,
    ConsumerHarness,
    refused,
)


class TestRelease:
    def test_of_a_reserved_order_gives_its_stock_back_once(self) -> None:
        harness = ConsumerHarness({"A": 5, "B": 5})
        harness.settle(reserve("o", {"A": 2, "B": 1}))
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ, *HAPPY_PATH]
        assert harness.stock == {"A": 5, "B": 5}
        released = harness.answers[1]
        assert released["type"] == "InventoryReleased"
        assert released["items"] == [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]
        assert released["event_id"] == event_id("o", AnswerType.RELEASED)
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ]
        assert harness.stock == {"A": 5, "B": 5}
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}
        harness.check()

    def test_its_answer_is_stored_beside_the_first(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        first = harness.record("o")
        harness.stage.clock.advance(60)
        harness.settle(release("o"))
        record = harness.record("o")
        assert first is not None
        assert record is not None
        assert record["outcome"] == {"S": "RELEASED"}
        assert (record["event"], record["published_at"]) == (first["event"], first["published_at"])
        assert record["release_event"]["S"] == harness.stage.sqs.history[1].body
        assert "release_published_at" in record
        assert record["created_at"] == first["created_at"]

    def test_the_record_starts_its_life_anew(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        harness.stage.clock.advance(50 * 86_400)
        harness.settle(release("o", timestamp="2025-08-04T00:00:00Z"))
        record = harness.record("o")
        assert record is not None
        lifetime = int(record["ttl"]["N"]) - harness.stage.clock.now
        assert lifetime == pytest.approx(harness.stage.tables.record_ttl_days * 86_400, abs=1)

    def test_the_first_answer_goes_out_first_if_it_is_still_owed(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.crash_before_call(SEND, reserve("o", {"A": 2}))
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ, SEND, TRANSACT, SEND, MARK]
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}
        record = harness.record("o")
        assert record is not None
        assert "published_at" in record
        harness.check()

    def test_the_first_answer_goes_out_once_however_often_the_release_is_tried(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.crash_before_call(SEND, reserve("o", {"A": 2}))
        harness.fail(TRANSACT, Conflict([0]), Conflict([0]))
        assert harness.settle(release("o")) == []
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}

    def test_an_order_whose_first_answer_is_refused_is_not_released(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.crash_before_call(SEND, reserve("o", {"A": 2}))
        harness.fail(SEND, refused("AccessDenied"))
        assert harness.settle(release("o"), release("p")) == [0]
        assert harness.answer_types() == {"p": ["Released"]}
        assert harness.stock == {"A": 3}
        assert harness.settle(release("o"), receives=2) == []
        assert harness.answer_types()["o"] == ["Reserved", "Released"]
        harness.check()

    def test_of_an_unknown_order_leaves_a_tombstone_that_keeps_a_late_reserve_from_the_stock(self) -> None:
        harness = ConsumerHarness({"A": 5})
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ, *HAPPY_PATH]
        assert harness.answer("o")["items"] == []
        assert harness.settle(reserve("o", {"A": 2})) == []
        assert harness.stock == {"A": 5}
        assert harness.answer_types() == {"o": ["Released"]}
        harness.check()

    def test_of_a_rejected_order_changes_nothing_and_has_no_answer_of_its_own(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("o", {"A": 2}))
        before = harness.record("o")
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ]
        assert harness.record("o") == before
        assert harness.answer_types() == {"o": ["ReservationFailed"]}
        harness.check()

    def test_of_a_rejected_order_sends_the_answer_that_is_still_owed(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.crash_before_call(SEND, reserve("o", {"A": 2}))
        assert harness.settle(release("o")) == []
        assert harness.answer_types() == {"o": ["ReservationFailed"]}
        record = harness.record("o")
        assert record is not None
        assert "published_at" in record
        harness.check()

    def test_that_was_recorded_but_not_answered_is_answered_as_it_was(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        harness.crash_before_call(MARK, release("o"))
        assert harness.settle(release("o"), receives=2) == []
        assert harness.calls == [READ, SEND, MARK]
        assert harness.stage.sqs.history[1].body == harness.stage.sqs.history[2].body
        assert harness.stock == {"A": 5}
        harness.check()

    def test_names_the_skus_that_no_longer_exist(self) -> None:
        harness = ConsumerHarness({"A": 5, "X": 2})
        harness.settle(reserve("o", {"A": 2, "X": 2}))
        harness.stage.dynamodb.delete_item(
            TableName=harness.stage.tables.inventory_table, Key={"sku": {"S": "X"}}
        )
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ, TRANSACT, *HAPPY_PATH]
        released = harness.answers[1]
        assert (released["items"], released["missing"]) == ([{"sku": "A", "quantity": 2}], ["X"])
        assert harness.stock == {"A": 5}
        harness.check()

    def test_gives_back_to_a_sku_that_came_back(self) -> None:
        harness = ConsumerHarness({"X": 2})
        harness.settle(reserve("o", {"X": 2}), reserve("p", {"X": 0}))

        def recreate(call: Any) -> Any:
            harness.set_stock("X", 0)
            return call.proceed()

        harness.stage.dynamodb.delete_item(
            TableName=harness.stage.tables.inventory_table, Key={"sku": {"S": "X"}}
        )
        harness.fail(TRANSACT, None, recreate)
        assert harness.settle(release("o")) == []
        assert harness.stock == {"X": 2}
        assert "missing" not in harness.answers[-1]
        harness.check()

    def test_many_orders_take_as_many_calls_as_one(self) -> None:
        harness = ConsumerHarness({"A": 100})
        harness.settle(*(reserve(f"o{n}", {"A": 2}) for n in range(10)))
        assert harness.settle(*(release(f"o{n}") for n in range(10))) == []
        assert harness.calls == [READ, *HAPPY_PATH]
        assert harness.stock == {"A": 100}
        harness.check()

    def test_twice_in_one_batch_is_answered_once(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(release("o"), release("o", reason="again")) == []
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}
        assert harness.stock == {"A": 5}


class TestReserveAndReleaseInOneBatch:
    @pytest.mark.parametrize("release_first", [True, False])
    def test_the_release_stands_for_both_and_no_stock_is_taken(self, release_first: bool) -> None:
        harness = ConsumerHarness({"A": 5})
        both = [release("o"), reserve("o", {"A": 2})]
        assert harness.settle(*(both if release_first else reversed(both)), reserve("p", {"A": 1})) == []
        assert harness.stock == {"A": 4}
        assert harness.answer_types() == {"o": ["Released"], "p": ["Reserved"]}
        harness.check()

    def test_they_never_share_a_transaction(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}), release("o"))
        for call in harness.script.calls:
            if call.operation == TRANSACT:
                keys = [
                    str(request) for action in call.parameters["TransactItems"] for request in action.values()
                ]
                assert sum("'order_id'" in key for key in keys) <= 1

    def test_of_a_reserved_order_releases_it_and_ignores_the_repeat(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(reserve("o", {"A": 2}), release("o")) == []
        assert harness.stock == {"A": 5}
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}
        harness.check()
