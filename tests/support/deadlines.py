"""Deadlines for code under test."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from chalicelib.aws.deadline import Deadline
from tests.support.engines.clock import FakeClock

FOREVER = 1e9
"""Seconds. Not infinity: no part of that would be left to share it."""


def at(now: datetime, pauses: list[float] | None = None) -> Deadline:
    """A deadline that never comes, at the moment `now`; `pauses` collects how long it would wait."""
    return Deadline(
        remaining=lambda: FOREVER,
        margin=0.0,
        now=lambda: now,
        sleep=(pauses if pauses is not None else []).append,
        rng=Random(0),
    )


def after(seconds: float) -> Deadline:
    """A deadline `seconds` from now, on the real clock; nothing is kept back."""
    end = time.monotonic() + seconds
    return Deadline(remaining=lambda: end - time.monotonic(), margin=0.0)


def endless(
    clock: FakeClock, sleep: Callable[[float], None] | None = None, rng: Random | None = None
) -> Deadline:
    """A deadline that never comes; it tells the time of `clock`, and waits by `sleep` (default: at once)."""
    return Deadline(
        remaining=lambda: FOREVER,
        margin=0.0,
        now=lambda: datetime.fromtimestamp(clock.now, UTC),
        sleep=sleep or clock.advance,
        rng=rng or Random(0),
    )
