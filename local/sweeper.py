"""EventBridge Scheduler's calls of the function `sweep`.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from chalice.local import LambdaContext

from local.journal import journal

Handler = Callable[[dict[str, Any], LambdaContext], Any]

_FUNCTION: Final = "ims-local-sweep"


class Sweeper:
    """Calls a handler every few seconds, as a schedule does."""

    def __init__(self, handler: Handler, *, every: float, time_limit: float) -> None:
        """`every`: seconds from the end of a call to the next; `time_limit`: seconds that a call has."""
        self._handler = handler
        self._every = every
        self._time_limit = time_limit
        self._due = time.monotonic() + every

    def sweep(self) -> None:
        """Call the handler once."""
        context = LambdaContext(
            function_name=_FUNCTION, memory_size=512, max_runtime_ms=int(self._time_limit * 1000)
        )
        self._handler(scheduled_event(), context)

    def sweep_if_due(self) -> None:
        """Call the handler, unless the last call has ended only just now. Its errors go into the journal."""
        if time.monotonic() < self._due:
            return
        try:
            self.sweep()
        except Exception:  # noqa: BLE001 - the next call comes after every error, as on AWS
            journal.exception("the sweep failed")
        self._due = time.monotonic() + self._every


def scheduled_event() -> dict[str, Any]:
    """The event of a schedule that has no input of its own."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "000000000000",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": ["arn:aws:scheduler:us-east-1:000000000000:schedule/default/ims-local-sweep"],
        "detail": "{}",
    }
