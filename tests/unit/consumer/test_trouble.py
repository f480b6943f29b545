"""What goes wrong with calls, and what becomes of the orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError, ParamValidationError

from chalicelib.core.packing import MAX_ACTIONS
from chalicelib.core.records import LINE_BYTES, RECORD_BYTES
from tests.engines import Crash
from tests.engines.errors import Refusal, invalid
from tests.engines.faults import (
    Conflict,
    FewReasons,
    Partial,
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
from tests.engines.network import Call, Fault
from tests.engines.values import size
from tests.messages import release, reserve
from tests.unit.consumer.shop import LIMIT_SECONDS, MARK, READ, SEND, TRANSACT, Shop

FOREVER = 100_000


def orders(count: int, **items: int) -> list[dict[str, Any]]:
    return [reserve(f"o{n}", items) for n in range(count)]


def refused(code: str) -> Fault:
    def fault(call: Call) -> Any:
        raise call.refuse(Refusal(code, "no"))

    return fault


def names(call: Call) -> set[str]:
    """The SKUs and orders in a transaction."""
    found = set()
    for action in call.parameters["TransactItems"]:
        ((_, request),) = action.items()
        ((_, key),) = (
            request["Key"].items() if "Key" in request else [("order_id", request["Item"]["order_id"])]
        )
        found.add(key["S"])
    return found


def if_it_holds(name: str, fault: Fault) -> Fault:
    """`fault` for transactions with a SKU or an order of that name."""
    return lambda call: fault(call) if name in names(call) else call.proceed()


def sent_batches(shop: Shop) -> list[list[str]]:
    return [
        [entry["MessageBody"] for entry in call.parameters["Entries"]]
        for call in shop.script.calls
        if call.operation == SEND
    ]


class TestSending:
    def test_entries_that_sqs_could_not_take_are_sent_again_alone(self) -> None:
        shop = Shop({"A": 9})
        shop.fail(SEND, Partial([1, 2], "InternalError"))
        assert shop.settle(*orders(4, A=1)) == []
        assert [len(batch) for batch in sent_batches(shop)] == [4, 2]
        assert shop.told() == {f"o{n}": ["Reserved"] for n in range(4)}
        assert shop.counts[MARK] == 1
        shop.check()

    def test_an_entry_that_sqs_will_not_take_fails_its_message_and_no_other(self) -> None:
        shop = Shop({"A": 9})
        shop.fail(SEND, Partial([1], "InvalidMessageContents", sender_fault=True))
        assert shop.settle(*orders(3, A=1)) == [1]
        assert len(sent_batches(shop)) == 1
        assert shop.told().keys() == {"o0", "o2"}
        assert "published_at" not in (shop.record("o1") or {})
        assert shop.settle(*orders(3, A=1), receives=2) == []
        assert shop.told() == {f"o{n}": ["Reserved"] for n in range(3)}
        assert shop.stock == {"A": 6}
        shop.check()

    @pytest.mark.parametrize("code", ["RequestThrottled", "KMS.ThrottlingException"])
    def test_an_entry_that_is_throttled_is_sent_again_though_sqs_blames_the_sender(self, code: str) -> None:
        shop = Shop({"A": 9})
        shop.fail(SEND, Partial([1], code, sender_fault=True))
        assert shop.settle(*orders(3, A=1)) == []
        assert [len(batch) for batch in sent_batches(shop)] == [3, 1]
        assert shop.told() == {f"o{n}": ["Reserved"] for n in range(3)}

    def test_no_answer_is_marked_that_was_not_sent(self) -> None:
        shop = Shop({"A": 9})
        shop.fail(SEND, refused("AccessDenied"))
        assert shop.settle(*orders(2, A=1)) == [0, 1]
        assert shop.calls == [TRANSACT, SEND]
        assert shop.told() == {}

    @pytest.mark.parametrize("fault", [throttled, unavailable, unreachable, timed_out_before_effect])
    def test_what_did_not_arrive_is_sent_again(self, fault: Fault) -> None:
        shop = Shop({"A": 9})
        shop.fail(SEND, fault, fault)
        assert shop.settle(*orders(2, A=1)) == []
        assert shop.calls == [TRANSACT, SEND, SEND, SEND, MARK]
        assert shop.told() == {"o0": ["Reserved"], "o1": ["Reserved"]}

    @pytest.mark.parametrize(
        "fault", [failed_after_effect, timed_out_after_effect, reset_after_effect, sent_twice]
    )
    def test_a_lost_answer_of_sqs_makes_repeats_that_the_oms_can_drop(self, fault: Fault) -> None:
        shop = Shop({"A": 9})
        shop.fail(SEND, fault)
        assert shop.settle(reserve("o", {"A": 1})) == []
        first, second = shop.stage.sqs.history
        assert first.body == second.body
        shop.check()

    def test_a_queue_that_is_away_fails_the_messages_and_stock_is_taken_once(self) -> None:
        shop = Shop({"A": 9})
        shop.fail(SEND, *[unreachable] * FOREVER)
        assert shop.settle(*orders(2, A=1)) == [0, 1]
        assert shop.stage.clock.now < 1_750_000_000 + LIMIT_SECONDS
        shop.script.faults.clear()
        assert shop.settle(*orders(2, A=1), receives=2) == []
        assert shop.stock == {"A": 7}
        shop.check()

    def test_batches_hold_ten_answers_at_the_most(self) -> None:
        shop = Shop({"A": 99})
        shop.settle(*orders(45, A=1))
        assert [len(batch) for batch in sent_batches(shop)] == [10, 10, 10, 10, 5]

    def test_batches_of_large_answers_stay_within_a_mebibyte(self) -> None:
        shop = Shop()
        skus = {f"{n:02}{'x' * 62}": 10**9 for n in range(99)}
        shop.settle(*(reserve(f"{n:0128}", skus, customer_id="😀" * 256) for n in range(30)))
        batches = sent_batches(shop)
        assert sum(len(batch) for batch in batches) == 30
        assert all(sum(len(body.encode()) for body in batch) <= 1_000_000 for batch in batches)
        shop.check()


class TestMarking:
    def test_a_mark_that_fails_leaves_the_message_a_success(self) -> None:
        shop = Shop({"A": 9})
        shop.fail(MARK, Partial([1], "InternalServerError"))
        assert shop.settle(*orders(3, A=1)) == []
        marked = ["published_at" in (shop.record(f"o{n}") or {}) for n in range(3)]
        assert marked == [True, False, True]

    @pytest.mark.parametrize("fault", [throttled, unreachable, refused("ValidationException")])
    def test_so_does_a_call_that_fails(self, fault: Fault) -> None:
        shop = Shop({"A": 9})
        shop.fail(MARK, fault)
        assert shop.settle(*orders(3, A=1)) == []
        assert shop.calls == [TRANSACT, SEND, MARK]
        assert shop.settle(*orders(3, A=1), receives=2) == []
        assert shop.told() == {f"o{n}": ["Reserved", "Reserved"] for n in range(3)}
        shop.check()

    def test_25_are_marked_a_call(self) -> None:
        shop = Shop({"A": 99})
        shop.settle(*orders(60, A=1))
        statements = [
            len(call.parameters["Statements"]) for call in shop.script.calls if call.operation == MARK
        ]
        assert statements == [25, 25, 10]

    def test_a_mark_never_touches_a_record_that_was_released_meanwhile(self) -> None:
        shop = Shop({"A": 9})

        def released_meanwhile(call: Call) -> Any:
            assert shop.new_consumer().settle([shop.message(release("o"))], shop.pace()) == set()
            return call.proceed()

        shop.fail(MARK, released_meanwhile)
        assert shop.settle(reserve("o", {"A": 2})) == []
        record = shop.record("o")
        assert record is not None
        assert record["outcome"] == {"S": "RELEASED"}
        assert {"event", "release_event", "published_at", "release_published_at"} <= record.keys()
        assert shop.stock == {"A": 9}
        assert shop.settle(release("o"), receives=2) == []
        assert shop.stock == {"A": 9}
        shop.check()

    def test_a_mark_makes_no_ghost_of_a_record_that_has_expired(self) -> None:
        shop = Shop({"A": 9})

        def expired_meanwhile(call: Call) -> Any:
            shop.stage.dynamodb.delete_item(
                TableName=shop.stage.tables.processed_events_table, Key={"order_id": {"S": "o"}}
            )
            return call.proceed()

        shop.fail(MARK, expired_meanwhile)
        assert shop.settle(reserve("o", {"A": 2})) == []
        assert shop.record("o") is None


class TestReading:
    def test_keys_left_unread_are_asked_for_again(self) -> None:
        shop = Shop({"A": 9})
        shop.settle(*orders(4, A=1))
        shop.fail(READ, Partial([0, 2]), Partial([1]))
        assert shop.settle(*orders(4, A=1), receives=2) == []
        assert [len(keys(call)) for call in shop.script.calls] == [4, 2, 1]
        shop.check()

    def test_a_read_that_is_throttled_is_tried_again(self) -> None:
        shop = Shop({"A": 9})
        shop.settle(reserve("o", {"A": 1}))
        shop.fail(READ, throttled, unreachable)
        assert shop.settle(release("o")) == []
        assert shop.calls == [READ, READ, READ, TRANSACT, SEND, MARK]
        shop.check()

    def test_keys_never_read_fail_just_the_messages_that_need_them(self) -> None:
        shop = Shop({"A": 9})
        shop.fail(READ, *[Partial([0])] * FOREVER)
        assert shop.settle(release("o"), reserve("p", {"A": 1})) == [0]
        assert shop.told() == {"p": ["Reserved"]}

    def test_a_look_ahead_that_finds_nothing_out_is_done_without(self) -> None:
        shop = Shop({"A": 999, "B": 9})
        shop.settle(reserve("again", {"B": 1}))
        shop.fail(READ, *[Partial([0])] * FOREVER)
        messages = [shop.message(reserve("again", {"B": 1}), receives=2)]
        messages += [shop.message(body) for body in orders(300, A=1)]
        assert shop.deliver(messages) == []
        shop.check()

    def test_stock_that_cannot_be_read_does_not_hold_back_other_groups(self) -> None:
        shop = Shop({"A": 999, "B": 0, "C": 5})
        shop.script.seconds = 0.02
        shop.fail(READ, *[Partial([0])] * FOREVER)
        # C is asked only by an order that is turned away for B, so that it is read for the answer.
        batch = [reserve("short", {"B": 1, "C": 1}), *orders(398, A=1)]
        assert shop.settle(*batch) == list(range(97)), "the first group, which fills one transaction"
        assert len(shop.told()) == 399 - 97


def keys(call: Call) -> list[Any]:
    return [key for request in call.parameters["RequestItems"].values() for key in request["Keys"]]


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


def in_time(shop: Shop, settle: Callable[[], Sequence[int]], seconds: float = LIMIT_SECONDS) -> Sequence[int]:
    begin = shop.stage.clock.now
    failed = settle()
    assert shop.stage.clock.now - begin <= seconds, "the time limit was passed"
    return failed


class TestTimeLimit:
    def test_what_is_throttled_to_the_end_is_given_back_in_time(self) -> None:
        shop = Shop({"A": 999})
        shop.fail(TRANSACT, None, *[throttled] * FOREVER)
        batch = orders(150, A=1)
        assert in_time(shop, lambda: shop.settle(*batch)) == list(range(99, 150))
        assert shop.stage.clock.now > 1_750_000_000 + LIMIT_SECONDS / 2, "it gave up early"
        shop.check()

    def test_nothing_is_begun_when_there_is_no_time(self) -> None:
        shop = Shop({"A": 9})
        messages = [shop.message(body) for body in (reserve("o", {"A": 1}), release("p"))]
        pace = shop.pace()
        shop.stage.clock.advance(LIMIT_SECONDS - 9)
        assert shop.consumer.settle(messages, pace) == {"m0", "m1"}
        assert shop.calls == []

    # With botocore's own retry, a call may take up to about 8 seconds (see chalicelib/clients.py).
    @pytest.mark.parametrize("seconds", [1.0, 3.0, 8.0])
    @pytest.mark.parametrize("count", [10, 99, 500])
    def test_slow_services_do_not_make_it_late(self, count: int, seconds: float) -> None:
        shop = Shop({"A": 9_999})
        shop.script.seconds = seconds
        failed = in_time(shop, lambda: shop.settle(*orders(count, A=1)))
        shop.script.seconds = 0
        shop.settle(*(reserve(f"o{n}", {"A": 1}) for n in failed), receives=2)
        assert set(shop.told()) == {f"o{n}" for n in range(count)}
        shop.check()

    @pytest.mark.parametrize("seconds", [3.0, 8.0])
    def test_slow_services_do_not_make_releases_late(self, seconds: float) -> None:
        shop = Shop({"A": 9_999})
        shop.fail(SEND, *[refused("AccessDenied")] * 50)
        shop.settle(*orders(99, A=1))
        shop.script.faults.clear()
        shop.script.seconds = seconds
        batch = [release(f"o{n}") for n in range(99)]
        failed = in_time(shop, lambda: shop.settle(*batch))
        shop.script.seconds = 0
        assert shop.settle(*(batch[n] for n in failed), receives=2) == []
        shop.check()

    def test_stock_that_changes_at_every_slow_try_does_not_make_it_late(self) -> None:
        shop = Shop({"A": 1})
        shop.script.seconds = 8.0

        def changing(call: Call) -> Any:
            shop.set_stock("A", 0 if shop.stock["A"] else 1)
            return call.proceed()

        shop.fail(TRANSACT, *[changing] * FOREVER)
        assert in_time(shop, lambda: shop.settle(reserve("a", {"A": 1}))) == [0]


class TestLargeBatches:
    def test_ten_thousand_orders(self) -> None:
        shop = Shop({f"S{n}": 10**6 for n in range(50)}, checked=False)
        batch = [reserve(f"o{n}", {f"S{n % 50}": 1, f"S{n % 7}": 2}) for n in range(10_000)]
        assert shop.settle(*batch) == []
        assert len(shop.told()) == 10_000
        shop.check()

    def test_orders_of_99_skus_take_a_transaction_each(self) -> None:
        shop = Shop({f"S{n}": 1_000 for n in range(120)})
        batch = [reserve(f"o{n}", {f"S{n + m}": 1 for m in range(99)}) for n in range(8)]
        assert shop.settle(*batch) == []
        assert shop.counts[TRANSACT] == 8
        shop.check()

    def test_the_largest_message_that_sqs_takes(self) -> None:
        shop = Shop({"A": 10**12})
        lines = [{"sku": "A", "quantity": 1}] * 30_000
        message = reserve("o", {}, items=lines)
        assert shop.settle(message, reserve("p", {"A": 1})) == []
        assert shop.stock == {"A": 10**12 - 30_001}
        assert shop.answer("o")["items"] == [{"sku": "A", "quantity": 30_000}]
        shop.check()

    def test_the_largest_records_stay_under_400_kb_and_within_what_packing_reckons_with(self) -> None:
        shop = Shop({f"{n:02}{'x' * 62}": 1 for n in range(99)})
        skus = [f"{n:02}{'x' * 62}" for n in range(99)]
        customer = "😀" * 256
        batch = [
            reserve(f"{'r' * 125}{n:03}", dict.fromkeys(skus[:lines], 10**9), customer_id=customer)
            for n, lines in enumerate((1, 50, 99))
        ]
        taken = reserve("t" * 128, dict.fromkeys(skus, 1), customer_id=customer)
        bad = reserve("i" * 128, {"!": 1}, items=[{"sku": "", "quantity": 0}] * 50, customer_id=customer)
        assert shop.settle(*batch, taken, bad, release("t" * 128)) == []
        assert shop.settle(reserve("u" * 128, dict.fromkeys(skus, 1), customer_id=customer)) == []
        assert shop.settle(release("u" * 128)) == []
        records = shop.stage.dynamodb.snapshot()[shop.stage.tables.processed_events_table]
        for record in records.values():
            lines = max(
                len(record["items"]["M"]), 20 if "errors" in record.get("event", {"S": ""})["S"] else 0
            )
            assert size(record) <= RECORD_BYTES + LINE_BYTES * lines
        shop.check()
