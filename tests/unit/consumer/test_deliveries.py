"""Threads deliver answers, several calls at a time, while the next group is settled."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chalicelib.consumer.delivery import IN_PROGRESS
from tests.support.engines.network import Call
from tests.support.messages import release, reserve
from tests.unit.consumer.consumer_harness import REMOVE, SEND, TRANSACT, ConsumerHarness, orders

WAIT_SECONDS = 5.0
"""Seconds after which a thread gives up waiting for another, and the test fails."""


def broken(_: Call) -> Any:
    raise ZeroDivisionError


def test_the_sends_of_a_group_run_concurrently_and_the_last_one_removes_its_outbox_item() -> None:
    harness = ConsumerHarness({"A": 60})
    together = threading.Barrier(6, timeout=WAIT_SECONDS)
    # The in-memory engine is not thread-safe: after the barrier the threads go one by one.
    turn = threading.Lock()

    def meet(call: Call) -> Any:
        together.wait()
        with turn:
            return call.proceed()

    with ThreadPoolExecutor(6) as threads:
        harness.consumer = harness.new_consumer(threads)
        harness.fail(SEND, *[meet] * 6)
        assert harness.settle(*orders(60, A=1)) == []
    assert harness.calls == [TRANSACT, *[SEND] * 6, REMOVE]
    assert len(harness.answers) == 60
    assert harness.outbox == []
    harness.check()


def test_answers_are_sent_while_the_next_group_is_settled() -> None:
    harness = ConsumerHarness({f"S{n}": 9 for n in range(60)})
    two_groups = [reserve(f"o{n}", {f"S{n}": 1}) for n in range(60)]
    settled = threading.Event()

    def second(call: Call) -> Any:
        result = call.proceed()
        settled.set()
        return result

    def first_send(call: Call) -> Any:
        settled.wait(WAIT_SECONDS)
        return call.proceed()

    with ThreadPoolExecutor(1) as thread:
        harness.consumer = harness.new_consumer(thread)
        harness.fail(TRANSACT, None, second)
        harness.fail(SEND, first_send)
        assert harness.settle(*two_groups) == []
    assert settled.is_set()
    assert harness.calls[0] == TRANSACT
    assert set(harness.calls[1:3]) == {TRANSACT, SEND}
    assert len(harness.answers) == 60
    assert harness.outbox == []
    harness.check()


def test_an_unexpected_error_in_a_send_leaves_its_answers_to_the_sweep() -> None:
    harness = ConsumerHarness({"A": 60})
    harness.fail(SEND, None, broken)
    assert harness.settle(*orders(60, A=1)) == []
    assert harness.calls == [TRANSACT, SEND, SEND], "nothing more is sent while the queue is away"
    harness.sweep()
    assert {order for order, types in harness.answer_types().items() if types == ["Reserved"]} >= {
        f"o{n}" for n in range(10, 60)
    }
    assert len(harness.answer_types()) == 60
    assert harness.outbox == []
    harness.check()


def test_what_was_sent_before_the_queue_went_away_is_not_sent_again() -> None:
    harness = ConsumerHarness({"A": 20})
    turns = [threading.Event(), threading.Event()]

    def first(call: Call) -> Any:
        result = call.proceed()
        turns[0].set()
        return result

    def second(_: Call) -> Any:
        turns[0].wait(WAIT_SECONDS)
        raise ZeroDivisionError

    with ThreadPoolExecutor(2) as threads:
        harness.consumer = harness.new_consumer(threads)
        harness.fail(SEND, first, second)
        assert harness.settle(*orders(20, A=1)) == []
    (left,) = harness.outbox
    assert len(left) == 10
    assert left.isdisjoint(harness.answer_types())
    harness.consumer = harness.new_consumer()
    harness.sweep()
    assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(20)}
    harness.check()


def test_an_unexpected_error_while_an_item_is_removed_fails_no_order() -> None:
    harness = ConsumerHarness({"A": 60})
    harness.fail(REMOVE, broken)
    assert harness.settle(*orders(60, A=1)) == []
    assert len(harness.answers) == 60
    assert len(harness.outbox) == 1
    harness.check()


def test_commits_wait_while_too_many_deliveries_run() -> None:
    harness = ConsumerHarness({f"S{n}": 9 for n in range(500)})
    groups = [reserve(f"o{n}", {f"S{n}": 1}) for n in range(500)]  # 49 orders each: 5 sends
    commits: list[int] = []

    def slow(call: Call) -> Any:
        time.sleep(0.2)  # long enough for the other thread to commit as much as it may
        commits.append(harness.counts[TRANSACT])
        return call.proceed()

    with ThreadPoolExecutor(1) as thread:
        harness.consumer = harness.new_consumer(thread)
        harness.fail(SEND, slow)
        assert harness.settle(*groups) == []
    assert commits[0] <= 1 + IN_PROGRESS // 5 < harness.counts[TRANSACT] == 11
    assert len(harness.answers) == 500
    harness.check()


def test_reservations_wait_until_the_releases_of_their_batch_are_answered() -> None:
    harness = ConsumerHarness({"A": 1})
    with ThreadPoolExecutor(1) as thread:
        harness.consumer = harness.new_consumer(thread)
        assert harness.settle(release("late"), reserve("late", {"A": 1}), reserve("other", {"A": 1})) == []
    assert harness.calls.index(REMOVE) < len(harness.calls) - 1 - harness.calls[::-1].index(TRANSACT)
    assert harness.answer_types() == {"late": ["Released"], "other": ["Reserved"]}
    harness.check()
