"""What a seed asks for after orders are reserved: holds that end, changes of orders, calls over REST.

All of it is drawn from generators of its own, so that the rest of a seed is what it always was. Half of the
seeds have none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from tests.simulation.changes import Profile, changed, held_until, of_later, orders
from tests.simulation.messages import OmsMessage
from tests.simulation.model import Asked

LATER = 100 * 24 * 3600.0
"""Seconds after the beginning when records have expired, and the history goes on."""
_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Call:
    """A call over REST: a `change`, or a reservation of `items`."""

    at: float
    order_id: str
    items: Mapping[str, int] = field(default_factory=dict)
    expires_at: str | None = None
    change: Asked | None = None

    def __str__(self) -> str:
        what = str(self.change or f"reserve {self.order_id}: {dict(self.items)} {self.expires_at or ''}")
        return f"{self.at:.3f}s {what}"


@dataclass(frozen=True, slots=True)
class Life:
    """What becomes of orders, with times in seconds.

    So many `sweepers` end holds, each of which sweeps `sweep_every` so many seconds by an index that is
    `index_lag` seconds late, in so many `shards`. Firm orders are closed after `aging`. An order takes
    `max_operations`. Each of `callers` makes its calls. Records of version 1.1 are migrated at the times in
    `migrations`. `later`: the history goes on when records have expired. So many `counters` count shelves,
    SKUs go and come back so many times, and there are so many `more` units of each.
    """

    sweepers: int = 0
    sweep_every: float = 60.0
    index_lag: float = 0.0
    shards: int = 8
    page: int = 100
    aging: float | None = None
    max_operations: int = 50
    calls: tuple[tuple[Call, ...], ...] = ()
    migrations: tuple[float, ...] = ()
    later: bool = False
    counters: int = 0
    comings: int = 0
    more: int = 0

    @property
    def horizon(self) -> float:
        """So long after the beginning, holds are waited for."""
        return 600.0


def draw(
    seed: int, sent: Sequence[OmsMessage], skus: Sequence[str], window: float
) -> tuple[tuple[OmsMessage, ...], Life]:
    """The messages of a seed, with changes of orders among them, and what else becomes of orders."""
    rng = Random(f"life/{seed}")
    if rng.random() < 0.5:
        return tuple(sent), Life()
    profile = Profile.draw(rng)
    old = any(message.old for message in sent)
    sent = held_until(rng, (*sent, *orders(rng, skus, window)), profile)
    changes = changed(rng, sent, skus, profile)
    called = _rest_orders(rng, skus, window, profile) if rng.random() < 0.5 else []
    calls: list[Call] = list(called)
    kept: list[OmsMessage] = []
    by_rest = rng.choice((0.0, 0.0, 0.2, 0.5))
    known = {call.order_id: call.items for call in called}
    for order_id, items in known.items():
        changes += profile.changes(rng, order_id, rng.uniform(0, window), items, end=None, skus=skus)
    for message in changes:
        by_call = message.order_id in known or rng.random() < by_rest
        if by_call and message.change and message.change.valid and message.change.id:
            calls.append(Call(_about(rng, message.at), message.order_id, change=message.change))
            if rng.random() < 0.6:
                continue
        kept.append(message)
    calls += [
        Call(_about(rng, message.at), message.order_id, message.items, message.expires_at)
        for message in sent
        if message.kind == "reserve" and rng.random() < by_rest / 2
    ]
    later = rng.random() < 0.25
    if later:
        kept += of_later(rng, sent, LATER)
    callers = rng.randint(1, 2)
    calls.sort(key=lambda call: call.at)
    return tuple(sorted((*sent, *kept), key=lambda message: message.at)), Life(
        sweepers=rng.choice((1, 1, 2, 3)),
        sweep_every=profile.sweep,
        index_lag=rng.choice((0.0, 0.0, 0.5, 5.0, 30.0)),
        shards=rng.choice((1, 1, 2, 8)),
        # A crowd is read in large pages, or no sweep could end.
        page=rng.choice((1, 3, 100, 100)) if len(sent) < 60 else 100,
        aging=rng.choice((None, None, None, 2.0, 30.0, 60 * _DAY)),
        max_operations=rng.choice((1, 1, 2, 3)) if profile.limits else 50,
        calls=tuple(filter(None, (tuple(calls[n::callers]) for n in range(callers)))),
        migrations=_migrations(rng, old=old, later=later),
        later=later,
        counters=rng.choice((0, 0, 0, 1)),
        more=rng.choice((0, 0, 5, 30)),
        comings=rng.choice((0, 2, 5)) if old else 0,
    )


def _about(rng: Random, at: float) -> float:
    return rng.choice((at, at, max(0.0, at + rng.uniform(-0.2, 0.4)), at + rng.uniform(0, 5)))


def _rest_orders(rng: Random, skus: Sequence[str], window: float, profile: Profile) -> list[Call]:
    """Reservations over REST of which the OMS's queue never hears, each perhaps repeated."""
    calls: list[Call] = []
    for number in range(rng.randint(1, 3)):
        at = rng.uniform(0, window + 1)
        wanted = rng.sample(skus, min(len(skus), rng.randint(1, 3)))
        items = {sku: rng.choice((1, 1, 2, 5)) for sku in wanted}
        call = Call(at, f"o{500 + number}", items, profile.end(rng, at))
        calls.append(call)
        while rng.random() < 0.3:
            other = replace(call, items={wanted[0]: 1}) if rng.random() < 0.2 else call
            calls.append(replace(other, at=_about(rng, at)))
    return calls


def _migrations(rng: Random, *, old: bool, later: bool) -> tuple[float, ...]:
    if later:  # the records of version 1.1 that are open would expire
        return (LATER / 2,)
    if not old:
        return ()
    return rng.choice(((), (0.0,), (rng.uniform(0, 3),), (rng.uniform(0, 3), 0.0), (30.0,)))
