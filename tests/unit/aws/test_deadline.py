import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from socket import socketpair
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.deadline import BASE_SECONDS, CAP_SECONDS, Deadline, full_jitter, run_within
from chalicelib.errors import OutOfTime
from tests.support.deadlines import at
from tests.unit.builders import NOW


@given(st.integers(0, 10**9), st.integers())
def test_a_pause_is_between_zero_and_the_bound(attempt: int, seed: int) -> None:
    bound = min(CAP_SECONDS, BASE_SECONDS * 2 ** min(attempt, 64))
    assert 0 <= full_jitter(attempt, Random(seed)) <= bound


def test_pauses_spread_over_a_bound_that_doubles() -> None:
    rng = Random(1)
    for attempt in range(6):
        pauses = [full_jitter(attempt, rng) for _ in range(2_000)]
        bound = BASE_SECONDS * 2**attempt
        assert min(pauses) < 0.05 * bound
        assert 0.95 * bound < max(pauses) <= bound
        assert 0.45 * bound < mean(pauses) < 0.55 * bound


class TestTries:
    def test_wait_with_full_jitter_before_each_but_the_first(self) -> None:
        pauses: list[float] = []
        assert list(at(NOW, pauses).tries(8)) == list(range(8))
        bounds = [BASE_SECONDS * 2**attempt for attempt in range(7)]
        assert len(pauses) == len(bounds)
        assert all(0 <= wait <= bound for wait, bound in zip(pauses, bounds, strict=True))

    def test_end_when_there_is_no_time_for_one_more(self) -> None:
        left = iter([1.0, 0.0])
        deadline = Deadline(remaining=lambda: next(left), margin=0.0, sleep=lambda _: None)
        tries = deadline.tries(8)
        assert next(tries) == 0
        with pytest.raises(OutOfTime):
            next(tries)

    def test_do_not_begin_when_the_deadline_is_near(self) -> None:
        with pytest.raises(OutOfTime):
            next(Deadline(remaining=lambda: 5.0, margin=5.0).tries(8))


class TestShare:
    def test_steps_share_the_time_that_is_left_in_equal_parts(self) -> None:
        deadline = Deadline(remaining=lambda: 40.0, margin=10.0)
        assert deadline.left == 30
        assert deadline.share(3).left == 10
        assert deadline.share(1).left == 30

    def test_nothing_is_left_to_share_after_the_deadline(self) -> None:
        assert Deadline(remaining=lambda: 5.0, margin=10.0).share(2).left == 0


def in_the_main_thread(work: Callable[[], object]) -> object:
    return work()


def in_another_thread(work: Callable[[], object]) -> object:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize("where", [in_the_main_thread, in_another_thread])
class TestRunWithin:
    def test_work_that_ends_in_time_returns_its_result(self, where: Callable[..., object]) -> None:
        assert where(lambda: run_within(5, lambda: "done")) == "done"

    def test_work_that_fails_raises_its_own_error(self, where: Callable[..., object]) -> None:
        with pytest.raises(ZeroDivisionError):
            where(lambda: run_within(5, lambda: 1 // 0))

    @pytest.mark.parametrize("seconds", [0.1, 0.0, -1.0])
    def test_work_that_takes_too_long_is_left(self, where: Callable[..., object], seconds: float) -> None:
        ours, theirs = socketpair()
        with ours, theirs:
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                where(lambda: run_within(seconds, lambda: ours.recv(1)))
            assert time.monotonic() - began < 2
            theirs.sendall(b"x")  # ends a thread that still waits

    def test_except_exception_does_not_swallow_the_timeout(self, where: Callable[..., object]) -> None:
        ours, theirs = socketpair()

        def stubborn() -> None:
            for _ in range(3):
                with suppress(Exception):
                    ours.recv(1)

        with ours, theirs:
            with pytest.raises(TimeoutError):
                where(lambda: run_within(0.1, stubborn))
            theirs.close()


def test_an_earlier_alarm_still_fires() -> None:
    rung: list[int] = []
    former = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    timer = signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        assert run_within(5, lambda: "done") == "done"
        assert not rung
        time.sleep(0.4)
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, former)
        signal.setitimer(signal.ITIMER_REAL, *timer)
