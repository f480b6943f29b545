"""`python -m local`: runs the stack until Ctrl-C; `make run` calls it."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, TextIO

from local import environment
from local.emulator import EmulatorError

if TYPE_CHECKING:
    from local.stack import Running

_WATCH_SECONDS: Final = 0.5

WELCOME: Final = """
The inventory system is running.{loaded}

  REST   {IMS_API_URL}   (try {IMS_API_URL}/health)
  AWS    {AWS_ENDPOINT_URL}   (DynamoDB and SQS, embedded; AWS CLI 1 needs --endpoint-url for SQS)
  data   {folder}/aws   kept between runs; `make run RESET=1` deletes it first
  logs   {folder}/ims.log   JSON lines of REST, authorizer and consumer

In another terminal:

  set -a; . {folder}/env; set +a
  curl -H "Authorization: Bearer $IMS_TOKEN_READ" "$IMS_API_URL/products?limit=5&include_inventory=true"
  curl -H "Authorization: Bearer $IMS_TOKEN_READ" -H "Content-Type: application/json" \\
       -d '{{"items": [{{"sku": "MUG-BLUE", "quantity": 2}}]}}' "$IMS_API_URL/inventory/check"
  curl -H "Authorization: Bearer $IMS_TOKEN_WRITE" -H "Content-Type: application/json" \\
       -d '{{"delta": 10, "reason": "RECEIVED"}}' "$IMS_API_URL/inventory/MUG-BLUE/adjustments"
  make demo

Token for reading:  {IMS_TOKEN_READ}

Token for writing:  {IMS_TOKEN_WRITE}

Ctrl-C stops everything.
"""


def main() -> int:
    """Run the stack, and return the exit status of the process."""
    environment.isolate()
    # Not earlier: Powertools reads its settings when it is imported, and stops at an unknown LOG_LEVEL.
    from local.catalogue import CatalogueError
    from local.stack import PortError, port_number, running

    options = _options()
    try:
        port, aws_port = port_number(options.port, "PORT"), port_number(options.aws_port, "AWS_PORT")
    except PortError as error:
        return _fail(str(error))
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    stop = _stop_on_signals()
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return _fail(f"Another stack is already using the data in {folder}; stop it first.")
        terminal = _redirect_output(folder / "ims.log")
        try:
            with running(folder, port=port, aws_port=aws_port, reset=options.reset) as stack:
                return _run_until_stopped(stack, stop, folder, terminal)
        except PortError as error:
            return _fail(str(error))
        except (EmulatorError, CatalogueError) as error:
            return _fail(f"The stack did not start: {error}\nThe logs are in {folder}.")


def _run_until_stopped(stack: Running, stop: threading.Event, folder: Path, terminal: TextIO) -> int:
    """Print the welcome text, then wait for `stop` or the end of the embedded AWS; return the exit status."""
    loaded = f" The catalogue has {stack.products_loaded} sample products." if stack.products_loaded else ""
    here = Path.cwd()
    shown = folder.resolve().relative_to(here) if folder.resolve().is_relative_to(here) else folder.resolve()
    terminal.write(WELCOME.format(loaded=loaded, folder=shown, **stack.env))
    while not stop.wait(_WATCH_SECONDS):
        if stack.emulator.process.poll() is not None:
            return _fail(f"The embedded AWS stopped unexpectedly; see {shown}/emulator.log.")
    with suppress(OSError):  # the terminal may be closed
        terminal.write("\nStopping …\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description="Run the inventory system locally.")
    parser.add_argument(
        "--port", default="8000", help="port of the REST API; 0: any free port (default %(default)s)"
    )
    parser.add_argument(
        "--aws-port", default="4566", help="port of the embedded AWS; 0: any free port (default %(default)s)"
    )
    parser.add_argument("--reset", action="store_true", help="delete the data of earlier runs first")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".local"),
        help="folder of data, logs and env (default %(default)s)",
    )
    return parser.parse_args()


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def stop_once(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)  # a second Ctrl-C ends the process at once

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_once)
    return stop


def _redirect_output(log: Path) -> TextIO:
    """Redirect standard output, where the functions log, to the file `log`; return the terminal."""
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))  # the log of the previous run
    terminal = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    with log.open("a") as sink:
        os.dup2(sink.fileno(), 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return terminal


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
