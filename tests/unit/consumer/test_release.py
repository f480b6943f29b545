"""The effect of a `ReleaseInventory` in each state of the order, and how many calls it takes."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.contracts.events import event_id
from chalicelib.domain.reservation import AnswerType
from tests.support.messages import release, reserve, text
from tests.unit.consumer.consumer_harness import (
    HAPPY_PATH,
    READ,
    REMOVE,
    SEND,
    TRANSACT,
    ConsumerHarness,
    as_version_1_1,
)


class TestRelease:
    def test_a_release_of_a_reserved_order_returns_its_stock_once(self) -> None:
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

    def test_the_answer_of_a_release_is_stored_beside_the_first(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        first = harness.record("o")
        harness.stage.clock.advance(60)
        harness.settle(release("o"))
        record = harness.record("o")
        assert first is not None
        assert record is not None
        assert record["outcome"] == {"S": "RELEASED"}
        assert {record[name]["S"] for name in ("event", "created_at")} == {
            first[name]["S"] for name in ("event", "created_at")
        }
        (operation,) = record["operations"]["L"]
        assert operation["M"]["event"]["S"] == harness.stage.sqs.history[1].body
        assert record["change"] != first["change"]

    def test_the_record_of_a_released_order_expires(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        harness.stage.clock.advance(50 * 86_400)
        harness.settle(release("o", timestamp="2025-08-04T00:00:00Z"))
        record = harness.record("o")
        assert record is not None
        lifetime = int(record["ttl"]["N"]) - harness.stage.clock.now
        assert lifetime == pytest.approx(harness.stage.tables.record_ttl_days * 86_400, abs=1)

    def test_a_release_does_not_wait_for_the_first_answer(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.crash_before_call(SEND, reserve("o", {"A": 2}))
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ, *HAPPY_PATH]
        assert harness.answer_types() == {"o": ["Released"]}
        harness.check()
        harness.sweep()
        assert harness.answer_types() == {"o": ["Released", "Reserved"]}
        assert harness.outbox == []
        harness.check()

    def test_a_release_of_an_unknown_order_leaves_a_tombstone_that_blocks_a_late_reserve(self) -> None:
        harness = ConsumerHarness({"A": 5})
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ, *HAPPY_PATH]
        assert harness.answer("o")["items"] == []
        assert harness.settle(reserve("o", {"A": 2})) == []
        assert harness.stock == {"A": 5}
        assert harness.answer_types() == {"o": ["Released"]}
        harness.check()

    def test_a_release_of_a_rejected_order_changes_nothing_and_has_no_answer(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("o", {"A": 2}))
        before = harness.record("o")
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ]
        assert harness.record("o") == before
        assert harness.answer_types() == {"o": ["ReservationFailed"]}
        harness.check()

    def test_an_answer_whose_sender_died_is_sent_by_the_sweep_unchanged(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        harness.crash_before_call(REMOVE, release("o"))
        assert harness.settle(release("o"), receives=2) == []
        assert harness.calls == [READ]
        harness.sweep()
        assert harness.stage.sqs.history[1].body == harness.stage.sqs.history[2].body
        assert harness.stock == {"A": 5}
        harness.check()

    def test_a_release_names_the_skus_that_no_longer_exist(self) -> None:
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

    def test_a_release_returns_stock_to_a_sku_that_was_created_again(self) -> None:
        # Only what version 1.1 reserved: a product of which units are reserved is not deleted any more.
        harness = ConsumerHarness({"X": 2})
        harness.settle(reserve("o", {"X": 2}), reserve("p", {"X": 0}))
        as_version_1_1(harness, "o")

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

    def test_releases_of_many_orders_take_as_many_calls_as_one(self) -> None:
        harness = ConsumerHarness({"A": 100})
        harness.settle(*(reserve(f"o{n}", {"A": 2}) for n in range(10)))
        assert harness.settle(*(release(f"o{n}") for n in range(10))) == []
        assert harness.calls == [READ, *HAPPY_PATH]
        assert harness.stock == {"A": 100}
        harness.check()

    def test_a_release_that_is_repeated_in_a_batch_is_answered_once(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(release("o"), release("o", reason="again")) == []
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}
        assert harness.stock == {"A": 5}

    @pytest.mark.parametrize(
        "message",
        [
            release("o", timestamp="yesterday", reason=["none"]),
            text(release("o")).replace('"timestamp"', '"reason": 1, "reason": "\\ud800", "timestamp"'),
            {"type": "ReleaseInventory", "order_id": "o"},
        ],
    )
    def test_a_release_needs_no_more_than_its_order_id(self, message: Any) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(message) == []
        assert harness.stock == {"A": 5}
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}
        harness.check()

    def test_a_release_older_than_the_records_is_not_applied(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(release("o", timestamp="2020-01-01T00:00:00Z")) == [0]
        assert harness.stock == {"A": 3}


class TestReserveAndReleaseInOneBatch:
    def test_a_release_that_comes_first_is_the_answer_to_both_and_no_stock_is_taken(self) -> None:
        harness = ConsumerHarness({"A": 5})
        assert harness.settle(release("o"), reserve("o", {"A": 2}), reserve("p", {"A": 1})) == []
        assert harness.stock == {"A": 4}
        assert harness.answer_types() == {"o": ["Released"], "p": ["Reserved"]}
        harness.check()

    def test_a_release_that_comes_second_gives_back_what_was_reserved(self) -> None:
        harness = ConsumerHarness({"A": 5})
        assert harness.settle(reserve("o", {"A": 2}), release("o"), reserve("p", {"A": 1})) == []
        assert harness.stock == {"A": 4}
        assert harness.answer_types() == {"o": ["Reserved", "Released"], "p": ["Reserved"]}
        harness.check()

    def test_a_reserve_and_a_release_never_share_a_transaction(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}), release("o"))
        for call in harness.script.calls:
            if call.operation == TRANSACT:
                keys = [
                    str(request) for action in call.parameters["TransactItems"] for request in action.values()
                ]
                assert sum("'order_id'" in key for key in keys) <= 1

    def test_a_reserved_order_is_released_and_its_repeated_reserve_ignored(self) -> None:
        harness = ConsumerHarness({"A": 5})
        harness.settle(reserve("o", {"A": 2}))
        assert harness.settle(reserve("o", {"A": 2}), release("o")) == []
        assert harness.stock == {"A": 5}
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}
        harness.check()
