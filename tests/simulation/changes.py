"""Holds, and changes of orders: what the OMS sends about an order after its reservation, or too early."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.simulation.messages import NOW, OmsMessage, body_of
from tests.simulation.model import Asked

_GRACE = 5.0
"""So long after the end of a hold the sweep ends it."""
_KINDS = ("ConfirmInventory", "ExtendInventory", "FulfillInventory", "ReleaseInventory")
_CLOSING = _KINDS[2:]
_THEMES: Mapping[str, tuple[int, ...]] = {
    "checkout": (5, 3, 1, 1),
    "abandoned": (6, 2, 1, 3),
    "warehouse": (1, 1, 6, 3),
    "cancelled": (2, 1, 1, 6),
    "any": (1, 1, 1, 1),
}
"""How likely the kinds of changes are."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How orders of a seed live: the weights of the kinds of changes, and how likely the rest is.

    `late`: changes often come when a hold has ended, and a sweep, every `sweep` seconds, has seen that.
    `limits`: there are many operations, of which an order takes few.
    """

    weights: tuple[int, ...]
    held: float
    busy: float
    parts: float
    repeated: float
    invalid: float
    limits: bool
    late: bool
    sweep: float

    @classmethod
    def draw(cls, rng: Random) -> Profile:
        """A profile of some character."""
        limits, theme = rng.random() < 0.2, rng.choice(tuple(_THEMES))
        return cls(
            weights=_THEMES[theme],
            held=0.9 if theme in {"checkout", "abandoned"} else rng.choice((0.0, 0.3, 0.8)),
            busy=0.8 if limits else rng.choice((0.4, 0.6, 0.75)),
            parts=0.9 if theme == "warehouse" else rng.choice((0.0, 0.5, 0.9)),
            repeated=rng.choice((0.0, 0.2, 0.5)),
            invalid=rng.choice((0.0, 0.05, 0.2)),
            limits=limits,
            late=theme == "abandoned",
            sweep=rng.choice((1.0, 1.0, 5.0, 20.0, 60.0)),
        )

    def end(self, rng: Random, at: float) -> str | None:
        """When the hold ends of an order that is sent at that time; None: it is firm."""
        if rng.random() >= self.held:
            return None
        if rng.random() < 0.05:
            return time(at - 1.0)
        soon = rng.uniform(0.5, 10)
        return time(at + (soon if self.late else rng.choice((soon, soon, 10.0, 40.0, 20 * 86400.0))))

    def changes(
        self,
        rng: Random,
        order_id: str,
        at: float,
        items: Mapping[str, int],
        *,
        end: str | None,
        skus: Sequence[str],
        whole: bool = False,
    ) -> list[OmsMessage]:
        """Changes of an order that is sent `at` that time; `whole`: none of its parts."""
        sent: list[OmsMessage] = []
        until = None if end is None else datetime.fromisoformat(end).timestamp() - NOW.timestamp()
        while rng.random() < self.busy and len(sent) < 12:
            asked, body = self._change(rng, order_id, at, items, skus=skus, whole=whole)
            moment = self._moment(rng, at, until)
            if asked.items is None and asked.type in _CLOSING and rng.random() < 0.7:
                moment += rng.uniform(1, 30)  # what comes after it does nothing
            message = OmsMessage(moment, "change", order_id, body, change=asked)
            sent.append(message)
            while rng.random() < self.repeated:
                sent.append(replace(message, at=self._moment(rng, message.at, until)))
        return sent

    def _moment(self, rng: Random, at: float, until: float | None) -> float:
        moments = [at, at + rng.uniform(-0.2, 0.3), at + rng.uniform(0.2, 4), at + rng.uniform(0.2, 4)]
        if until is not None and until < 400:
            moments += [until + rng.uniform(-0.5, 0.5), until + rng.uniform(0, 2 * _GRACE)]
            ended = until + _GRACE + rng.uniform(0, self.sweep)
            moments += [ended, ended, ended + rng.uniform(0, self.sweep + 5)] * (5 if self.late else 1)
        moments.append(at + rng.uniform(0, 60))
        return max(0.0, rng.choice(moments))

    def _change(
        self,
        rng: Random,
        order_id: str,
        at: float,
        items: Mapping[str, int],
        *,
        skus: Sequence[str],
        whole: bool,
    ) -> tuple[Asked, str]:
        kind = rng.choices(_KINDS, self.weights)[0]
        id_ = f"{kind[0]}{rng.randint(1, 30 if self.limits else 6)}"
        if rng.random() < 0.05:
            id_ = "1"  # perhaps that of another operation
        if rng.random() < self.invalid:
            return _invalid(rng, kind, order_id, id_, skus)
        match kind:
            case "ConfirmInventory":
                return Asked(order_id, kind, kind), body_of(kind, order_id)
            case "ExtendInventory":
                until = time(at + rng.choice((-2.0, 3.0, 10.0, rng.uniform(0, 60), 25 * 86400.0)))
                body = body_of(kind, order_id, expires_at=until, operation_id=id_)
                return Asked(order_id, kind, id_, expires_at=until), body
        if whole or rng.random() >= self.parts:
            named = rng.random() < 0.3
            body = body_of(kind, order_id, **({"operation_id": id_} if named else {}))
            return Asked(order_id, kind, id_ if named else kind), body
        part = _part(rng, items, skus)
        body = body_of(kind, order_id, operation_id=id_, items=_lines(part))
        return Asked(order_id, kind, id_, part), body


def _part(rng: Random, items: Mapping[str, int], skus: Sequence[str]) -> dict[str, int]:
    """Some units of an order; seldom more than it asked, or of another SKU."""
    few = rng.sample(sorted(items), rng.randint(1, min(3, len(items)))) if items else []
    part = {sku: rng.randint(1, items[sku]) for sku in few}
    if not part or rng.random() < 0.05:
        part[rng.choice(skus)] = rng.randint(1, 3)
    if rng.random() < 0.1:
        part[rng.choice(sorted(part))] += 2
    return part


def _invalid(rng: Random, kind: str, order_id: str, id_: str, skus: Sequence[str]) -> tuple[Asked, str]:
    """A change with a bad body: it is refused under its id, if that can be used."""
    line = {"sku": rng.choice(skus), "quantity": 1}
    named: dict[str, Any] = {"operation_id": id_} if id_ != kind else {}
    bad: list[tuple[str | None, dict[str, Any]]] = [(None, {"operation_id": "ConfirmInventory"})]
    if kind == "ConfirmInventory":
        bad = [(None, {"timestamp": "yesterday"}), (None, {"timestamp": None})]
    elif kind == "ExtendInventory":
        bad += [(id_, named), (id_, named | {"expires_at": "tomorrow"}), (None, {"expires_at": time(30)})]
        bad.append((id_, named | {"expires_at": time(40 * 86400.0)}))
    else:
        bad += [(id_, named | {"items": []}), (id_, named | {"items": [line | {"quantity": 0}]})]
        bad += [(id_, named | {"items": None}), (None, {"items": [line]})]
        bad.append((None, {"operation_id": "two\nlines", "items": [line]}))
    used, details = rng.choice(bad)
    return Asked(order_id, kind, used, valid=False), body_of(kind, order_id, **details)


def held_until(rng: Random, sent: Iterable[OmsMessage], profile: Profile) -> tuple[OmsMessage, ...]:
    """The messages `sent`, some of whose reservations are holds."""
    ends: dict[str, str | None] = {}
    made: list[OmsMessage] = []
    for message in sent:
        if message.kind == "reserve":
            end = ends.setdefault(message.order_id, profile.end(rng, message.at))
            if end is not None:
                body = message.body[:-1] + f', "expires_at": "{end}"' + "}"
                made.append(replace(message, body=body, expires_at=end))
                continue
        made.append(message)
    return tuple(made)


def orders(rng: Random, skus: Sequence[str], window: float) -> list[OmsMessage]:
    """Orders beside those that all seeds have: small ones, which no other message cancels."""
    made: list[OmsMessage] = []
    for number in range(rng.randint(1, 4)):
        wanted = rng.sample(skus, min(len(skus), rng.randint(1, 3)))
        items = {sku: rng.choice((1, 1, 2, 3)) for sku in wanted}
        order_id = f"o{600 + number}"
        body = body_of("ReserveInventory", order_id, items=_lines(items))
        made.append(OmsMessage(rng.uniform(0, window + 1), "reserve", order_id, body, items))
    return made


def changed(
    rng: Random, sent: Sequence[OmsMessage], skus: Sequence[str], profile: Profile
) -> list[OmsMessage]:
    """Changes of the orders in `sent`; only of whole orders where version 1.1 may release one."""
    firsts: dict[str, OmsMessage] = {}
    for message in sent:
        if message.kind == "reserve" or message.order_id not in firsts:
            firsts.setdefault(message.order_id, message)
    old = {message.order_id for message in sent if message.old and message.kind == "release"}
    some = list(firsts.values())
    if len(some) > 20:
        some = rng.sample(some, 20)
    return [
        message
        for first in some
        for message in profile.changes(
            rng,
            first.order_id,
            first.at,
            first.items,
            end=first.expires_at,
            skus=skus,
            whole=first.order_id in old,
        )
    ]


def of_later(rng: Random, sent: Iterable[OmsMessage], later: float) -> list[OmsMessage]:
    """Changes of some orders when the records of closed ones have expired."""
    fresh = time(later)
    made: list[OmsMessage] = []
    for order_id in dict.fromkeys(message.order_id for message in sent):
        kind = rng.choice(("FulfillInventory", "ReleaseInventory", "ConfirmInventory"))
        if rng.random() < 0.5:
            id_ = kind if kind == "ConfirmInventory" else "L"
            details = {} if kind == "ConfirmInventory" else {"operation_id": "L"}
            body = json.dumps(json.loads(body_of(kind, order_id, **details)) | {"timestamp": fresh})
            at = later + rng.uniform(1, 100)
            made.append(OmsMessage(at, "change", order_id, body, change=Asked(order_id, kind, id_)))
    return made


def time(at: float) -> str:
    """A time, in seconds after the beginning, as a text."""
    moment = (NOW + timedelta(seconds=round(at, 3))).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lines(units: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": n} for sku, n in units.items()]
