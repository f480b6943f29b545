"""The system without the embedded AWS, as one process that may be killed at any moment.

`python -m tests.faults.instance_process SOCKET SECONDS`: serves REST on the listening socket with that
descriptor, and runs the real poller, which hands batches to the real handler. As on Lambda, a batch that
takes longer than SECONDS ends the process.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from typing import Any
from unittest import mock

import app
from chalicelib import bootstrap
from chalicelib.consumer import delivery
from local.gateway import Gateway
from local.poller import Poller
from local.server import serving
from tests.faults.processes import connect, time_limit


def main(descriptor: int, limit: float) -> None:
    """Serve and poll until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    connect()

    def handler(event: dict[str, Any], context: Any) -> Any:
        with time_limit(limit):
            return app.on_sqs_message(event, context)

    shared = socket.socket(fileno=descriptor)
    shared.setblocking(False)  # another instance may have taken the connection already
    # Batches here are of 10; smaller deliveries let real threads send several at once.
    with mock.patch.object(delivery, "MAX_ENTRIES", 3), serving(Gateway(app.app).handle, shared):
        queue = os.environ["IMS_INVENTORY_QUEUE_URL"]
        Poller(bootstrap.sqs(), queue, handler, time_limit=limit).run(stop)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
