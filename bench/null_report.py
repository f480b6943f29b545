"""A consumer's report that does nothing, for many consumers in one process.

Powertools has one set of metrics per process.
"""

from __future__ import annotations

from typing import Any

from chalicelib.consumer.report import Report


class NullReport(Report):
    """Accepts every call and does nothing."""

    def __getattribute__(self, name: str) -> Any:
        return _ignore


def _ignore(*_: Any, **__: Any) -> None:
    pass
