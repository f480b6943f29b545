"""Simulated time: actors are greenlets; one runs until it waits, then the next takes its turn."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from random import Random
from typing import Any

import greenlet

from tests.support.engines import FakeClock
from tests.support.engines.network import Crash

MAX_TURNS = 200_000


class NeverQuiet(Exception):
    """There is always something left to do."""


class Scheduler:
    """Runs actions at their times; actions of one moment run in the order in which they were scheduled."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.start = clock.now
        self.turns = 0
        self._hub = greenlet.getcurrent()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._scheduled = 0

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.clock.now - self.start

    def call_at(self, moment: float, act: Callable[[], object]) -> None:
        """Do `act` at `moment`, in seconds after the beginning."""
        self._scheduled += 1
        heapq.heappush(self._due, (max(moment, self.now), self._scheduled, act))

    def spawn(self, work: Callable[[], None], moment: float = 0) -> None:
        """Start an actor at `moment`."""
        self.call_at(moment, greenlet.greenlet(work, parent=self._hub).switch)

    def wait(self, seconds: float) -> None:
        """Let others act for that long; for actors."""
        self.call_at(self.now + seconds, greenlet.getcurrent().switch)
        self.suspend()

    def suspend(self) -> None:
        """Let others act until one of them wakes the caller; for actors."""
        self._hub.switch()

    def run(self) -> None:
        """Let time pass until nothing is left to happen; raises `NeverQuiet` if it never ends."""
        while self._due:
            self.turns += 1
            if self.turns > MAX_TURNS:
                raise NeverQuiet(f"{MAX_TURNS} turns, and still not quiet")
            moment, _, act = heapq.heappop(self._due)
            self.clock.now = self.start + moment
            act()


class Actor:
    """One process: its name, its randomness, its time limit, and threads of its earlier lives that died."""

    def __init__(self, scheduler: Scheduler, name: str, rng: Random) -> None:
        self.scheduler = scheduler
        self.name = name
        self.rng = rng
        self.calls = 0
        self.dies_at: float | None = None
        self.dead_threads: set[greenlet.greenlet] = set()

    def wait(self, seconds: float) -> None:
        """Let others act for that long; raises `Crash` when the process is out of time meanwhile."""
        self.scheduler.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise `Crash` if the caller's process has died, or is out of time."""
        if greenlet.getcurrent() in self.dead_threads:
            raise Crash("its process has died")
        if self.dies_at is not None and self.scheduler.now >= self.dies_at:
            raise Crash("killed at its time limit")


class ThreadPool(Executor):
    """The threads of a process in simulated time: greenlets; a crash in one of them kills the process."""

    def __init__(self, actor: Actor, threads: int) -> None:
        self._actor = actor
        self._idle = threads
        self._waiting: deque[tuple[Callable[[], None], Future[Any]]] = deque()
        self._alive: set[greenlet.greenlet] = set()

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start `work` when a thread is idle and the caller next waits."""
        future = _Future(self._actor)
        self._alive.add(greenlet.getcurrent())

        def do() -> None:
            me = greenlet.getcurrent()
            self._alive.add(me)
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - the caller gets it from the future
                if isinstance(error, Crash):
                    self.die()
                future.set_exception(error)
            self._alive.discard(me)
            self._idle += 1
            self._begin()

        self._waiting.append((do, future))
        self._begin()
        return future

    def _begin(self) -> None:
        if self._waiting and self._idle:
            self._idle -= 1
            self._actor.scheduler.spawn(self._waiting.popleft()[0], self._actor.scheduler.now)

    def die(self) -> None:
        """Kill the process: its threads crash when they next run, and no work is started any more."""
        self._actor.dead_threads |= self._alive
        self._alive.clear()  # a dead thread's crash does not kill the new process
        while self._waiting:
            self._waiting.popleft()[1].set_exception(Crash("its process has died"))


class _Future(Future[Any]):
    """A future whose `result` lets others act until it is there."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self._actor = actor

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            scheduler = self._actor.scheduler
            wake = greenlet.getcurrent().switch
            self.add_done_callback(lambda _: scheduler.call_at(scheduler.now, wake))
            scheduler.suspend()
            self._actor.check()
        return super().result(timeout)
