"""Threads deliver answers, several calls at a time, while the next group is settled."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chalicelib.consumer.delivery import IN_PROGRESS
from tests.support.engines.network import Call
from tests.support.messages import release, reserve
from tests.unit.consumer.consumer_harness import MARK, SEND, TRANSACT, ConsumerHarness, orders

WAIT_SECONDS = 5.0
"""Seconds after which a thread gives up waiting for another, and the test fails."""


def broken(_: Call) -> Any:
    raise ZeroDivisionError


def test_the_deliveries_of_a_group_run_concurrently() -> None:
    harness = ConsumerHarness({"A": 60})
    together = threading.Barrier(3, timeout=WAIT_SECONDS)
    # The in-memory engine is not thread-safe: after the barrier the threads go one by one.
    turn = threading.Lock()

    def meet(call: Call) -> Any:
        together.wait()
        with turn:
            return call.proceed()

    with ThreadPoolExecutor(3) as threads:
        harness.consumer = harness.new_consumer(threads)
        harness.fail(SEND, *[meet] * 6)
        harness.fail(MARK, *[meet] * 3)
        assert harness.settle(*orders(60, A=1)) == []
    assert harness.counts == {TRANSACT: 1, SEND: 6, MARK: 3}
    assert len(harness.answers) == 60
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
    assert all("published_at" in (harness.record(f"o{n}") or {}) for n in range(60))
    harness.check()


def test_an_unexpected_error_in_a_send_fails_its_orders_only() -> None:
    harness = ConsumerHarness({"A": 60})
    harness.fail(SEND, broken)
    assert harness.settle(*orders(60, A=1)) == list(range(10))
    assert len(harness.answers) == 50
    assert harness.settle(*orders(60, A=1)[:10], receives=2) == []
    assert harness.answer_types() == {f"o{n}": ["Reserved"] for n in range(60)}
    assert harness.stock == {"A": 0}
    harness.check()


def test_an_unexpected_error_in_a_mark_fails_no_order() -> None:
    harness = ConsumerHarness({"A": 60})
    harness.fail(MARK, broken)
    assert harness.settle(*orders(60, A=1)) == []
    assert sum("published_at" in (harness.record(f"o{n}") or {}) for n in range(60)) == 40
    harness.check()


def test_commits_wait_while_too_many_deliveries_run() -> None:
    harness = ConsumerHarness({f"S{n}": 9 for n in range(500)})
    groups = [reserve(f"o{n}", {f"S{n}": 1}) for n in range(500)]  # 50 orders each: 3 deliveries
    commits: list[int] = []

    def slow(call: Call) -> Any:
        time.sleep(0.2)  # long enough for the other thread to commit as much as it may
        commits.append(harness.counts[TRANSACT])
        return call.proceed()

    with ThreadPoolExecutor(1) as thread:
        harness.consumer = harness.new_consumer(thread)
        harness.fail(SEND, slow)
        assert harness.settle(*groups) == []
    assert commits[0] <= 1 + IN_PROGRESS // 3 < harness.counts[TRANSACT] == 10
    assert len(harness.answers) == 500
    harness.check()


def test_reservations_wait_until_the_releases_of_their_batch_are_answered() -> None:
    harness = ConsumerHarness({"A": 1})
    with ThreadPoolExecutor(1) as thread:
        harness.consumer = harness.new_consumer(thread)
        assert harness.settle(reserve("late", {"A": 1}), release("late"), reserve("other", {"A": 1})) == []
    assert harness.calls.index(MARK) < len(harness.calls) - 1 - harness.calls[::-1].index(TRANSACT)
    assert harness.answer_types() == {"late": ["Released"], "other": ["Reserved"]}
    harness.check()
