"""The embedded AWS: MiniStack as a subprocess on loopback."""

from __future__ import annotations

import os
import shutil
import signal
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
_TRIES: Final = 5


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
        cls, *, port: int | None = None, state_dir: Path | None = None, log: Path | None = None
    ) -> Self:
        """Start MiniStack and wait until it answers.

        `port`: where to listen; a free one if None. `state_dir`: where its data is kept between runs;
        in memory only if None. `log`: the file that takes its output. Raises `EmulatorError`.
        """
        for _ in range(1 if port else _TRIES):
            # Another process may take the free port before MiniStack does: hence the tries.
            with suppress(_PortTaken):
                return cls._start(port or free_port(), state_dir, log)
        raise EmulatorError(f"port {port} is taken" if port else "no free port")

    @classmethod
    def _start(cls, port: int, state_dir: Path | None, log: Path | None) -> Self:
        scratch = Path(tempfile.mkdtemp(prefix="ims-emulator-"))
        output = log or scratch / "log"
        with output.open("ab") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "local.emulator_process", str(os.getpid())],
                cwd=_ROOT,
                env=_environment(port, scratch, state_dir),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle first
            )
        emulator = cls(process, f"http://{HOST}:{port}", scratch)
        try:
            emulator._wait_until_ready(output)
        except BaseException:
            emulator.stop()
            raise
        return emulator

    def _wait_until_ready(self, output: Path) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                said = output.read_text(errors="replace").strip()
                if "already in use" in said or "address in use" in said.lower():
                    raise _PortTaken(said)
                raise EmulatorError(f"MiniStack ended with {self.process.returncode}: {said[-2000:]}")
            with (
                suppress(OSError),
                urllib.request.urlopen(f"{self.endpoint_url}/_ministack/ready", timeout=1) as answer,
            ):
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise EmulatorError(f"MiniStack was not ready within {_READY_SECONDS} s; see {output}")

    def stop(self) -> None:
        """End it cleanly, so that its data is saved; kill it if it does not end in time."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)


class _PortTaken(EmulatorError):
    """Somebody else listens there."""


@contextmanager
def running(
    *, port: int | None = None, state_dir: Path | None = None, log: Path | None = None
) -> Iterator[Emulator]:
    """Run MiniStack for the length of the block; arguments and errors as in `Emulator.start`."""
    emulator = Emulator.start(port=port, state_dir=state_dir, log=log)
    try:
        yield emulator
    finally:
        emulator.stop()


def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(port: int, scratch: Path, state_dir: Path | None) -> dict[str, str]:
    """Everything that MiniStack sees: nothing of the caller's (credentials, PYTHON*) gets in.

    Without SERVICES any web page could have it run code on this machine, and without BIND_HOST it would
    listen on every interface. It must find no Docker either: at its start it removes containers.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "SERVICES": "dynamodb,dynamodbstreams,sqs,sts",
        "LOG_LEVEL": "ERROR",
        "TMPDIR": str(scratch),
        "HOME": str(scratch),
        "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    if state_dir:
        environment |= {"PERSIST_STATE": "1", "STATE_DIR": str(state_dir)}
    return environment
