"""A consumer's report that tells nobody, for where many consumers share a process.

Powertools has one set of metrics a process.
"""

from __future__ import annotations

from typing import Any

from chalicelib.consumer.report import Report


class Silent(Report):
    """Takes every call, those that are new too, and does nothing."""

    def __getattribute__(self, name: str) -> Any:
        return _ignore


def _ignore(*_: Any, **__: Any) -> None:
    pass
