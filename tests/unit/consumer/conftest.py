from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.telemetry import SERVICE, metrics

Logs = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def output() -> Iterator[io.StringIO]:
    """What the consumer logs; drops metrics that this or an earlier test left behind."""
    metrics.clear_metrics()
    written = io.StringIO()
    handlers = [h for h in logging.getLogger(SERVICE).handlers if isinstance(h, logging.StreamHandler)]
    former = [handler.setStream(written) for handler in handlers]
    yield written
    for handler, stream in zip(handlers, former, strict=True):
        if stream is not None:
            handler.setStream(stream)
    metrics.clear_metrics()


@pytest.fixture
def logs(output: io.StringIO) -> Logs:
    """Returns the log so far, one entry per line."""
    return lambda: [json.loads(line) for line in output.getvalue().splitlines()]
