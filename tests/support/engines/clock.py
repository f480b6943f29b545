"""Simulated time."""

from dataclasses import dataclass


@dataclass(slots=True)
class FakeClock:
    """Unix time in seconds; only `advance` changes it."""

    now: float = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds
