"""What happens to a `ReleaseInventory`, by the rows of the design's table, and how many calls it takes."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.core.answers import AnswerType, event_id
from tests.support.engines.faults import Conflict
from tests.support.messages import release, reserve
from tests.unit.consumer.shop import HAPPY, MARK, READ, SEND, TRANSACT, Shop
from tests.unit.consumer.trouble import refused


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
        shop.die_before(SEND, reserve("o", {"A": 2}))
        assert shop.settle(release("o")) == []
        assert shop.calls == [READ, SEND, TRANSACT, SEND, MARK]
        assert shop.told() == {"o": ["Reserved", "Released"]}
        record = shop.record("o")
        assert record is not None
        assert "published_at" in record
        shop.check()

    def test_the_first_answer_goes_out_once_however_often_the_release_is_tried(self) -> None:
        shop = Shop({"A": 5})
        shop.die_before(SEND, reserve("o", {"A": 2}))
        shop.fail(TRANSACT, Conflict([0]), Conflict([0]))
        assert shop.settle(release("o")) == []
        assert shop.told() == {"o": ["Reserved", "Released"]}

    def test_an_order_whose_first_answer_is_refused_is_not_released(self) -> None:
        shop = Shop({"A": 5})
        shop.die_before(SEND, reserve("o", {"A": 2}))
        shop.fail(SEND, refused("AccessDenied"))
        assert shop.settle(release("o"), release("p")) == [0]
        assert shop.told() == {"p": ["Released"]}
        assert shop.stock == {"A": 3}
        assert shop.settle(release("o"), receives=2) == []
        assert shop.told()["o"] == ["Reserved", "Released"]
        shop.check()

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
        shop.die_before(SEND, reserve("o", {"A": 2}))
        assert shop.settle(release("o")) == []
        assert shop.told() == {"o": ["ReservationFailed"]}
        record = shop.record("o")
        assert record is not None
        assert "published_at" in record
        shop.check()

    def test_that_was_recorded_but_not_answered_is_answered_as_it_was(self) -> None:
        shop = Shop({"A": 5})
        shop.settle(reserve("o", {"A": 2}))
        shop.die_before(MARK, release("o"))
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
