"""Simulated time: actors are greenlets that take turns wherever they wait, and nowhere else."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

import greenlet

from tests.support.engines import FakeClock
from tests.support.engines.network import Crash

MOST_TURNS = 200_000


class Restless(Exception):
    """The world does not come to rest."""


class World:
    """What is to happen, by time; of two things at one moment the one that was asked for first goes first."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.start = clock.now
        self.turns = 0
        self._hub = greenlet.getcurrent()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._asked = 0

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.clock.now - self.start

    def at(self, moment: float, act: Callable[[], object]) -> None:
        """Do something `moment` seconds after the beginning."""
        self._asked += 1
        heapq.heappush(self._due, (max(moment, self.now), self._asked, act))

    def spawn(self, work: Callable[[], None], moment: float = 0) -> None:
        """Let an actor begin."""
        self.at(moment, greenlet.greenlet(work, parent=self._hub).switch)

    def wait(self, seconds: float) -> None:
        """Let others act for that long; for actors."""
        self.at(self.now + seconds, greenlet.getcurrent().switch)
        self.rest()

    def rest(self) -> None:
        """Let others act until one of them wakes the caller; for actors."""
        self._hub.switch()

    def run(self) -> None:
        """Let time pass until nothing is left to happen; raises `Restless` if that does not come."""
        while self._due:
            self.turns += 1
            if self.turns > MOST_TURNS:
                raise Restless(f"{MOST_TURNS} turns, and still no rest")
            moment, _, act = heapq.heappop(self._due)
            self.clock.now = self.start + moment
            act()


class Actor:
    """One process: its name, its chance, how long it may live, and its threads that died with it before."""

    def __init__(self, world: World, name: str, rng: Random) -> None:
        self.world = world
        self.name = name
        self.rng = rng
        self.calls = 0
        self.dies_at: float | None = None
        self.ghosts: set[greenlet.greenlet] = set()

    def wait(self, seconds: float) -> None:
        """Let others act for that long; raises `Crash` when the process is out of time meanwhile."""
        self.world.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise `Crash` if the caller's process has died, or is out of time."""
        if greenlet.getcurrent() in self.ghosts:
            raise Crash("its process has died")
        if self.dies_at is not None and self.world.now >= self.dies_at:
            raise Crash("killed at its time limit")
