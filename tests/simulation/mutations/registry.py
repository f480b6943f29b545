"""How a mutation is defined, applied and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

Patch = Callable[[Any, str, Any], None]
"""`patch(target, name, replacement)` replaces an attribute of a module or a class."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug, and within how many seeds, from the `first` on, the simulation must find it."""

    name: str
    seeds: int
    first: int
    insert: Callable[[Patch], None]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the bug for the length of the block."""
        with ExitStack() as stack:
            self.insert(lambda target, name, new: stack.enter_context(mock.patch.object(target, name, new)))
            yield


@dataclass(slots=True)
class MutationRegistry:
    """The mutations of one module; an instance is the decorator that adds one."""

    mutations: list[Mutation] = field(default_factory=list)

    def __call__(
        self, name: str, seeds: int = 100, first: int = 0
    ) -> Callable[[Callable[[Patch], None]], Any]:
        def enter(insert: Callable[[Patch], None]) -> None:
            self.mutations.append(Mutation(name, seeds, first, insert))

        return enter
