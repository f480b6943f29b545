"""EventBridge Scheduler's calls of the function `sweep`.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    def sweep(self) -> None:
        """Call the handler once."""
        context = LambdaContext(
            function_name=_FUNCTION, memory_size=512, max_runtime_ms=int(self._time_limit * 1000)
        )
        self._handler(scheduled_event(), context)

    def run(self, stop: threading.Event) -> None:
        """Call the handler until `stop` is set. The current call is finished first."""
        while not stop.wait(self._every):
            try:
                self.sweep()
            except Exception:  # noqa: BLE001 - the next call comes after every error, as on AWS
                journal.exception("the sweep failed")


@contextmanager
def sweeping(sweeper: Sweeper) -> Iterator[None]:
    """Run `sweeper` in a thread for the length of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=sweeper.run, args=[stop], name="sweeper")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


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
