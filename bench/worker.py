"""Runs one contestant in a separate process, so that its CPU time and memory can be measured.

`python -m bench.worker NAME LATENCY` reads pickled work from standard input, and writes a `Lap` for each to
standard output. The output of the contestant itself is discarded.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.meter import Lap, Meter
from bench.units import Call

NAMES: Final = ("usual", "threads", "powertools", "ours", "floor")


class Context:
    """The used part of the context that Lambda passes to a function."""

    aws_request_id = "11111111-2222-3333-4444-555555555555"
    function_name = "on_sqs_message"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Floor:
    """Makes the given calls and nothing else: the least time of any consumer that needs these calls."""

    def __init__(self, clients: dict[str, Any]) -> None:
        from botocore import xform_name
        from botocore.exceptions import ClientError

        self._refused = ClientError
        self._name = xform_name
        self._clients = clients

    def handle(self, call: Call, _: object) -> dict[str, Any]:
        """Make one call; a transaction may be cancelled, as it was the first time."""
        service, operation, params = call
        try:
            getattr(self._clients[service], self._name(operation))(**params)
        except self._refused as refused:
            if "CancellationReasons" not in refused.response:
                raise
        return {"batchItemFailures": []}


def contestant(name: str, meter: Meter) -> Callable[[Any, Any], dict[str, Any]]:
    """The handler of the contestant `name`; all contestants have clients with our configuration."""
    from chalicelib import bootstrap

    both: dict[str, Any] = {"dynamodb": bootstrap.dynamodb(), "sqs": bootstrap.sqs()}
    for client in both.values():
        meter.watch(client)
    if name == "ours":
        from chalicelib.handlers.inventory_queue import handle

        return partial(handle, consumer=bootstrap.consumer())
    if name == "floor":
        return Floor(both).handle
    from bench.usual import Powertools, Steps, Usual
    from bench.usual_changes import change

    steps = Steps(both["dynamodb"], both["sqs"], bootstrap.tables(), bootstrap.queues().oms_events_queue_url)
    return (
        Powertools(steps).handle
        if name == "powertools"
        else Usual(steps, change, 10 if name == "threads" else 1).handle
    )


def run(handle: Callable[[Any, Any], dict[str, Any]], meter: Meter, work: Sequence[Any]) -> Lap:
    """Pass `work` to `handle` piece by piece, and measure it."""
    context = Context()
    meter.start()
    failures = 0
    began, cpu = time.perf_counter(), time.process_time()
    for piece in work:
        failures += len(handle(piece, context)["batchItemFailures"])
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Lap(seconds, cpu, meter.requests, failures, peak_memory(), meter.calls)


def peak_memory() -> int:
    """The peak memory of this process in bytes."""
    # getrusage is no use: on Linux, its peak includes the memory of the parent when it started this process.
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def main() -> None:
    """Do the work from standard input until it ends."""
    name, latency = sys.argv[1:]
    results = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    meter = Meter(float(latency))
    handle = contestant(name, meter)
    while True:
        try:
            work = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(run(handle, meter, work), results)
        results.flush()


if __name__ == "__main__":
    main()
