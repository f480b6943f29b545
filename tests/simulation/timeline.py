"""What happened, in one order for both services: what the invariants are checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.engines.sqs import Sent
from tests.support.engines.tables import Commit


@dataclass(frozen=True, slots=True)
class Settled:
    """The consumer reported these letters (by number) as done, so they are deleted."""

    letters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A REST request under an idempotency key got its answer."""

    key: Any
    answer: Any


Entry = Commit | Sent | Settled | Answered


class Timeline(list[Entry]):
    """Everything that counts, in the order in which it took effect."""


class Feed(list[Any]):
    """An engine's own history, which also tells the timeline."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self._timeline = timeline

    def append(self, entry: Any) -> None:
        super().append(entry)
        self._timeline.append(entry)
