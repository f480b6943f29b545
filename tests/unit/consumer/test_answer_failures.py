"""Failures of sending, marking and reading, and their effect on the orders."""

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
from tests.unit.consumer.consumer_harness import (
    FOREVER,
    LIMIT_SECONDS,
    MARK,
    READ,
    SEND,
    TRANSACT,
    ConsumerHarness,
    orders,
    refused,
    sent_batches,
)


class TestSending:
    def test_failed_entries_alone_are_sent_again(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, Partial([1, 2], "InternalError"))
        assert harness.settle(*orders(4, A=1)) == []
        assert [len(batch) for batch in sent_batches(harness)] == [4, 2]
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(4)}
        assert harness.counts[MARK] == 1
        harness.check()

    def test_a_rejected_entry_fails_its_message_only(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, Partial([1], "InvalidMessageContents", sender_fault=True))
        assert harness.settle(*orders(3, A=1)) == [1]
        assert len(sent_batches(harness)) == 1
        assert harness.answer_types().keys() == {"o0", "o2"}
        assert "published_at" not in (harness.record("o1") or {})
        assert harness.settle(*orders(3, A=1), receives=2) == []
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(3)}
        assert harness.stock == {"A": 6}
        harness.check()

    @pytest.mark.parametrize("code", ["RequestThrottled", "KMS.ThrottlingException"])
    def test_a_throttled_entry_is_sent_again_even_as_a_sender_fault(self, code: str) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, Partial([1], code, sender_fault=True))
        assert harness.settle(*orders(3, A=1)) == []
        assert [len(batch) for batch in sent_batches(harness)] == [3, 1]
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(3)}

    def test_an_answer_that_was_not_sent_is_not_marked(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, refused("AccessDenied"))
        assert harness.settle(*orders(2, A=1)) == [0, 1]
        assert harness.calls == [TRANSACT, SEND]
        assert harness.answer_types() == {}

    @pytest.mark.parametrize("fault", [throttled, unavailable, unreachable, timed_out_before_effect])
    def test_answers_are_sent_again_after_a_failed_call(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, fault, fault)
        assert harness.settle(*orders(2, A=1)) == []
        assert harness.calls == [TRANSACT, SEND, SEND, SEND, MARK]
        assert harness.answer_types() == {"o0": ["Reserved"], "o1": ["Reserved"]}

    @pytest.mark.parametrize(
        "fault", [failed_after_effect, timed_out_after_effect, reset_after_effect, sent_twice]
    )
    def test_a_lost_response_of_sqs_causes_identical_repeats(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, fault)
        assert harness.settle(reserve("o", {"A": 1})) == []
        first, second = harness.stage.sqs.history
        assert first.body == second.body
        harness.check()

    def test_an_outage_of_the_queue_fails_the_messages_and_stock_is_taken_once(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, *[unreachable] * FOREVER)
        assert harness.settle(*orders(2, A=1)) == [0, 1]
        assert harness.stage.clock.now < 1_750_000_000 + LIMIT_SECONDS
        harness.script.faults.clear()
        assert harness.settle(*orders(2, A=1), receives=2) == []
        assert harness.stock == {"A": 7}
        harness.check()

    def test_a_send_has_ten_answers_at_most(self) -> None:
        harness = ConsumerHarness({"A": 99})
        harness.settle(*orders(45, A=1))
        assert [len(batch) for batch in sent_batches(harness)] == [10, 10, 10, 10, 5]

    def test_a_send_of_large_answers_stays_within_a_mebibyte(self) -> None:
        harness = ConsumerHarness()
        skus = {f"{n:02}{'x' * 62}": 10**9 for n in range(99)}
        harness.settle(*(reserve(f"{n:0128}", skus, customer_id="😀" * 256) for n in range(30)))
        batches = sent_batches(harness)
        assert sum(len(batch) for batch in batches) == 30
        assert all(sum(len(body.encode()) for body in batch) <= 1_000_000 for batch in batches)
        harness.check()


