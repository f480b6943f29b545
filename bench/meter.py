"""Watches each contestant's clients in the same way: records, counts and delays their calls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from bench.units import Call


@dataclass(frozen=True, slots=True)
class Lap:
    """One round of a contestant: times in seconds, and the peak of its memory so far in bytes."""

    seconds: float
    cpu: float
    requests: int
    failures: int
    peak: int
    calls: list[Call]


@dataclass
class Meter:
    """Watches clients, and delays each request by `latency` seconds."""

    latency: float
    calls: list[Call] = field(default_factory=list)
    requests: int = 0

    def watch(self, client: Any) -> None:
        """Register with the events of a boto3 client."""
        client.meta.events.register("provide-client-params", self._note)
        client.meta.events.register("before-send", self._send)

    def start(self) -> None:
        """Start again from zero."""
        self.calls = []
        self.requests = 0

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        # A shallow copy, since botocore adds an idempotency token to the parameters.
        self.calls.append((model.service_model.service_name, model.name, dict(params)))

    def _send(self, **_: Any) -> None:
        self.requests += 1
        if self.latency:
            time.sleep(self.latency)
