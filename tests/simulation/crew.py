"""The threads of a simulated process: greenlets that take turns with everybody else's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import greenlet

from tests.simulation.world import Actor
from tests.support.engines.network import Crash


class Crew(Executor):
    """An executor in simulated time, with so many `threads`; a crash in one of them is the process's."""

    def __init__(self, actor: Actor, threads: int) -> None:
        self._actor = actor
        self._idle = threads
        self._waiting: deque[tuple[Callable[[], None], Future[Any]]] = deque()
        self._alive: set[greenlet.greenlet] = set()

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin with `work` when a thread is idle and the caller next waits."""
        future = _Future(self._actor)
        self._alive.add(greenlet.getcurrent())

        def do() -> None:
            me = greenlet.getcurrent()
            self._alive.add(me)
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it is for whoever asks the future
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
            self._actor.world.spawn(self._waiting.popleft()[0], self._actor.world.now)

    def die(self) -> None:
        """The process is gone: whoever is at work crashes when it wakes, and nobody begins any more."""
        self._actor.ghosts |= self._alive
        self._alive.clear()  # a ghost's crash is no second death
        while self._waiting:
            self._waiting.popleft()[1].set_exception(Crash("its process has died"))


class _Future(Future[Any]):
    """A future whose `result` lets others act until it is there."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self._actor = actor

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            world = self._actor.world
            wake = greenlet.getcurrent().switch
            self.add_done_callback(lambda _: world.at(world.now, wake))
            world.rest()
            self._actor.check()
        return super().result(timeout)
