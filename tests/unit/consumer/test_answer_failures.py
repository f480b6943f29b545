"""Failures of sending answers, of removing them from the outbox and of reading."""

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
    HAPPY_PATH,
    NARROW,
    READ,
    REMOVE,
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
        assert harness.outbox == []
        harness.check()

    def test_a_refused_entry_stays_in_the_outbox_alone(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, Partial([1], "InvalidMessageContents", sender_fault=True))
        assert harness.settle(*orders(3, A=1)) == []
        assert harness.calls == [TRANSACT, SEND, NARROW]
        assert harness.outbox == [{"o1"}]
        harness.check()
        harness.sweep()
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(3)}
        assert harness.outbox == []
        harness.check()

    @pytest.mark.parametrize("code", ["RequestThrottled", "KMS.ThrottlingException"])
    def test_a_throttled_entry_is_sent_again_even_as_a_sender_fault(self, code: str) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, Partial([1], code, sender_fault=True))
        assert harness.settle(*orders(3, A=1)) == []
        assert [len(batch) for batch in sent_batches(harness)] == [3, 1]
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(3)}

    def test_answers_that_the_queue_refuses_stay_in_the_outbox_and_their_messages_are_done(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, refused("AccessDenied"))
        assert harness.settle(*orders(2, A=1)) == []
        assert harness.calls == [TRANSACT, SEND]
        assert harness.outbox == [{"o0", "o1"}]
        harness.check()

    @pytest.mark.parametrize("fault", [throttled, unavailable, unreachable, timed_out_before_effect])
    def test_answers_are_sent_again_after_a_failed_call(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, fault, fault)
        assert harness.settle(*orders(2, A=1)) == []
        assert harness.calls == [TRANSACT, SEND, SEND, SEND, REMOVE]
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

    def test_an_outage_of_the_queue_costs_a_batch_three_sends_and_no_message(self) -> None:
        harness = ConsumerHarness({"A": 999})
        harness.fail(SEND, *[unreachable] * FOREVER)
        assert harness.settle(*orders(300, A=1)) == []
        assert harness.counts == {TRANSACT: 4, SEND: 3}
        assert sum(map(len, harness.outbox)) == 300
        harness.check()
        harness.script.faults.clear()
        harness.sweep()
        assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(300)}
        assert harness.outbox == []
        harness.check()

    def test_a_send_has_ten_answers_at_most(self) -> None:
        harness = ConsumerHarness({"A": 99})
        harness.settle(*orders(45, A=1))
        assert [len(batch) for batch in sent_batches(harness)] == [10, 10, 10, 10, 5]

    def test_a_send_of_large_answers_stays_within_a_mebibyte(self) -> None:
        harness = ConsumerHarness()
        skus = {f"{n:02}{'x' * 62}": 10**9 for n in range(98)}
        harness.settle(*(reserve(f"{n:0128}", skus, customer_id="😀" * 256) for n in range(30)))
        batches = sent_batches(harness)
        assert sum(len(batch) for batch in batches) == 30
        assert all(sum(len(body.encode()) for body in batch) <= 1_000_000 for batch in batches)
        harness.check()


class TestRemoving:
    @pytest.mark.parametrize("fault", [throttled, unreachable, refused("ValidationException")])
    def test_a_failed_removal_fails_no_message_and_costs_a_repeat(self, fault: Fault) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(REMOVE, fault)
        assert harness.settle(*orders(3, A=1)) == []
        assert harness.calls == HAPPY_PATH
        harness.sweep()
        assert harness.answer_types() == {f"o{n}": ["Reserved", "Reserved"] for n in range(3)}
        assert harness.outbox == []
        harness.check()

    def test_each_group_has_an_item_of_its_own(self) -> None:
        harness = ConsumerHarness({"A": 999})
        harness.settle(*orders(300, A=1))
        assert harness.counts == {TRANSACT: 4, SEND: 31, REMOVE: 4}

    def test_an_item_that_another_sender_removed_is_not_created_anew(self) -> None:
        harness = ConsumerHarness({"A": 9})

        def removed_meanwhile(call: Call) -> Any:
            harness.sweep()
            return call.proceed()

        harness.fail(SEND, Partial([1], "InvalidMessageContents", sender_fault=True))
        harness.fail(NARROW, removed_meanwhile)
        assert harness.settle(*orders(2, A=1)) == []
        assert harness.outbox == []
        harness.check()


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
        assert harness.calls == [READ, READ, READ, TRANSACT, SEND, REMOVE]
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
        assert harness.settle(*batch) == list(range(96)), "the first group, which fills one transaction"
        assert len(harness.answer_types()) == 399 - 96


def keys(call: Call) -> list[Any]:
    return [key for request in call.parameters["RequestItems"].values() for key in request["Keys"]]
