"""One deadline for the consumer and the API: how long an invocation may go on, and how it waits to retry."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Final, Protocol, TypeVar

from chalicelib.errors import OutOfTime

_R = TypeVar("_R")

MARGIN_SECONDS: Final = 10.0
"""Kept back at the end of the time limit: more than the slowest call takes.

That is 9 s with the settings in `chalicelib.bootstrap`: two tries, each with 1 s to connect and 3 s to read,
up to 1 s apart. Of a limit under 20 s, half is kept back.
"""
BASE_SECONDS: Final = 0.02
CAP_SECONDS: Final = 2.0


class LambdaContext(Protocol):
    """The part of Lambda's context that the functions use."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> float: ...


def full_jitter(attempt: int, rng: Random) -> float:
    """Seconds to wait after failed try number `attempt` (from 0): a random part of a doubling bound.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("Full Jitter")
    """
    return rng.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2 ** min(attempt, 16)))


@dataclass(frozen=True)
class Deadline:
    """The clock of one invocation.

    remaining: seconds until Lambda stops the function.
    margin: seconds kept back; with less than that left, nothing new is begun.
    early_margin: seconds that `early` keeps back at the least.
    """

    remaining: Callable[[], float]
    margin: float
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    rng: Random = Random()  # noqa: RUF009 - all deadlines share one generator
    early_margin: float = 0.0

    @classmethod
    def of(cls, context: LambdaContext) -> Deadline:
        """The deadline of the invocation that `context` describes."""
        limit = context.get_remaining_time_in_millis() / 1000
        margin = min(MARGIN_SECONDS, limit / 2)
        return cls(
            remaining=lambda: context.get_remaining_time_in_millis() / 1000,
            margin=margin,
            early_margin=margin * 1.5,
        )

    @property
    def left(self) -> float:
        """Seconds in which something new may still be begun; 0 at the least."""
        return max(0.0, self.remaining() - self.margin)

    def share(self, steps: int) -> Deadline:
        """The deadline of the first of `steps` steps that share the time left in equal parts."""
        return replace(self, margin=self.margin + self.left * (steps - 1) / steps) if steps > 1 else self

    def early(self) -> Deadline:
        """The deadline of work that must leave time for one more call: half of the whole margin more."""
        # A step that shares the time keeps back enough already: half of its margin again may be all it has.
        return replace(self, margin=max(self.margin, self.early_margin))

    def check(self, seconds: float = 0.0) -> None:
        """Raise `OutOfTime` if nothing new should be begun, now or in `seconds`."""
        if self.remaining() - seconds <= self.margin:
            raise OutOfTime("the deadline is near")

    def pause(self, attempt: int) -> None:
        """Wait with full jitter after failed try number `attempt` (from 0).

        Raises `OutOfTime`, at once, if there is no time for another try after the wait.
        """
        seconds = full_jitter(attempt, self.rng)
        self.check(seconds)
        self.sleep(seconds)

    def tries(self, most: int) -> Iterator[int]:
        """Count up to `most` tries from 0, with a pause before each but the first.

        Raises `OutOfTime` in place of a try for which there is no time.
        """
        for attempt in range(most):
            if attempt:
                self.pause(attempt - 1)
            else:
                self.check()
            yield attempt


def run_within(seconds: float, work: Callable[[], _R]) -> _R:
    """Run `work`; raises `TimeoutError` if it has not ended after `seconds`.

    A deadline keeps code from beginning what it cannot finish. But no time-out of a socket bounds a response
    that arrives byte by byte: this does. In the main thread, where Lambda calls its functions, a signal
    interrupts `work`. Elsewhere, as on the local stack, another thread runs `work`. (Threads for all would
    cost each call 0.1 ms.) No signal interrupts the look-up of a name; RES_OPTIONS bounds that, which
    Terraform sets (https://man7.org/linux/man-pages/man5/resolv.conf.5.html).
    """
    main = threading.current_thread() is threading.main_thread()
    return (_run_with_alarm if main else run_in_thread)(max(seconds, 0.001), work)


class _Alarm(BaseException):
    """Not an `Exception`: botocore would turn that into another one, and retry."""


def _run_with_alarm(seconds: float, work: Callable[[], _R]) -> _R:
    armed = True

    def ring(*_: object) -> None:
        if armed:
            raise _Alarm

    former_timer = signal.getitimer(signal.ITIMER_REAL)
    former_handler = signal.signal(signal.SIGALRM, ring)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return work()
        finally:
            armed = False
    except _Alarm:
        raise TimeoutError from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, *former_timer)
        signal.signal(signal.SIGALRM, former_handler)


def run_in_thread(seconds: float, work: Callable[[], _R], name: str = "run_in_thread") -> _R:
    """Run `work` in a thread of its own, which is left behind with `TimeoutError` after `seconds`."""
    ended: Future[_R] = Future()

    def run() -> None:
        try:
            ended.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the caller has to hear of it, whatever it is
            ended.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return ended.result(seconds)
