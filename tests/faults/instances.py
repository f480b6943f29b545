"""Several instances of the system on one stage, killed and restarted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Final, NoReturn, Self

from local.environment import NO_ACCOUNT
from tests.faults.faulty_proxy import Exchange, Reset
from tests.support.local_stack import ROOT

_STOP_SECONDS: Final = 30


class Instances:
    """`size` processes of `tests.faults.instance_process`; one that ends is replaced.

    `ended` counts exit statuses: -9 (SIGKILL), -14 (SIGALRM: out of time), or another.
    """

    def __init__(
        self, env: Mapping[str, str], bound: socket.socket, folder: Path, size: int, time_limit: float
    ) -> None:
        self.ended: Counter[int] = Counter()
        self._env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **NO_ACCOUNT, **env}
        self._bound = bound
        self._folder = folder
        self._size = size
        self._time_limit = time_limit
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def kill(self, rng: Random) -> None:
        """SIGKILL one of them."""
        with self._lock:
            rng.choice(list(self._processes.values())).kill()

    def killed_before_effect(self, exchange: Exchange) -> NoReturn:
        """A fault: the sender of the request is killed before the effect."""
        self._kill_sender(exchange)
        raise Reset

    def killed_after_effect(self, exchange: Exchange) -> NoReturn:
        """A fault: the sender of the request is killed after the effect, before the response."""
        exchange.proceed()
        self._kill_sender(exchange)
        raise Reset

    @property
    def logs(self) -> str:
        """What all of them printed."""
        return "".join(file.read_text() for file in sorted(self._folder.glob("instance-*.log")))

    def __enter__(self) -> Self:
        self._replace()
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._keeper.join()
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for name, process in self._processes.items():
            try:
                self.ended[process.wait(max(0.1, deadline - time.monotonic()))] += 1
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"{name} did not stop: {self.logs[-4000:]}") from None

    def _kill_sender(self, exchange: Exchange) -> None:
        agent = exchange.headers["User-Agent"]
        with self._lock:
            for name, process in self._processes.items():
                if f"app/{name} " in f"{agent} ":
                    process.kill()
                    process.wait()

    def _keep(self) -> None:
        while not self._over.wait(0.05):
            self._replace()

    def _replace(self) -> None:
        with self._lock:
            for name, process in list(self._processes.items()):
                if process.poll() is not None:
                    self.ended[process.returncode] += 1
                    del self._processes[name]
            while len(self._processes) < self._size:
                self._started += 1
                name = f"instance-{self._started:03}"
                self._processes[name] = self._start(name)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        descriptor = self._bound.fileno()
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.faults.instance_process",
                    str(descriptor),
                    str(self._time_limit),
                ],
                cwd=ROOT,
                env={**self._env, "AWS_SDK_UA_APP_ID": name},
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
