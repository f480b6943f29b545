"""Failures of transactions, and their effect on the orders."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError, ParamValidationError

from chalicelib.domain.planner import MAX_ACTIONS
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
from tests.unit.consumer.consumer_harness import (
    FOREVER,
    LIMIT_SECONDS,
    NARROW,
    READ,
    REMOVE,
    SEND,
    TRANSACT,
    ConsumerHarness,
    if_it_names,
    names,
    orders,
    refused,
)


class TestConflicts:
    @pytest.mark.parametrize(
        "code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
    )
    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_a_conflict_is_retried_and_never_read_as_out_of_stock(self, code: str, index: int) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(TRANSACT, Conflict([index], code))
        assert harness.settle(*orders(2, A=1)) == []
        assert harness.calls == [TRANSACT, TRANSACT, SEND, REMOVE]
        assert harness.answer_types() == {"o0": ["Reserved"], "o1": ["Reserved"]}
        harness.check()

    @pytest.mark.parametrize(
        "code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
    )
    def test_a_conflict_beside_a_failed_condition_is_distinguished(self, code: str) -> None:
        harness = ConsumerHarness({"A": 9, "B": 0, "C": 9})
        harness.settle(reserve("d", {"C": 1}))
        # Actions: A, B, C, then the records. A is hot, B is short, d is a duplicate.
        harness.fail(TRANSACT, Conflict([0], code))
        batch = [reserve("a", {"A": 1}), reserve("b", {"B": 1}), reserve("d", {"C": 1})]
        assert harness.settle(*batch) == []
        assert harness.calls == [TRANSACT, TRANSACT, SEND, REMOVE]
        assert harness.answer_types() == {"d": ["Reserved"], "a": ["Reserved"], "b": ["ReservationFailed"]}
        assert harness.stock == {"A": 8, "B": 0, "C": 8}
        harness.check()

    def test_a_group_with_repeated_conflicts_is_halved(self) -> None:
        harness = ConsumerHarness({"A": 99, "B": 99})
        harness.fail(TRANSACT, *[Conflict([0])] * 3)
        assert harness.settle(*orders(8, A=1)) == []
        transactions = [call for call in harness.script.calls if call.operation == TRANSACT]
        assert [len(names(call) - {"A"}) for call in transactions] == [8, 8, 8, 4, 4]
        harness.check()

    def test_a_throttled_group_is_not_halved(self) -> None:
        harness = ConsumerHarness({"A": 99})
        harness.fail(TRANSACT, *[throttled] * 7)
        assert harness.settle(*orders(8, A=1)) == []
        assert harness.counts == {TRANSACT: 8, SEND: 1, REMOVE: 1}

    def test_a_group_with_a_conflict_is_retried_after_the_other_groups(self) -> None:
        harness = ConsumerHarness({"A": 99, "B": 99})
        batch = [*(reserve(f"a{n}", {"A": 1}) for n in range(98)), reserve("b", {"B": 1})]
        harness.fail(TRANSACT, Conflict([0]))
        assert harness.settle(*batch) == []
        assert harness.answers[0]["order_id"] == "b"

    def test_an_order_of_a_sku_with_endless_conflicts_fails_alone(self) -> None:
        harness = ConsumerHarness({"HOT": 99, "B": 99})
        harness.fail(TRANSACT, *[if_it_names("HOT", Conflict([0]))] * FOREVER)
        batch = [reserve(f"b{n}", {"B": 1}) for n in range(7)]
        assert harness.settle(*batch[:3], reserve("hot", {"HOT": 1}), *batch[3:]) == [3]
        assert harness.answer_types() == {f"b{n}": ["Reserved"] for n in range(7)}

    def test_a_release_with_endless_conflicts_does_not_delay_reserves(self) -> None:
        harness = ConsumerHarness({"HOT": 99, "B": 9_999})
        harness.settle(reserve("hot", {"HOT": 1}))
        harness.fail(TRANSACT, *[if_it_names("HOT", Conflict([0]))] * FOREVER)
        harness.script.seconds = 0.02
        batch = [reserve(f"b{n}", {"B": 1}) for n in range(1_000)]
        assert harness.settle(release("hot"), *batch, release("c")) == [0]
        assert harness.answer_types() == {
            "hot": ["Reserved"],
            "c": ["Released"],
            **{f"b{n}": ["Reserved"] for n in range(1_000)},
        }

    def test_a_release_with_endless_conflicts_does_not_delay_other_releases(self) -> None:
        harness = ConsumerHarness({"HOT": 99})
        harness.settle(reserve("hot", {"HOT": 1}))
        harness.fail(TRANSACT, *[if_it_names("HOT", Conflict([0]))] * FOREVER)
        harness.script.seconds = 0.02
        batch = [release(f"r{n}") for n in range(500)]
        assert harness.settle(release("hot"), *batch) == [0]
        assert harness.counts[READ] == 6

    def test_a_single_release_may_use_the_whole_time(self) -> None:
        harness = ConsumerHarness({"HOT": 99})
        harness.settle(reserve("hot", {"HOT": 1}))
        begin = harness.stage.clock.now

        def until_late(call: Call) -> Any:
            late = harness.stage.clock.now > begin + LIMIT_SECONDS * 0.7
            return call.proceed() if late else Conflict([0])(call)

        harness.fail(TRANSACT, *[until_late] * FOREVER)
        assert harness.settle(release("hot")) == []

    def test_stock_that_changes_at_every_try_is_contention_without_an_answer(self) -> None:
        harness = ConsumerHarness({"A": 1, "B": 9})

        def changing(call: Call) -> Any:
            if "A" in names(call):
                harness.set_stock("A", 0 if harness.stock["A"] else 1)
            return call.proceed()

        harness.fail(TRANSACT, *[changing] * FOREVER)
        assert harness.settle(reserve("a", {"A": 1}), reserve("b", {"B": 1})) == [0]
        assert harness.answer_types() == {"b": ["Reserved"]}
        assert harness.record("a") is None

    def test_orders_that_change_at_every_try_are_not_released(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(reserve("o", {"A": 2}))
        table, key = harness.stage.tables.inventory_table, {"sku": {"S": "A"}}

        def deleted_and_recreated(call: Call) -> Any:
            if "A" in harness.stock:
                harness.stage.dynamodb.delete_item(TableName=table, Key=key)
            else:
                harness.set_stock("A", 0)
            return call.proceed()

        harness.fail(TRANSACT, *[deleted_and_recreated] * FOREVER)
        assert harness.settle(release("o")) == [0]
        assert harness.answer_types() == {"o": ["Reserved"]}

    def test_failed_conditions_that_are_reported_one_at_a_time_are_handled(self) -> None:
        harness = ConsumerHarness({f"S{n}": n % 2 for n in range(12)})
        harness.fail(TRANSACT, *[FewReasons(Random(3))] * FOREVER)
        assert harness.settle(*(reserve(f"o{n}", {f"S{n}": 1}) for n in range(12))) == []
        assert {order: told[0] for order, told in harness.answer_types().items()} == {
            f"o{n}": "Reserved" if n % 2 else "ReservationFailed" for n in range(12)
        }
        harness.check()


class TestLostResponses:
    @pytest.mark.parametrize("fault", [timed_out_before_effect, unreachable, unavailable, throttled])
    def test_a_transaction_that_did_not_arrive_is_retried(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(TRANSACT, fault)
        assert harness.settle(*orders(2, A=2)) == []
        assert harness.stock == {"A": 5}
        assert harness.answer_types() == {"o0": ["Reserved"], "o1": ["Reserved"]}
        harness.check()

    @pytest.mark.parametrize(
        "fault", [timed_out_after_effect, reset_after_effect, failed_after_effect, sent_twice]
    )
    def test_a_transaction_whose_response_is_lost_takes_the_stock_once(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(TRANSACT, fault)
        assert harness.settle(*orders(2, A=2)) == []
        assert harness.settle(*orders(2, A=2), receives=2) == []
        assert harness.stock == {"A": 5}
        assert harness.answer_types() == {"o0": ["Reserved"], "o1": ["Reserved"]}
        harness.check()

    @pytest.mark.parametrize("fault", [timed_out_after_effect, reset_after_effect, failed_after_effect])
    def test_a_release_whose_response_is_lost_returns_stock_once(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 3})
        harness.settle(reserve("o", {"A": 2}))
        harness.fail(TRANSACT, fault)
        assert harness.settle(release("o"), release("unknown")) == []
        assert harness.stock == {"A": 3}
        assert harness.answer_types() == {"o": ["Reserved", "Released"], "unknown": ["Released"]}
        harness.check()

    @pytest.mark.parametrize("fault", [timed_out_after_effect, reset_after_effect, failed_after_effect])
    def test_the_answers_of_a_transaction_whose_response_is_lost_do_not_wait_for_the_sweep(
        self, fault: Fault
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(TRANSACT, fault)
        assert harness.settle(*orders(2, A=2)) == []
        assert harness.calls == [TRANSACT, TRANSACT, SEND, REMOVE]
        assert harness.outbox == []

    def test_halves_of_a_group_that_was_committed_unheard_deliver_their_own_answers(self) -> None:
        harness = ConsumerHarness({"A": 99})
        harness.fail(TRANSACT, timed_out_after_effect, refused("ValidationException"))
        assert harness.settle(*orders(4, A=1)) == []
        assert harness.counts[NARROW] == 2
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(4)}
        assert harness.outbox == [set()]
        harness.check()
        harness.sweep()
        assert harness.outbox == []
        assert len(harness.answers) == 4


class TestCrashes:
    @pytest.mark.parametrize("fault", [crash_before, crash_after])
    @pytest.mark.parametrize("operation", [TRANSACT, SEND, REMOVE])
    def test_a_reservation_is_settled_once_and_answered_after_a_crash(
        self, operation: str, fault: Fault
    ) -> None:
        harness = ConsumerHarness({"A": 3})
        harness.fail(operation, fault)
        with pytest.raises(Crash):
            harness.settle(*orders(2, A=1))
        harness.consumer = harness.new_consumer()
        assert harness.settle(*orders(2, A=1), receives=2) == []
        harness.check()
        harness.sweep()
        assert harness.stock == {"A": 1}
        assert {order: set(told) for order, told in harness.answer_types().items()} == {
            "o0": {"Reserved"},
            "o1": {"Reserved"},
        }
        assert harness.outbox == []

    @pytest.mark.parametrize("fault", [crash_before, crash_after])
    @pytest.mark.parametrize("operation", [READ, TRANSACT, SEND, REMOVE])
    def test_a_release_is_settled_once_and_answered_after_a_crash(self, operation: str, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 3})
        harness.settle(reserve("o", {"A": 2}))
        harness.fail(operation, fault)
        with pytest.raises(Crash):
            harness.settle(release("o"))
        harness.consumer = harness.new_consumer()
        assert harness.settle(release("o"), receives=2) == []
        harness.check()
        harness.sweep()
        assert harness.stock == {"A": 3}
        assert set(harness.answer_types()["o"]) == {"Reserved", "Released"}
        assert harness.outbox == []


class TestHalving:
    @pytest.mark.parametrize(
        "fault",
        [
            lambda call: (_ for _ in ()).throw(call.refuse(invalid("Item size has exceeded 400 KB"))),
            lambda call: (_ for _ in ()).throw(ParamValidationError(report="bad")),
            lambda call: (_ for _ in ()).throw(ZeroDivisionError("unexpected")),
        ],
        ids=["refused by DynamoDB", "refused by botocore", "unexpected"],
    )
    def test_halving_isolates_the_order_that_fails(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 99})
        harness.fail(TRANSACT, *[if_it_names("o11", fault)] * FOREVER)
        assert harness.settle(*orders(32, A=1)) == [11]
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(32) if n != 11}
        # One failing try for each halving of 32, and one settled half beside each.
        assert harness.counts[TRANSACT] == 6 + 5
        assert harness.stock == {"A": 68}
        harness.check()

    def test_a_group_with_another_cancellation_reason_is_halved(self) -> None:
        harness = ConsumerHarness({"A": 99, "B": 99})
        harness.fail(TRANSACT, *[if_it_names("B", Conflict([0], "ValidationError"))] * FOREVER)
        assert harness.settle(*orders(4, A=1), reserve("b", {"B": 1})) == [4]
        harness.check()

    def test_a_corrupt_stock_item_fails_only_the_orders_of_its_sku(self) -> None:
        harness = ConsumerHarness({"A": 99})
        item = {"sku": {"S": "BAD"}, "quantity": {"S": "many"}}
        harness.stage.dynamodb.put_item(TableName=harness.stage.tables.inventory_table, Item=item)
        assert harness.settle(*orders(5, A=1), reserve("bad", {"A": 1, "BAD": 1})) == [5]
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(5)}

    def test_a_corrupt_record_fails_only_its_own_order(self) -> None:
        harness = ConsumerHarness({"A": 99})
        item = {"order_id": {"S": "o2"}, "outcome": {"S": "PERHAPS"}}
        harness.stage.dynamodb.put_item(TableName=harness.stage.tables.processed_events_table, Item=item)
        assert harness.settle(*orders(5, A=1)) == [2]
        assert harness.settle(release("o2"), release("o3")) == [0]

    def test_halving_isolates_the_release_that_fails(self) -> None:
        harness = ConsumerHarness({"A": 99})
        harness.settle(*orders(8, A=1))
        harness.fail(TRANSACT, *[if_it_names("o5", refused("ValidationException"))] * FOREVER)
        assert harness.settle(*(release(f"o{n}") for n in range(8))) == [5]
        assert harness.stock == {"A": 98}

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
    def test_a_group_whose_error_does_not_depend_on_the_orders_is_not_halved(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 99})
        harness.fail(TRANSACT, *[fault] * FOREVER)
        assert harness.settle(*orders(64, A=1)) == list(range(64))
        assert harness.counts == {TRANSACT: 1}

    def test_a_group_with_too_many_actions_is_halved(self) -> None:
        # These orders are unknown when read, and hold 20 SKUs each when they are released.
        skus = [f"S{n}" for n in range(200)]
        harness = ConsumerHarness(dict.fromkeys(skus, 1))
        batch = [reserve(f"o{n}", dict.fromkeys(skus[n * 20 : n * 20 + 20], 1)) for n in range(10)]

        def reserved_concurrently(call: Call) -> Any:
            messages = [harness.message(body) for body in batch]
            assert harness.new_consumer().settle(messages, harness.deadline()) == set()
            return call.proceed()

        harness.fail(TRANSACT, reserved_concurrently)
        assert harness.settle(*(release(f"o{n}") for n in range(10))) == []
        assert set(harness.stock.values()) == {1}
        assert all(told == ["Reserved", "Released"] for told in harness.answer_types().values())
        largest = max(len(names(call)) for call in harness.script.calls if call.operation == TRANSACT)
        assert largest > MAX_ACTIONS
        harness.check()
