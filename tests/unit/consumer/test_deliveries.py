"""Answers are delivered by threads, several calls at once, while the next group is settled."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chalicelib.consumer.outbox import UNDER_WAY
from tests.support.engines.network import Call
from tests.support.messages import release, reserve
from tests.unit.consumer.shop import MARK, SEND, TRANSACT, Shop
from tests.unit.consumer.trouble import orders

PATIENCE = 5.0
"""Seconds after which a thread gives up waiting for another, and the test fails."""


def broken(_: Call) -> Any:
    raise ZeroDivisionError


def test_the_deliveries_of_a_group_are_under_way_at_once() -> None:
    shop = Shop({"A": 60})
    together = threading.Barrier(3, timeout=PATIENCE)
    # The engine in memory is not made for threads: after the meeting they go one by one.
    turn = threading.Lock()

    def meet(call: Call) -> Any:
        together.wait()
        with turn:
            return call.proceed()

    with ThreadPoolExecutor(3) as threads:
        shop.consumer = shop.new_consumer(threads)
        shop.fail(SEND, *[meet] * 6)
        shop.fail(MARK, *[meet] * 3)
        assert shop.settle(*orders(60, A=1)) == []
    assert shop.counts == {TRANSACT: 1, SEND: 6, MARK: 3}
    assert len(shop.answers) == 60
    shop.check()


def test_answers_go_out_while_the_next_group_is_settled_and_before_the_batch_is_done() -> None:
    shop = Shop({f"S{n}": 9 for n in range(60)})
    two_groups = [reserve(f"o{n}", {f"S{n}": 1}) for n in range(60)]
    settled = threading.Event()

    def second(call: Call) -> Any:
        result = call.proceed()
        settled.set()
        return result

    def first_send(call: Call) -> Any:
        settled.wait(PATIENCE)
        return call.proceed()

    with ThreadPoolExecutor(1) as thread:
        shop.consumer = shop.new_consumer(thread)
        shop.fail(TRANSACT, None, second)
        shop.fail(SEND, first_send)
        assert shop.settle(*two_groups) == []
    assert settled.is_set()
    assert shop.calls[0] == TRANSACT
    assert set(shop.calls[1:3]) == {TRANSACT, SEND}
    assert len(shop.answers) == 60
    assert all("published_at" in (shop.record(f"o{n}") or {}) for n in range(60))
    shop.check()


def test_an_unforeseen_fault_in_a_send_fails_its_orders_and_no_others() -> None:
    shop = Shop({"A": 60})
    shop.fail(SEND, broken)
    assert shop.settle(*orders(60, A=1)) == list(range(10))
    assert len(shop.answers) == 50
    assert shop.settle(*orders(60, A=1)[:10], receives=2) == []
    assert shop.told() == {f"o{n}": ["Reserved"] for n in range(60)}
    assert shop.stock == {"A": 0}
    shop.check()


def test_an_unforeseen_fault_in_a_mark_fails_no_order() -> None:
    shop = Shop({"A": 60})
    shop.fail(MARK, broken)
    assert shop.settle(*orders(60, A=1)) == []
    assert sum("published_at" in (shop.record(f"o{n}") or {}) for n in range(60)) == 40
    shop.check()


def test_commits_wait_when_too_many_deliveries_are_under_way() -> None:
    shop = Shop({f"S{n}": 9 for n in range(500)})
    groups = [reserve(f"o{n}", {f"S{n}": 1}) for n in range(500)]  # 50 orders each: 3 deliveries
    commits: list[int] = []

    def slow(call: Call) -> Any:
        time.sleep(0.2)  # long enough for the other thread to commit all it may
        commits.append(shop.counts[TRANSACT])
        return call.proceed()

    with ThreadPoolExecutor(1) as thread:
        shop.consumer = shop.new_consumer(thread)
        shop.fail(SEND, slow)
        assert shop.settle(*groups) == []
    assert commits[0] <= 1 + UNDER_WAY // 3 < shop.counts[TRANSACT] == 10
    assert len(shop.answers) == 500
    shop.check()


def test_no_reservation_is_tried_before_the_releases_of_its_batch_are_answered() -> None:
    shop = Shop({"A": 1})
    with ThreadPoolExecutor(1) as thread:
        shop.consumer = shop.new_consumer(thread)
        assert shop.settle(reserve("late", {"A": 1}), release("late"), reserve("other", {"A": 1})) == []
    assert shop.calls.index(MARK) < len(shop.calls) - 1 - shop.calls[::-1].index(TRANSACT)
    assert shop.told() == {"late": ["Released"], "other": ["Reserved"]}
    shop.check()
