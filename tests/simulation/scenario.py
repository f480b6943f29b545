"""What a seed asks for: a small world, unruly in its own way (some calm, some slow, some full of crashes)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.simulation import letters
from tests.simulation.letters import Habits, Letter
from tests.simulation.mishaps import KINDS

WHATS = ("adjust", "one more", "set", "stock", "create", "retire", "flap")


@dataclass(frozen=True, slots=True)
class Write:
    """One thing a REST writer does: `what` it is, to which SKU, with how many units."""

    at: float
    what: str
    sku: str
    units: int

    def __str__(self) -> str:
        return f"{self.at:.3f}s {self.what} {self.sku} {self.units}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything a run depends on; times are in seconds.

    `faults` are the kinds that may happen, each call meeting one with probability `fault_rate`; with
    `allowed`, only those at these calls (actor, number of its call) do. Both `allowed` and `luck`, which
    turns all chances but the scenario itself, are there to shrink a history. After a call of a consumer
    the meddler strikes with probability `meddling`. The `cursed` order can never be recorded.
    """

    seed: int
    stock: dict[str, int]
    letters: tuple[Letter, ...]
    writes: tuple[tuple[Write, ...], ...]
    cursed: str | None
    consumers: int
    batch: int
    visibility: float
    max_receives: int
    time_limit: float
    latency: float
    pauses: float
    repeats: float
    chaos_until: float
    fault_rate: float
    faults: frozenset[str]
    meddling: float
    redrive: bool
    allowed: frozenset[tuple[str, int]] | None = None
    luck: int = 0

    def chance(self, whose: str) -> Random:
        """Somebody's own source of chance: it stays as it is whatever the others do."""
        return Random(f"{self.seed}/{self.luck}/{whose}")

    @property
    def calm(self) -> bool:
        """Whether nothing is in the way of a valid message, so that none may end in the DLQ."""
        unruly = self.fault_rate or self.pauses or self.repeats or self.meddling
        return not unruly and self.visibility >= self.time_limit and self.latency <= 0.02

    def but(self, **changes: Any) -> Scenario:
        """The same with some things changed."""
        return replace(self, **changes)


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = Random(f"scenario/{seed}")
    # Swarm testing: what each world leaves out is what lets the rest of it go to extremes.
    theme = rng.choices(("any", "hot", "cancelled", "flap", "wide", "crowd"), (50, 20, 14, 13, 2, 1))[0]
    skus = _skus(rng, theme)
    plenty = rng.choice((4, 8) if theme == "hot" else (6, 20, 100))
    stock = {sku: rng.choice((0, *[rng.randint(1, plenty)] * 8)) for sku in skus if rng.random() < 0.9}
    window = rng.choice((0.0, 0.1) if theme == "hot" else (0.0, 0.1, 0.5, 2.0))
    orders = rng.choice((*[rng.randint(1, 3)] * 4, *[rng.randint(3, 6)] * 5, 15 if theme != "wide" else 3))
    orders = rng.randint(80, 150) if theme == "crowd" else orders
    cancelled = rng.choice((0.0, 0.2, 0.6)) if theme not in {"cancelled", "flap"} else 0.8
    repeated, odd = (rng.choice((0.0, 0.2, 0.6)) for _ in range(2))
    sent = letters.correspondence(rng, skus, orders, window, Habits(repeated, cancelled, odd))
    unruly = rng.random() < 0.85
    faulty = unruly and rng.random() < 0.8
    return Scenario(
        seed=seed,
        stock=stock,
        letters=sent,
        writes=_writers(rng, theme, skus, window),
        cursed=rng.choice(sent).order_id if sent and rng.random() < 0.08 else None,
        consumers=rng.randint(1, 2 if theme == "hot" else 4),
        batch=rng.choice(_BATCHES.get(theme, (1, 5, 10, 10, 50))),
        visibility=rng.choice((0.3, 3.0, 30.0)) if unruly else 30.0,
        max_receives=rng.choice((2, 3, 5)),
        time_limit=rng.choice((6.0, 20.0, 30.0)),
        latency=rng.choice((0.02, 0.1) if theme == "hot" else (0.002, 0.02, 0.1)),
        pauses=rng.choice((0.0, 0.02, 0.1)) if unruly else 0.0,
        repeats=rng.choice((0.0, 0.0, 0.05, 0.3)) if unruly else 0.0,
        chaos_until=window + rng.choice((2.0, 8.0, 60.0)),
        fault_rate=rng.choice((0.03, 0.1, 0.2, 0.4)) if faulty else 0.0,
        faults=frozenset(rng.sample(KINDS, rng.randint(1, len(KINDS)))) if faulty else frozenset(),
        meddling=rng.choice((0.0, 0.0, 0.3, 0.8)),
        redrive=rng.random() < 0.3,
    )


_BATCHES = {"hot": (10, 50), "crowd": (50, 1000)}


def _skus(rng: Random, theme: str) -> list[str]:
    if theme == "wide":
        return [f"W{n:03}" for n in range(120)]
    return list("ABCDE"[: rng.randint(1, 5 if theme == "any" else 2)])


_TEMPERS = {
    "any": (("adjust",), ("adjust", "set"), ("retire", "create", "stock"), ("flap",), (*WHATS,)),
    "hot": (("one more",), ("one more",), ("adjust",), ("set",)),
    "flap": (("flap", "stock"),),
}


def _writers(rng: Random, theme: str, skus: list[str], window: float) -> tuple[tuple[Write, ...], ...]:
    """Writers, each with a temper: one receives goods, one counts anew, one has products come and go."""
    number = rng.choice({"hot": (2, 4), "flap": (1, 2)}.get(theme, (0, 0, 1, 2)))
    return tuple(_writer(rng, theme, skus, window) for _ in range(number))


def _writer(rng: Random, theme: str, skus: list[str], window: float) -> tuple[Write, ...]:
    whats = rng.choice(_TEMPERS.get(theme, _TEMPERS["any"]))
    some = rng.sample(skus, min(len(skus), rng.randint(1, 2)))
    often, long = (rng.randint(2, 5), window + 0.6) if theme == "hot" else (rng.randint(1, 4), window + 4)
    moments = sorted(rng.uniform(0, long) for _ in range(often))
    return tuple(write for moment in moments for write in _writes(rng, moment, rng.choice(whats), some))


def _writes(rng: Random, moment: float, what: str, skus: list[str]) -> list[Write]:
    """One write, or several in a row."""
    sku, units = rng.choice(skus), rng.randint(-4, 12)
    return [Write(moment, step, sku, units) for step in _ROWS.get(what, (what,))]


_ROWS = {
    "retire": ("empty", "delete"),
    "flap": (*("empty", "delete", "create") * 3, "stock"),
}
