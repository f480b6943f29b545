"""What happened, in one order for both services: what the invariants are checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.engines.sqs import Sent
from tests.support.engines.tables import Commit


@dataclass(frozen=True, slots=True)
class Settled:
    """The consumer reported these messages (by number) as done, so they are deleted, and these as failed.

    `since` is the number of the entry at which it began with them, `by` its name, and `arrived` are all of
    them in order of arrival.
    """

    messages: tuple[int, ...]
    failed: tuple[int, ...]
    since: int
    by: str
    arrived: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Responded:
    """A REST request under an idempotency key got its response."""

    key: Any
    response: Any


Entry = Commit | Sent | Settled | Responded


class Timeline(list[Entry]):
    """All entries, in the order in which they took effect."""


class MirroredHistory(list[Any]):
    """An engine's own history, which also appends to the timeline."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self._timeline = timeline

    def append(self, entry: Any) -> None:
        super().append(entry)
        self._timeline.append(entry)
