"""The sweep of the outbox and of the holds, as one process that may be killed at any moment.

`python -m tests.faults.sweeper_process SECONDS`: sweeps every `PERIOD_SECONDS`. As on Lambda, a sweep that
takes longer than SECONDS ends the process.
"""

from __future__ import annotations

import signal
import sys
import threading
from datetime import timedelta
from typing import Final
from unittest import mock

from chalice.local import LambdaContext

import app
from chalicelib.consumer import holds, sweep
from chalicelib.domain import rulings
from local.journal import journal
from tests.faults.processes import connect, time_limit

TIMES_FASTER: Final = 15
"""The sweep's patience is 30 s, its grace 5 s, and its period a minute; here they are so much shorter."""
PATIENCE: Final = sweep.PATIENCE / TIMES_FASTER
GRACE: Final = rulings.GRACE / TIMES_FASTER
PERIOD_SECONDS: Final = timedelta(minutes=1).total_seconds() / TIMES_FASTER


def main(limit: float) -> None:
    """Sweep until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    connect()
    with (
        mock.patch.object(sweep, "PATIENCE", PATIENCE),
        mock.patch.object(rulings, "GRACE", GRACE),
        mock.patch.object(holds, "GRACE", GRACE),
    ):
        while not stop.is_set():
            context = LambdaContext("ims-local-sweep", memory_size=512, max_runtime_ms=int(limit * 1000))
            try:
                with time_limit(limit):
                    app.sweep({}, context)
            except Exception:  # noqa: BLE001 - the schedule goes on after every error
                journal.exception("the sweep failed")
            stop.wait(PERIOD_SECONDS)


if __name__ == "__main__":
    main(float(sys.argv[1]))
