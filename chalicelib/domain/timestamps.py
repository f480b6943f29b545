"""Points in time as texts."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache


@lru_cache(maxsize=16)  # all records of a group share one timestamp
def iso(moment: datetime) -> str:
    """`moment` as ISO 8601 in UTC with milliseconds: `2026-11-22T19:30:00.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=256)
def later(time: str, span: timedelta) -> str:
    """The time that is `span` after `time`, both in the form of `iso`."""
    return iso(datetime.fromisoformat(time) + span)
