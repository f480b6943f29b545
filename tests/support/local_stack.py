"""The local stack as a subprocess, as `make run` starts it, but on free ports and in a folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
FREE_PORTS = ("--port", "0", "--aws-port", "0")
START_SECONDS = 60
STOP_SECONDS = 20


class LocalStack:
    """`python -m local` in a shell with `shell`; `env` is the environment that it wrote for its users."""

    def __init__(self, folder: Path, *options: str, shell: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._file = folder / "env"
        self._file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", "--folder", str(folder), *(options or FREE_PORTS)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(shell or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def env(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._file.read_text().splitlines())

    def wait_until_ready(self) -> Self:
        deadline = time.monotonic() + START_SECONDS
        while not self._file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the stack did not start: {self.stop()}")
            time.sleep(0.05)
        return self

    def stop(self, number: int = signal.SIGINT) -> str:
        """Stop it and return all that it printed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.communicate(timeout=STOP_SECONDS)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not stop: {self.process.communicate()[0]}") from None

    def __enter__(self) -> Self:
        return self.wait_until_ready()

    def __exit__(self, *_: object) -> None:
        self.stop()


def wait_for_snapshot(folder: Path, holds: Callable[[str], bool]) -> None:
    """Wait until `holds` is true of the emulator's newest snapshot."""
    file = folder / "snapshot.json"
    deadline = time.monotonic() + 20
    while not (file.exists() and holds(file.read_text())):
        assert time.monotonic() < deadline, "no such snapshot was made"
        time.sleep(0.05)
