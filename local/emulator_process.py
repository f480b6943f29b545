"""The process of the embedded AWS: runs MiniStack, saves snapshots, and stops when its parent ends.

`python -m local.emulator_process SOCKET PARENT [FOLDER]`: the descriptor of the bound socket, the id of the
parent process, and the folder for snapshots.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as ministack

from local.snapshots import Snapshots, capture

_WATCH_SECONDS: Final = 0.5
_SNAPSHOT_SECONDS: Final = 1.0
_SNAPSHOT_SHARE: Final = 0.1  # at most this share of the time, since each snapshot blocks the event loop
_HOST_NAMES: Final = (b"127.0.0.1", b"localhost")
_READ_ACTIONS: Final = ("Get", "BatchGet", "Describe", "List", "Query", "Scan", "Receive", "TransactGet")


class Guarded:
    """MiniStack as an ASGI application that refuses web pages; `changed`: whether its data may have changed.

    MiniStack checks no credentials, so a web page could read, write and reset all its data. A request from a
    page is recognized by its Origin header, or by a Host header that is the name of another host.
    """

    changed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await ministack(scope, receive, send)  # type: ignore[no-untyped-call]
            return
        headers = dict(scope["headers"])
        if b"origin" in headers or headers.get(b"host", b"").partition(b":")[0] not in _HOST_NAMES:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"requests of web pages are refused"})
            return
        await ministack(scope, receive, send)  # type: ignore[no-untyped-call]
        action = headers.get(b"x-amz-target", b"").decode("latin-1").rpartition(".")[2]
        self.changed |= not action.startswith(_READ_ACTIONS)


async def run(socket: int, parent: int, folder: Path | None) -> None:
    """Serve on `socket` until SIGTERM, or until the process `parent` ends."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = Config()
    config.bind = [f"fd://{socket}"]
    config.loglevel = "ERROR"
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1  # long polls are cut short
    guarded = Guarded()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_stop_after(parent, stop))
        if folder:
            snapshots = Snapshots(folder)
            snapshots.restore()
            tasks.create_task(_save_changes(snapshots, guarded, stop))
        await serve(guarded, config, shutdown_trigger=stop.wait)
    if folder:
        snapshots.save(capture())


async def _stop_after(parent: int, stop: asyncio.Event) -> None:
    """Set `stop` when the process `parent` has ended."""
    while os.getppid() == parent and not stop.is_set():
        await _wait(stop, _WATCH_SECONDS)
    stop.set()


async def _save_changes(snapshots: Snapshots, guarded: Guarded, stop: asyncio.Event) -> None:
    """Save a snapshot soon after each change, until `stop` is set."""
    pause = _SNAPSHOT_SECONDS
    while not stop.is_set():
        await _wait(stop, pause)
        if guarded.changed:
            guarded.changed = False
            began = time.monotonic()
            await asyncio.to_thread(snapshots.save, capture())
            pause = max(_SNAPSHOT_SECONDS, (time.monotonic() - began) / _SNAPSHOT_SHARE)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


if __name__ == "__main__":
    descriptor, owner, *rest = sys.argv[1:]
    asyncio.run(run(int(descriptor), int(owner), Path(rest[0]) if rest else None))
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
