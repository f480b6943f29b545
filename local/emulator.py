"""Runs the embedded AWS: MiniStack as a subprocess on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

HOST: Final = "127.0.0.1"
_ROOT: Final = Path(__file__).resolve().parent.parent
_READY_SECONDS: Final = 30
_STOP_SECONDS: Final = 10


class EmulatorError(Exception):
    """The embedded AWS did not start; the message says why."""


class Emulator:
    """A running MiniStack: `endpoint_url` is where it listens, `stop()` ends it."""

    def __init__(self, process: subprocess.Popen[bytes], endpoint_url: str, scratch: Path) -> None:
        self.process = process
        self.endpoint_url = endpoint_url
        self._scratch = scratch

    @classmethod
    def start(
        cls, bound: socket.socket | None = None, *, folder: Path | None = None, log: Path | None = None
    ) -> Self:
        """Start MiniStack, and wait until it is ready. It ends with this process, even if that is killed.

        `bound`: a socket from `listen`, which is handed over and closed here; by default one on a free port.
        `folder`: where its data is kept between runs; None: nowhere. `log`: the file for its output.
        Raises `EmulatorError`.
        """
        scratch = Path(tempfile.mkdtemp(prefix="ims-emulator-"))
        output = log or scratch / "log"
        # The socket is bound here and handed over, so no other process can take the port in between.
        with listen() if bound is None else bound as handed, output.open("ab") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "local.emulator_process", str(handed.fileno()), str(os.getpid())]
                + ([str(folder.resolve())] if folder else []),
                pass_fds=[handed.fileno()],
                cwd=_ROOT,
                env=_environment(scratch),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only this process, which stops all parts in order
            )
            emulator = cls(process, f"http://{HOST}:{handed.getsockname()[1]}", scratch)
        try:
            emulator._wait_until_ready(output)
        except BaseException:
            emulator.stop()
            raise
        return emulator

    def _wait_until_ready(self, output: Path) -> None:
        bypass_proxies()
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with (
                suppress(OSError),
                urllib.request.urlopen(f"{self.endpoint_url}/_ministack/ready", timeout=1),
            ):
                return
            time.sleep(0.05)
        printed = output.read_text(errors="replace")[-2000:].strip()
        raise EmulatorError(f"the embedded AWS did not start ({self.process.poll()=}): {printed}")

    def stop(self) -> None:
        """Stop it cleanly, so that its data is saved; kill it if it does not stop in time."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)


@contextmanager
def running(
    bound: socket.socket | None = None, *, folder: Path | None = None, log: Path | None = None
) -> Iterator[Emulator]:
    """Run MiniStack for the length of the block; arguments and errors as in `Emulator.start`."""
    emulator = Emulator.start(bound, folder=folder, log=log)
    try:
        yield emulator
    finally:
        emulator.stop()


def bypass_proxies() -> None:
    """Make this process and its children call loopback directly, even if this machine uses a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = os.environ.get(name, "").split(",")
        if HOST not in hosts:
            os.environ[name] = ",".join(filter(None, [*hosts, HOST]))


def listen(port: int = 0) -> socket.socket:
    """Listen on `port` of loopback, or on any free port if 0; raises `OSError` if the port is taken."""
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.listen(128)
    except OSError:
        bound.close()
        raise
    return bound


def _environment(scratch: Path) -> dict[str, str]:
    """The whole environment of MiniStack, without the caller's variables (credentials, PYTHON*).

    SERVICES limits it to services that run no code: otherwise any web page could run code on this machine.
    DOCKER_HOST hides Docker from it: at its start, it removes containers.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "SERVICES": "dynamodb,dynamodbstreams,sqs,sts",
        "BIND_HOST": HOST,
        "LOG_LEVEL": "ERROR",
        "TMPDIR": str(scratch),
        "HOME": str(scratch),
        "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
