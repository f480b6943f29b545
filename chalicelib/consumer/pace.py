"""The consumer's clock, and how long it may go on trying."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Final, Protocol

from chalicelib.core.backoff import full_jitter
from chalicelib.errors import OutOfTime

RESERVE_SECONDS: Final = 10.0
"""Kept back at the end of the time limit: more than the slowest call may take.

That is 9 s with the settings in `chalicelib.clients`: two tries, each with 1 s to connect and 3 s to read,
up to 1 s apart. A limit under 20 s, which Terraform refuses, cannot be kept while AWS is silent.
"""


class LambdaContext(Protocol):
    """What is used of the context that Lambda hands to a function."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> float: ...


@dataclass(frozen=True)
class Pace:
    """Time for one invocation: `now`, and pauses between tries while enough `remaining` seconds are left."""

    remaining: Callable[[], float]
    reserve: float
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    rng: Random = Random()  # noqa: RUF009 - one generator is meant

    @classmethod
    def of(cls, context: LambdaContext) -> Pace:
        """The pace of the invocation that `context` describes."""
        limit = context.get_remaining_time_in_millis() / 1000
        return cls(
            remaining=lambda: context.get_remaining_time_in_millis() / 1000,
            reserve=min(RESERVE_SECONDS, limit / 2),
        )

    def half(self) -> Pace:
        """The pace for the first half of the time that is left."""
        spare = max(0.0, self.remaining() - self.reserve)
        return replace(self, reserve=self.reserve + spare / 2)

    def check(self) -> None:
        """Raise `OutOfTime` if nothing new should be begun."""
        if self.remaining() <= self.reserve:
            raise OutOfTime("the time limit is near")

    def pause(self, attempt: int) -> None:
        """Wait with full jitter after failed try number `attempt` (from 0).

        Raises `OutOfTime`, at once, if there is no time for another try after the wait.
        """
        seconds = full_jitter(attempt, self.rng)
        if self.remaining() - seconds <= self.reserve:
            raise OutOfTime("the time limit is near")
        self.sleep(seconds)
