"""How a bug gets into the code, and out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

Patch = Callable[[Any, str, Any], None]
"""`patch(where, name, what)` puts `what` under `name` into a module or a class."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug, and within how many seeds the simulation must find it."""

    name: str
    seeds: int
    put_in: Callable[[Patch], None]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The bug is in the code for as long."""
        with ExitStack() as stack:
            self.put_in(lambda where, name, what: stack.enter_context(mock.patch.object(where, name, what)))
            yield


@dataclass(slots=True)
class Bugs:
    """The bugs of one kind; an instance is the decorator that enters one."""

    entered: list[Mutation] = field(default_factory=list)

    def __call__(self, name: str, seeds: int = 100) -> Callable[[Callable[[Patch], None]], Any]:
        def enter(put_in: Callable[[Patch], None]) -> None:
            self.entered.append(Mutation(name, seeds, put_in))

        return enter
