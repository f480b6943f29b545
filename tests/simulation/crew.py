"""The threads of a simulated process: greenlets that take turns with everybody else's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import greenlet

from tests.simulation.world import Actor, World


class Crew(Executor):
    """An executor in simulated time, with a thread for each piece of work."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._at_work: set[greenlet.greenlet] = set()

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin with `work` when the caller next waits."""
        world = self._actor.world
        future = _Future(world)

        def begin() -> None:
            me = greenlet.getcurrent()
            self._at_work.add(me)
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - a crash too is for whoever asks the future
                future.set_exception(error)
            self._at_work.discard(me)

        world.spawn(begin, world.now)
        return future

    def die(self) -> None:
        """The process is gone: whoever is at work crashes when it wakes."""
        self._actor.ghosts |= self._at_work


class _Future(Future[Any]):
    """A future whose `result` lets others act until it is there."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            wake = greenlet.getcurrent().switch
            self.add_done_callback(lambda _: self._world.at(self._world.now, wake))
            self._world.rest()
        return super().result(timeout)
