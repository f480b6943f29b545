"""What runs in the emulator's process: MiniStack, its snapshots, and a watch on the parent process.

`python -m local.emulator_process SOCKET PARENT [FOLDER]`: the descriptor of the bound socket, the id of the
process to end with, and the folder for snapshots.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as ministack

from local.snapshots import Snapshots, take

_WATCH_SECONDS: Final = 0.5
_SNAPSHOT_SECONDS: Final = 1.0
_SNAPSHOT_SHARE: Final = 0.1  # of the time, at the most: the event loop stands still for each
_READS: Final = ("Get", "BatchGet", "Describe", "List", "Query", "Scan", "Receive", "TransactGet")


class Watched:
    """MiniStack as an ASGI application that notes when it may have changed something."""

    changed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await ministack(scope, receive, send)  # type: ignore[no-untyped-call]
        if scope["type"] == "http":
            target = dict(scope["headers"]).get(b"x-amz-target", b"").decode("latin-1")
            self.changed |= not target.rpartition(".")[2].startswith(_READS)


async def run(socket: int, parent: int, folder: Path | None) -> None:
    """Serve on `socket` until SIGTERM, or until process `parent` is gone."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = Config()
    config.bind = [f"fd://{socket}"]
    config.loglevel = "ERROR"
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1  # long polls are cut short
    watched = Watched()
    helpers = [asyncio.create_task(_end_with(parent, stop))]
    if folder:
        snapshots = Snapshots(folder)
        snapshots.restore()
        helpers.append(asyncio.create_task(_keep(snapshots, watched)))
    await serve(watched, config, shutdown_trigger=stop.wait)
    for helper in helpers:
        helper.cancel()
    await asyncio.gather(*helpers, return_exceptions=True)
    if folder:
        snapshots.save(take())


async def _end_with(parent: int, stop: asyncio.Event) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(_WATCH_SECONDS)
    stop.set()


async def _keep(snapshots: Snapshots, watched: Watched) -> None:
    pause = _SNAPSHOT_SECONDS
    while True:
        await asyncio.sleep(pause)
        if watched.changed:
            watched.changed = False
            began = time.monotonic()
            await asyncio.to_thread(snapshots.save, take())
            pause = max(_SNAPSHOT_SECONDS, (time.monotonic() - began) / _SNAPSHOT_SHARE)


if __name__ == "__main__":
    descriptor, owner, *rest = sys.argv[1:]
    asyncio.run(run(int(descriptor), int(owner), Path(rest[0]) if rest else None))
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
