"""What the processes of an experiment have in common."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from chalicelib import bootstrap

NAME_VARIABLE: Final = "FAULTS_PROCESS"
SENDER_HEADER: Final = "X-Amz-Sender"
"""Names the process that sent a request. The User-Agent cannot: `chalicelib.bootstrap` sets it."""


def connect() -> None:
    """Make the clients, whose requests name this process.

    This happens before any thread starts, since boto3 does not make clients in several threads at once.
    """
    name = os.environ[NAME_VARIABLE]

    def sign(request: Any, **_: object) -> None:
        request.headers[SENDER_HEADER] = name

    for client in (bootstrap.dynamodb(), bootstrap.sqs()):
        client.meta.events.register("request-created", sign)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """As on Lambda, what takes longer than `seconds` ends the process: SIGALRM kills it."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
