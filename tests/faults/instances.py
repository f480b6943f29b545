"""Several processes of the system on one stage, killed and restarted."""

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
from tests.faults.processes import NAME_VARIABLE, SENDER_HEADER
from tests.support.local_stack import ROOT

_STOP_SECONDS: Final = 30
_SWEEPERS: Final = 2
"""They sweep at the same time, which costs repeats at most."""


class Instances:
    """`size` processes of `tests.faults.instance_process`, and two that sweep; one that ends is replaced.

    `ended` counts exit statuses: -9 (SIGKILL), -14 (SIGALRM: out of time), or another. `senders_killed` names
    the processes that were killed because of a request. `limits`: the seconds that a batch of an `instance`
    and a sweep of a `sweeper` may take.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        bound: socket.socket,
        folder: Path,
        size: int,
        limits: Mapping[str, float],
    ) -> None:
        self.ended: Counter[int] = Counter()
        self.senders_killed: list[str] = []
        self._env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **NO_ACCOUNT, **env}
        self._bound = bound
        self._folder = folder
        self._sizes = {"instance": size, "sweeper": _SWEEPERS}
        self._limits = limits
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
        return "".join(file.read_text() for file in sorted(self._folder.glob("*.log")))

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
        name = sender(exchange)
        with self._lock:
            process = self._processes.get(name)
            if process and process.poll() is None:  # another of its requests may have met this
                process.kill()
                process.wait()
                self.senders_killed.append(name)

    def _keep(self) -> None:
        while not self._over.wait(0.05):
            self._replace()

    def _replace(self) -> None:
        with self._lock:
            for name, process in list(self._processes.items()):
                if process.poll() is not None:
                    self.ended[process.returncode] += 1
                    del self._processes[name]
            for role, size in self._sizes.items():
                for _ in range(size - sum(name.startswith(role) for name in self._processes)):
                    self._started += 1
                    name = f"{role}-{self._started:03}"
                    self._processes[name] = self._start(role, name)

    def _start(self, role: str, name: str) -> subprocess.Popen[bytes]:
        descriptor = self._bound.fileno()
        arguments = [str(descriptor)] if role == "instance" else []
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"tests.faults.{role}_process", *arguments, str(self._limits[role])],
                cwd=ROOT,
                env={**self._env, NAME_VARIABLE: name},
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def sender(exchange: Exchange) -> str:
    """The name of the process that sent a request; "" for any other."""
    return exchange.headers.get(SENDER_HEADER, "")
