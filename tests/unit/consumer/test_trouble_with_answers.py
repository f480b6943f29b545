"""What goes wrong with sending, marking and reading, and what becomes of the orders."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engines.faults import (
    Partial,
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
from tests.unit.consumer.trouble import FOREVER, orders, refused, sent_batches


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

    def test_each_call_marks_what_one_delivery_has_sent(self) -> None:
        shop = Shop({"A": 99})
        shop.settle(*orders(60, A=1))
        statements = [
            len(call.parameters["Statements"]) for call in shop.script.calls if call.operation == MARK
        ]
        assert statements == [20, 20, 20]
        assert max(statements) <= 25, "more than DynamoDB takes"

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
