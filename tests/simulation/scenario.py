"""What a seed asks for: a small environment with faults of its own kind (none, slow calls, crashes …)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.simulation import messages
from tests.simulation.faults import KINDS
from tests.simulation.life import Life, draw
from tests.simulation.messages import OmsBehaviour, OmsMessage

LOST = "lost"
"""The id of an order whose record is gone."""
CALM_SECONDS = 6.0
"""So long after the last fault, its late effects are over."""
WRITE_KINDS = ("adjust", "one more", "set", "stock", "create", "retire", "flap")


@dataclass(frozen=True, slots=True)
class Write:
    """One write over REST: its `kind`, the SKU, the number of units."""

    at: float
    kind: str
    sku: str
    units: int

    def __str__(self) -> str:
        return f"{self.at:.3f}s {self.kind} {self.sku} {self.units}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything a run depends on; times are in seconds.

    Each call meets one of `faults` with probability `fault_rate`. With `allowed`, only these calls (actor,
    number of its call) meet their fault. A `variation` changes all randomness but the scenario's own; both
    serve to shrink a history. After a call of a consumer the adversary acts with probability
    `adversary_rate`. AWS refuses each transaction that records the `refused_order`.
    The OMS queue is `away` from one time to another. There are so many `sweepers`, each of which sweeps
    `sweep_every` so many seconds, what is older than `patience`. The outbox owes `strays` from the beginning.
    `life` is what becomes of orders after they were reserved.
    """

    seed: int
    stock: dict[str, int]
    messages: tuple[OmsMessage, ...]
    writes: tuple[tuple[Write, ...], ...]
    refused_order: str | None
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
    adversary_rate: float
    redrive: bool
    away: tuple[float, float]
    sweepers: int
    sweep_every: float
    patience: float
    strays: tuple[str, ...]
    life: Life
    allowed: frozenset[tuple[str, int]] | None = None
    variation: int = 0

    def rng(self, whose: str) -> Random:
        """A random number generator for one purpose: it does not depend on what the others draw."""
        return Random(f"{self.seed}/{self.variation}/{whose}")

    @property
    def undisturbed(self) -> bool:
        """Whether nothing delays a valid message, so that none may end in the DLQ."""
        disturbed = self.fault_rate or self.pauses or self.repeats or self.adversary_rate
        disturbed = disturbed or any(message.old for message in self.messages)
        return not disturbed and self.visibility >= self.time_limit and self.latency <= 0.02

    def with_changes(self, **changes: Any) -> Scenario:
        """A copy with some fields changed."""
        return replace(self, **changes)


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = Random(f"scenario/{seed}")
    # Swarm testing: each scenario leaves some features out, so that the others can go to extremes.
    theme = rng.choices(("any", "hot", "cancelled", "flap", "wide", "crowd"), (50, 20, 14, 13, 2, 1))[0]
    skus = _skus(rng, theme)
    plenty = rng.choice((4, 8) if theme == "hot" else (6, 20, 100))
    stock = {sku: rng.choice((0, *[rng.randint(1, plenty)] * 8)) for sku in skus if rng.random() < 0.9}
    window = rng.choice((0.0, 0.1) if theme == "hot" else (0.0, 0.1, 0.5, 2.0))
    orders = rng.choice((*[rng.randint(1, 3)] * 4, *[rng.randint(3, 6)] * 5, 15 if theme != "wide" else 3))
    orders = rng.randint(80, 150) if theme == "crowd" else orders
    cancelled = rng.choice((0.0, 0.2, 0.6)) if theme not in {"cancelled", "flap"} else 0.8
    repeated, irregular = (rng.choice((0.0, 0.2, 0.6)) for _ in range(2))
    sent = messages.oms_messages(rng, skus, orders, window, OmsBehaviour(repeated, cancelled, irregular))
    sent = messages.as_they_come(Random(f"as they come/{seed}"), sent)
    outbox = Random(f"outbox/{seed}")
    away = (0.0, outbox.choice((40.0, 300.0, 900.0))) if outbox.random() < 0.15 else (0.0, 0.0)
    if outbox.random() < 0.2:
        sent = messages.as_the_old_version_left_them(outbox, sent, outbox.choice((0.2, 0.6)))
    sent, life = draw(seed, sent, skus, window)
    disturbed = rng.random() < (0.5 if away[1] else 0.85)
    faulty = disturbed and rng.random() < 0.8
    return Scenario(
        seed=seed,
        stock={sku: units + life.more for sku, units in stock.items()},
        messages=sent,
        writes=(*_writers(rng, theme, skus, window), *_counters(seed, life, skus, window)),
        refused_order=rng.choice(sent).order_id if sent and rng.random() < 0.08 else None,
        consumers=rng.randint(1, 2 if theme == "hot" else 4),
        batch=rng.choice(_BATCHES.get(theme, (1, 5, 10, 10, 50))),
        visibility=rng.choice((0.3, 3.0, 30.0)) if disturbed else 30.0,
        max_receives=rng.choice((2, 3, 5)),
        time_limit=rng.choice((6.0, 20.0, 30.0)),
        latency=rng.choice((0.02, 0.1) if theme == "hot" else (0.002, 0.02, 0.1)),
        pauses=rng.choice((0.0, 0.02, 0.1)) if disturbed else 0.0,
        repeats=rng.choice((0.0, 0.0, 0.05, 0.3)) if disturbed else 0.0,
        chaos_until=window + rng.choice((2.0, 8.0, 60.0)),
        fault_rate=rng.choice((0.03, 0.1, 0.2, 0.4)) if faulty else 0.0,
        faults=frozenset(rng.sample(KINDS, rng.randint(1, len(KINDS)))) if faulty else frozenset(),
        adversary_rate=rng.choice((0.0, 0.0, 0.3, 0.8)),
        redrive=rng.random() < 0.3,
        away=away,
        sweepers=outbox.choice((1, 2)),
        sweep_every=60.0 if away[1] else outbox.choice((60.0, 60.0, 20.0, 3.0, 1.0)),
        patience=outbox.choice((30.0, 30.0, 0.0, 0.0)),
        strays=outbox.choice(((LOST,), (LOST, "o0"))) if outbox.random() < 0.05 else (),
        life=life,
    )