class TestMarking:
    def test_a_failed_mark_does_not_fail_the_message(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(MARK, Partial([1], "InternalServerError"))
        assert harness.settle(*orders(3, A=1)) == []
        marked = ["published_at" in (harness.record(f"o{n}") or {}) for n in range(3)]
        assert marked == [True, False, True]

    @pytest.mark.parametrize("fault", [throttled, unreachable, refused("ValidationException")])
    def test_a_failed_call_to_mark_does_not_fail_the_message(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(MARK, fault)
        assert harness.settle(*orders(3, A=1)) == []
        assert harness.calls == [TRANSACT, SEND, MARK]
        assert harness.settle(*orders(3, A=1), receives=2) == []
        assert harness.answer_types() == {f"o{n}": ["Reserved", "Reserved"] for n in range(3)}
        harness.check()

    def test_each_call_marks_the_answers_of_one_delivery(self) -> None:
        harness = ConsumerHarness({"A": 99})
        harness.settle(*orders(60, A=1))
        statements = [
            len(call.parameters["Statements"]) for call in harness.script.calls if call.operation == MARK
        ]
        assert statements == [20, 20, 20]
        assert max(statements) <= 25, "more than DynamoDB takes"

    def test_a_mark_does_not_touch_a_record_that_was_released_concurrently(self) -> None:
        harness = ConsumerHarness({"A": 9})

        def released_concurrently(call: Call) -> Any:
            assert harness.new_consumer().settle([harness.message(release("o"))], harness.deadline()) == set()
            return call.proceed()

        harness.fail(MARK, released_concurrently)
        assert harness.settle(reserve("o", {"A": 2})) == []
        record = harness.record("o")
        assert record is not None
        assert record["outcome"] == {"S": "RELEASED"}
        assert {"event", "release_event", "published_at", "release_published_at"} <= record.keys()
        assert harness.stock == {"A": 9}
        assert harness.settle(release("o"), receives=2) == []
        assert harness.stock == {"A": 9}
        harness.check()

    def test_a_mark_does_not_recreate_an_expired_record(self) -> None:
        harness = ConsumerHarness({"A": 9})

        def expired_concurrently(call: Call) -> Any:
            harness.stage.dynamodb.delete_item(
                TableName=harness.stage.tables.processed_events_table, Key={"order_id": {"S": "o"}}
            )
            return call.proceed()

        harness.fail(MARK, expired_concurrently)
        assert harness.settle(reserve("o", {"A": 2})) == []
        assert harness.record("o") is None


class TestReading:
    def test_unprocessed_keys_are_read_again(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(*orders(4, A=1))
        harness.fail(READ, Partial([0, 2]), Partial([1]))
        assert harness.settle(*orders(4, A=1), receives=2) == []
        assert [len(keys(call)) for call in harness.script.calls] == [4, 2, 1]
        harness.check()

    def test_a_throttled_read_is_retried(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(reserve("o", {"A": 1}))
        harness.fail(READ, throttled, unreachable)
        assert harness.settle(release("o")) == []
        assert harness.calls == [READ, READ, READ, TRANSACT, SEND, MARK]
        harness.check()

    def test_keys_that_stay_unprocessed_fail_only_the_messages_that_need_them(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(READ, *[Partial([0])] * FOREVER)
        assert harness.settle(release("o"), reserve("p", {"A": 1})) == [0]
        assert harness.answer_types() == {"p": ["Reserved"]}

    def test_a_failed_look_ahead_is_skipped(self) -> None:
        harness = ConsumerHarness({"A": 999, "B": 9})
        harness.settle(reserve("again", {"B": 1}))
        harness.fail(READ, *[Partial([0])] * FOREVER)
        messages = [harness.message(reserve("again", {"B": 1}), receives=2)]
        messages += [harness.message(body) for body in orders(300, A=1)]
        assert harness.deliver(messages) == []
        harness.check()

    def test_stock_that_cannot_be_read_does_not_delay_other_groups(self) -> None:
        harness = ConsumerHarness({"A": 999, "B": 0, "C": 5})
        harness.script.seconds = 0.02
        harness.fail(READ, *[Partial([0])] * FOREVER)
        # Only an order that is rejected because of B asks for C, so C is read for its answer.
        batch = [reserve("short", {"B": 1, "C": 1}), *orders(398, A=1)]
        assert harness.settle(*batch) == list(range(97)), "the first group, which fills one transaction"
        assert len(harness.answer_types()) == 399 - 97


def keys(call: Call) -> list[Any]:
    return [key for request in call.parameters["RequestItems"].values() for key in request["Keys"]]
