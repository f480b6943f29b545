"""What goes wrong with transactions, and what becomes of the orders."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError, ParamValidationError

from chalicelib.core.packing import MAX_ACTIONS
from tests.support.engines import Crash
from tests.support.engines.errors import invalid
from tests.support.engines.faults import (
    Conflict,
    FewReasons,
    crash_after,
    crash_before,
    failed_after_effect,
    reset_after_effect,
    sent_twice,
    throttled,
    timed_out_after_effect,
    timed_out_before_effect,
    unavailable,
    unreachable,
)
from tests.support.engines.network import Call, Fault
from tests.support.messages import release, reserve
from tests.unit.consumer.shop import LIMIT_SECONDS, MARK, READ, SEND, TRANSACT, Shop
from tests.unit.consumer.trouble import FOREVER, if_it_holds, names, orders, refused


class TestConflicts:
    @pytest.mark.parametrize(
        "code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
    )
    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_other_traffic_is_tried_again_and_never_read_as_out_of_stock(self, code: str, index: int) -> None:
        shop = Shop({"A": 9})
        shop.fail(TRANSACT, Conflict([index], code))
        assert shop.settle(*orders(2, A=1)) == []
        assert shop.calls == [TRANSACT, TRANSACT, SEND, MARK]
        assert shop.told() == {"o0": ["Reserved"], "o1": ["Reserved"]}
        shop.check()

    @pytest.mark.parametrize(
        "code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
    )
    def test_mixed_with_a_failed_condition_each_is_read_as_what_it_is(self, code: str) -> None:
        shop = Shop({"A": 9, "B": 0, "C": 9})
        shop.settle(reserve("d", {"C": 1}))
        # Actions: A, B, C, then the records. A is hot, B is short, d is a duplicate.
        shop.fail(TRANSACT, Conflict([0], code))
        batch = [reserve("a", {"A": 1}), reserve("b", {"B": 1}), reserve("d", {"C": 1})]
        assert shop.settle(*batch) == []
        assert shop.calls == [TRANSACT, TRANSACT, SEND, MARK]
        assert shop.told() == {"d": ["Reserved"], "a": ["Reserved"], "b": ["ReservationFailed"]}
        assert shop.stock == {"A": 8, "B": 0, "C": 8}
        shop.check()

    def test_a_group_that_keeps_losing_is_halved(self) -> None:
        shop = Shop({"A": 99, "B": 99})
        shop.fail(TRANSACT, *[Conflict([0])] * 3)
        assert shop.settle(*orders(8, A=1)) == []
        transactions = [call for call in shop.script.calls if call.operation == TRANSACT]
        assert [len(names(call) - {"A"}) for call in transactions] == [8, 8, 8, 4, 4]
        shop.check()

    def test_a_group_that_is_throttled_is_not(self) -> None:
        shop = Shop({"A": 99})
        shop.fail(TRANSACT, *[throttled] * 7)
        assert shop.settle(*orders(8, A=1)) == []
        assert shop.counts == {TRANSACT: 8, SEND: 1, MARK: 1}

    def test_a_group_that_loses_goes_behind_its_neighbours(self) -> None:
        shop = Shop({"A": 99, "B": 99})
        batch = [*(reserve(f"a{n}", {"A": 1}) for n in range(99)), reserve("b", {"B": 1})]
        shop.fail(TRANSACT, Conflict([0]))
        assert shop.settle(*batch) == []
        assert shop.answers[0]["order_id"] == "b"

    def test_an_order_on_a_sku_that_never_rests_fails_alone(self) -> None:
        shop = Shop({"HOT": 99, "B": 99})
        shop.fail(TRANSACT, *[if_it_holds("HOT", Conflict([0]))] * FOREVER)
        batch = [reserve(f"b{n}", {"B": 1}) for n in range(7)]
        assert shop.settle(*batch[:3], reserve("hot", {"HOT": 1}), *batch[3:]) == [3]
        assert shop.told() == {f"b{n}": ["Reserved"] for n in range(7)}

    def test_a_release_that_never_gets_through_does_not_hold_back_the_reserves(self) -> None:
        shop = Shop({"HOT": 99, "B": 9_999})
        shop.settle(reserve("hot", {"HOT": 1}))
        shop.fail(TRANSACT, *[if_it_holds("HOT", Conflict([0]))] * FOREVER)
        shop.script.seconds = 0.02
        batch = [reserve(f"b{n}", {"B": 1}) for n in range(1_000)]
        assert shop.settle(release("hot"), *batch, release("c")) == [0]
        assert shop.told() == {
            "hot": ["Reserved"],
            "c": ["Released"],
            **{f"b{n}": ["Reserved"] for n in range(1_000)},
        }

    def test_a_release_that_never_gets_through_does_not_hold_back_other_releases(self) -> None:
        shop = Shop({"HOT": 99})
        shop.settle(reserve("hot", {"HOT": 1}))
        shop.fail(TRANSACT, *[if_it_holds("HOT", Conflict([0]))] * FOREVER)
        shop.script.seconds = 0.02
        batch = [release(f"r{n}") for n in range(500)]
        assert shop.settle(release("hot"), *batch) == [0]
        assert shop.counts[READ] == 6

    def test_a_release_alone_may_use_all_of_the_time(self) -> None:
        shop = Shop({"HOT": 99})
        shop.settle(reserve("hot", {"HOT": 1}))
        begin = shop.stage.clock.now

        def till_late(call: Call) -> Any:
            late = shop.stage.clock.now > begin + LIMIT_SECONDS * 0.7
            return call.proceed() if late else Conflict([0])(call)

        shop.fail(TRANSACT, *[till_late] * FOREVER)
        assert shop.settle(release("hot")) == []

    def test_stock_that_changes_at_every_try_is_contention_and_not_an_answer(self) -> None:
        shop = Shop({"A": 1, "B": 9})

        def changing(call: Call) -> Any:
            if "A" in names(call):
                shop.set_stock("A", 0 if shop.stock["A"] else 1)
            return call.proceed()

        shop.fail(TRANSACT, *[changing] * FOREVER)
        assert shop.settle(reserve("a", {"A": 1}), reserve("b", {"B": 1})) == [0]
        assert shop.told() == {"b": ["Reserved"]}
        assert shop.record("a") is None

    def test_orders_that_change_at_every_try_are_not_released_on_a_guess(self) -> None:
        shop = Shop({"A": 9})
        shop.settle(reserve("o", {"A": 2}))
        table, key = shop.stage.tables.inventory_table, {"sku": {"S": "A"}}

        def coming_and_going(call: Call) -> Any:
            if "A" in shop.stock:
                shop.stage.dynamodb.delete_item(TableName=table, Key=key)
            else:
                shop.set_stock("A", 0)
            return call.proceed()

        shop.fail(TRANSACT, *[coming_and_going] * FOREVER)
        assert shop.settle(release("o")) == [0]
        assert shop.told() == {"o": ["Reserved"]}

    def test_failures_told_one_at_a_time_are_learnt_one_at_a_time(self) -> None:
        shop = Shop({f"S{n}": n % 2 for n in range(12)})
        shop.fail(TRANSACT, *[FewReasons(Random(3))] * FOREVER)
        assert shop.settle(*(reserve(f"o{n}", {f"S{n}": 1}) for n in range(12))) == []
        assert {order: told[0] for order, told in shop.told().items()} == {
            f"o{n}": "Reserved" if n % 2 else "ReservationFailed" for n in range(12)
        }
        shop.check()


class TestLostAnswers:
    @pytest.mark.parametrize("fault", [timed_out_before_effect, unreachable, unavailable, throttled])
    def test_a_transaction_that_did_not_arrive_is_tried_again(self, fault: Fault) -> None:
        shop = Shop({"A": 9})
        shop.fail(TRANSACT, fault)
        assert shop.settle(*orders(2, A=2)) == []
        assert shop.stock == {"A": 5}
        assert shop.told() == {"o0": ["Reserved"], "o1": ["Reserved"]}
        shop.check()

    @pytest.mark.parametrize(
        "fault", [timed_out_after_effect, reset_after_effect, failed_after_effect, sent_twice]
    )
    def test_a_transaction_whose_answer_is_lost_takes_the_stock_once(self, fault: Fault) -> None:
        shop = Shop({"A": 9})
        shop.fail(TRANSACT, fault)
        assert shop.settle(*orders(2, A=2)) == []
        assert shop.settle(*orders(2, A=2), receives=2) == []
        assert shop.stock == {"A": 5}
        assert shop.told() == {"o0": ["Reserved"], "o1": ["Reserved"]}
        shop.check()

    @pytest.mark.parametrize("fault", [timed_out_after_effect, reset_after_effect, failed_after_effect])
    def test_a_release_whose_answer_is_lost_gives_back_once(self, fault: Fault) -> None:
        shop = Shop({"A": 3})
        shop.settle(reserve("o", {"A": 2}))
        shop.fail(TRANSACT, fault)
        assert shop.settle(release("o"), release("unknown")) == []
        assert shop.stock == {"A": 3}
        assert shop.told() == {"o": ["Reserved", "Released"], "unknown": ["Released"]}
        shop.check()


class TestCrashes:
    @pytest.mark.parametrize("fault", [crash_before, crash_after])
    @pytest.mark.parametrize("operation", [TRANSACT, SEND, MARK])
    def test_a_process_that_dies_while_it_reserves_is_made_good_at_redelivery(
        self, operation: str, fault: Fault
    ) -> None:
        shop = Shop({"A": 3})
        shop.fail(operation, fault)
        with pytest.raises(Crash):
            shop.settle(*orders(2, A=1))
        shop.consumer = shop.new_consumer()
        assert shop.settle(*orders(2, A=1), receives=2) == []
        assert shop.stock == {"A": 1}
        assert {order: set(told) for order, told in shop.told().items()} == {
            "o0": {"Reserved"},
            "o1": {"Reserved"},
        }
        shop.check()

    @pytest.mark.parametrize("fault", [crash_before, crash_after])
    @pytest.mark.parametrize("operation", [READ, TRANSACT, SEND, MARK])
    def test_a_process_that_dies_while_it_releases_is_made_good_at_redelivery(
        self, operation: str, fault: Fault
    ) -> None:
        shop = Shop({"A": 3})
        shop.settle(reserve("o", {"A": 2}))
        shop.fail(operation, fault)
        with pytest.raises(Crash):
            shop.settle(release("o"))
        shop.consumer = shop.new_consumer()
        assert shop.settle(release("o"), receives=2) == []
        assert shop.stock == {"A": 3}
        assert set(shop.told()["o"]) == {"Reserved", "Released"}
        shop.check()


class TestCulprits:
    @pytest.mark.parametrize(
        "fault",
        [
            lambda call: (_ for _ in ()).throw(call.refuse(invalid("Item size has exceeded 400 KB"))),
            lambda call: (_ for _ in ()).throw(ParamValidationError(report="bad")),
            lambda call: (_ for _ in ()).throw(ZeroDivisionError("unforeseen")),
        ],
        ids=["refused by DynamoDB", "refused by botocore", "unforeseen"],
    )
    def test_a_group_is_halved_round_its_culprit_and_only_its_message_fails(self, fault: Fault) -> None:
        shop = Shop({"A": 99})
        shop.fail(TRANSACT, *[if_it_holds("o11", fault)] * FOREVER)
        assert shop.settle(*orders(32, A=1)) == [11]
        assert shop.told() == {f"o{n}": ["Reserved"] for n in range(32) if n != 11}
        # One failing try for each halving of 32, and one settled half beside each.
        assert shop.counts[TRANSACT] == 6 + 5
        assert shop.stock == {"A": 68}
        shop.check()

    def test_a_reason_that_is_no_condition_and_no_traffic_is_halved_too(self) -> None:
        shop = Shop({"A": 99, "B": 99})
        shop.fail(TRANSACT, *[if_it_holds("B", Conflict([0], "ValidationError"))] * FOREVER)
        assert shop.settle(*orders(4, A=1), reserve("b", {"B": 1})) == [4]
        shop.check()

    def test_a_spoilt_stock_item_fails_only_the_orders_that_ask_for_it(self) -> None:
        shop = Shop({"A": 99})
        item = {"sku": {"S": "BAD"}, "quantity": {"S": "many"}}
        shop.stage.dynamodb.put_item(TableName=shop.stage.tables.inventory_table, Item=item)
        assert shop.settle(*orders(5, A=1), reserve("bad", {"A": 1, "BAD": 1})) == [5]
        assert shop.told() == {f"o{n}": ["Reserved"] for n in range(5)}

    def test_a_spoilt_record_fails_only_its_own_order(self) -> None:
        shop = Shop({"A": 99})
        item = {"order_id": {"S": "o2"}, "outcome": {"S": "PERHAPS"}}
        shop.stage.dynamodb.put_item(TableName=shop.stage.tables.processed_events_table, Item=item)
        assert shop.settle(*orders(5, A=1)) == [2]
        assert shop.settle(release("o2"), release("o3")) == [0]

    def test_releases_are_halved_round_their_culprit(self) -> None:
        shop = Shop({"A": 99})
        shop.settle(*orders(8, A=1))
        shop.fail(TRANSACT, *[if_it_holds("o5", refused("ValidationException"))] * FOREVER)
        assert shop.settle(*(release(f"o{n}") for n in range(8))) == [5]
        assert shop.stock == {"A": 98}

    @pytest.mark.parametrize(
        "fault",
        [
            refused("AccessDeniedException"),
            refused("ResourceNotFoundException"),
            refused("UnrecognizedClientException"),
            refused("ExpiredTokenException"),
            lambda call: (_ for _ in ()).throw(NoCredentialsError()),
        ],
        ids=["denied", "no table", "unknown client", "expired", "no credentials"],
    )
    def test_what_fails_whatever_the_orders_is_not_halved(self, fault: Fault) -> None:
        shop = Shop({"A": 99})
        shop.fail(TRANSACT, *[fault] * FOREVER)
        assert shop.settle(*orders(64, A=1)) == list(range(64))
        assert shop.counts == {TRANSACT: 1}

    def test_more_actions_than_a_transaction_holds_are_halved(self) -> None:
        # Unknown when read, these orders turn out to hold 20 SKUs each when they are released.
        skus = [f"S{n}" for n in range(200)]
        shop = Shop(dict.fromkeys(skus, 1))
        batch = [reserve(f"o{n}", dict.fromkeys(skus[n * 20 : n * 20 + 20], 1)) for n in range(10)]

        def reserved_meanwhile(call: Call) -> Any:
            messages = [shop.message(body) for body in batch]
            assert shop.new_consumer().settle(messages, shop.pace()) == set()
            return call.proceed()

        shop.fail(TRANSACT, reserved_meanwhile)
        assert shop.settle(*(release(f"o{n}") for n in range(10))) == []
        assert set(shop.stock.values()) == {1}
        assert all(told == ["Reserved", "Released"] for told in shop.told().values())
        largest = max(len(names(call)) for call in shop.script.calls if call.operation == TRANSACT)
        assert largest > MAX_ACTIONS
        shop.check()