_BATCHES = {"hot": (10, 50), "crowd": (50, 1000)}


def _skus(rng: Random, theme: str) -> list[str]:
    if theme == "wide":
        return [f"W{n:03}" for n in range(120)]
    return list("ABCDE"[: rng.randint(1, 5 if theme == "any" else 2)])


def _counters(seed: int, life: Life, skus: list[str], window: float) -> tuple[tuple[Write, ...], ...]:
    """People who count shelves, and one who takes SKUs out of the catalogue, and back."""
    rng = Random(f"counts/{seed}")
    coming = [
        Write(moment + later, step, sku, rng.randint(1, 9))
        for moment in sorted(rng.uniform(0, window + 6) for _ in range(life.comings))
        for sku in [rng.choice(skus)]
        for step, later in (("empty", 0), ("delete", 0), ("create", rng.uniform(0.1, 4)), ("stock", 0))
    ]
    counts = tuple(
        tuple(
            Write(moment, "count", rng.choice(skus), rng.randint(0, 20))
            for moment in sorted(rng.uniform(0, window + 4) for _ in range(rng.randint(1, 3)))
        )
        for _ in range(life.counters)
    )
    sold: tuple[Write, ...] = ()
    if life.sweepers and rng.random() < 0.4:  # what a hold gave back is gone when its confirmation comes
        moments = sorted(rng.uniform(4, 30) for _ in range(4))
        sold = tuple(Write(moment, "empty", rng.choice(skus), 0) for moment in moments)
    return tuple(filter(None, (tuple(coming), *counts, sold)))


_WRITER_PROFILES = {
    "any": (("adjust",), ("adjust", "set"), ("retire", "create", "stock"), ("flap",), (*WRITE_KINDS,)),
    "hot": (("one more",), ("one more",), ("adjust",), ("set",)),
    "flap": (("flap", "stock"),),
}


def _writers(rng: Random, theme: str, skus: list[str], window: float) -> tuple[tuple[Write, ...], ...]:
    """Writers, each with a profile: one receives goods, one sets stock, one deletes and creates products."""
    number = rng.choice({"hot": (2, 4), "flap": (1, 2)}.get(theme, (0, 0, 1, 2)))
    return tuple(_writer(rng, theme, skus, window) for _ in range(number))


def _writer(rng: Random, theme: str, skus: list[str], window: float) -> tuple[Write, ...]:
    kinds = rng.choice(_WRITER_PROFILES.get(theme, _WRITER_PROFILES["any"]))
    some = rng.sample(skus, min(len(skus), rng.randint(1, 2)))
    often, long = (rng.randint(2, 5), window + 0.6) if theme == "hot" else (rng.randint(1, 4), window + 4)
    moments = sorted(rng.uniform(0, long) for _ in range(often))
    return tuple(write for moment in moments for write in _writes(rng, moment, rng.choice(kinds), some))


def _writes(rng: Random, moment: float, kind: str, skus: list[str]) -> list[Write]:
    """One write, or several in a row."""
    sku, units = rng.choice(skus), rng.randint(-4, 12)
    return [Write(moment, step, sku, units) for step in _SEQUENCES.get(kind, (kind,))]


_SEQUENCES = {
    "retire": ("empty", "delete"),
    "flap": (*("empty", "delete", "create") * 3, "stock"),
}
