"""What the OMS sends: reservations, releases, repeats, invalid messages and poison, in several forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.simulation.model import Asked
from tests.simulation.records import RELEASE
from tests.support.engines import FakeClock

NOW = datetime.fromtimestamp(FakeClock().now, UTC)
FRESH = NOW.isoformat()
_OLD = (NOW - timedelta(days=89, seconds=90)).isoformat()
_AHEAD = (NOW + timedelta(days=1, hours=1)).isoformat()
MAX_SKUS = 98
"""The most SKUs of an order; version 1.1 took one more."""
_ENVELOPES: dict[str, Callable[[str], str]] = {
    "plain": lambda body: body,
    "SNS": lambda body: json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": body}),
    "EventBridge": lambda body: f'{{"detail-type": "order", "source": "oms", "detail": {body}}}',
    "BOM": lambda body: "\ufeff" + body,
    "unreadable parts": lambda body: '{"notes": ["\\ud800", NaN, -Infinity, "two\nlines\t"], ' + body[1:],
}


@dataclass(frozen=True, slots=True)
class OmsMessage:
    """One message to the inventory queue, and what it means.

    `kind` is `reserve`, `invalid` (a reservation whose answer is INVALID_REQUEST), `too many`, `release`,
    `change` (any other change of an order, or of a part of it), or `poison`, which cannot be answered at all;
    `items` are those of a `reserve` (or of one that is too large for this version, but not for version 1.1),
    added up by SKU. If it is a hold, it ends when `expires_at` says. The `body` is sent in an `envelope`.
    `old`: version 1.1 receives it too, at that time, and dies after so many writes.
    """

    at: float
    kind: str
    order_id: str
    body: str
    items: Mapping[str, int] = field(default_factory=dict)
    envelope: str = "plain"
    old: tuple[float, int] | None = None
    change: Asked | None = None
    expires_at: str | None = None

    @property
    def asked(self) -> Asked | None:
        """The change of an order that it asks for, if it does."""
        return Asked(self.order_id, RELEASE, RELEASE) if self.kind == "release" else self.change

    @property
    def waits(self) -> bool:
        """Whether it waits for its order to be recorded."""
        return self.kind == "change" and not (self.change and self.change.whole_release)

    @property
    def text(self) -> str:
        """What is sent."""
        return _ENVELOPES[self.envelope](self.body)

    @property
    def poison(self) -> bool:
        return self.kind == "poison"

    def only(self, skus: Collection[str]) -> OmsMessage:
        """The same reservation, of these of its SKUs."""
        items = {sku: units for sku, units in self.items.items() if sku in skus}
        lines = [{"sku": sku, "quantity": units} for sku, units in items.items()]
        kind = "reserve" if self.kind == "too many" and len(items) <= MAX_SKUS else self.kind
        return replace(
            self, kind=kind, items=items, body=json.dumps(json.loads(self.body) | {"items": lines})
        )

    def __str__(self) -> str:
        what = " ".join(f"{units} {sku}" for sku, units in self.items.items()) or self.body
        plain = f"{self.kind} {self.order_id}"
        told = plain if self.kind == "release" else f"{plain}: {what}"
        told = str(self.change) if self.change else told
        told += f" until {self.expires_at}" if self.expires_at else ""
        told += f" ({self.envelope})" if self.envelope != "plain" else ""
        told = told if len(told) < 300 else told[:300] + "…"
        return told + (f" (version 1.1, at {self.old[0]:.4f}: {self.old[1]} writes)" if self.old else "")


@dataclass(frozen=True, slots=True)
class OmsBehaviour:
    """How likely a message is repeated, an order is cancelled, a message is irregular."""

    repeated: float
    cancelled: float
    irregular: float


def oms_messages(
    rng: Random, skus: Sequence[str], orders: int, window: float, behaviour: OmsBehaviour
) -> tuple[OmsMessage, ...]:
    """All messages about so many `orders`, ordered by time."""
    sent: list[OmsMessage] = []
    for number in range(orders):
        order_id = f"o{number}"
        at = rng.uniform(0, window)
        first = (_irregular if rng.random() < behaviour.irregular / 2 else _reserve)(rng, at, order_id, skus)
        if rng.random() > 0.05:
            sent.append(first)
        while rng.random() < behaviour.repeated:
            again = replace(first, at=_near(rng, at, window))
            sent.append(
                _reserve(rng, again.at, order_id, skus) if rng.random() < behaviour.irregular / 2 else again
            )
        if rng.random() < behaviour.cancelled:
            release = _release(_near(rng, at, window), order_id)
            sent.append(release)
            while rng.random() < max(behaviour.repeated, 0.3):
                sent.append(replace(release, at=_near(rng, release.at, window)))
    return tuple(sorted(sent, key=lambda message: message.at))


def as_they_come(rng: Random, sent: Iterable[OmsMessage]) -> tuple[OmsMessage, ...]:
    """The messages `sent`, some of them in an envelope, or with a fault that JSON itself allows."""
    rate = rng.choice((0.0, 0.0, 0.2, 0.6))
    return tuple(
        _as_it_comes(rng, message) if rng.random() < rate and not message.poison else message
        for message in sent
    )


def as_the_old_version_left_them(
    rng: Random, sent: Iterable[OmsMessage], rate: float
) -> tuple[OmsMessage, ...]:
    """The messages `sent`, some of which version 1.1 receives too: before the start, or in the middle."""
    return tuple(
        replace(message, old=(_moment(rng, message.at), rng.choice((1, 1, 2, 3, 4))))
        if (message.items or message.kind == "release") and rng.random() < rate
        else message
        for message in sent
    )


def _moment(rng: Random, at: float) -> float:
    return rng.choice((-1.0, -1.0, at, at + rng.uniform(0, 1), at + rng.uniform(0, 5)))


def _as_it_comes(rng: Random, message: OmsMessage) -> OmsMessage:
    message = replace(message, envelope=rng.choice(tuple(_ENVELOPES)))
    if rng.random() < 0.5:
        return message
    if message.kind == "release":
        head = json.loads(message.body) | {"timestamp": "yesterday", "reason": ["none"]}
        return replace(message, body=json.dumps(head))
    if message.kind == "reserve" and rng.random() < 0.5:
        body = message.body.replace('"quantity": ', '"quantity": 1, "quantity": ', 1)
        return replace(message, kind="invalid", body=body, items={})
    if message.kind == "reserve":
        body = json.dumps(json.loads(message.body) | {"timestamp": _AHEAD})
        return replace(message, kind="invalid", body=body, items={})
    return message


def _near(rng: Random, at: float, window: float) -> float:
    """The same moment, one close to it, a later one, or any."""
    about, later = max(0.0, at + rng.uniform(-0.1, 0.3)), at + rng.uniform(0.5, 4)
    return rng.choice((at, at, about, later, later, later, rng.uniform(0, window)))


def _reserve(rng: Random, at: float, order_id: str, skus: Sequence[str]) -> OmsMessage:
    wanted = rng.sample(
        skus, min(len(skus), rng.choice((40, 60, 98, 99)) if len(skus) > MAX_SKUS else rng.randint(1, 3))
    )
    lines = [(sku, rng.choice((1, 1, 2, 3, 5))) for sku in wanted]
    if rng.random() < 0.1:
        lines.append((wanted[0], 1))
    items: dict[str, int] = {}
    for sku, units in lines:
        items[sku] = items.get(sku, 0) + units
    body = body_of(
        "ReserveInventory", order_id, items=[{"sku": sku, "quantity": units} for sku, units in lines]
    )
    return OmsMessage(at, "reserve" if len(items) <= MAX_SKUS else "too many", order_id, body, items)


def _release(at: float, order_id: str) -> OmsMessage:
    return OmsMessage(at, "release", order_id, body_of("ReleaseInventory", order_id, reason="cancelled"))


def _irregular(rng: Random, at: float, order_id: str, skus: Sequence[str]) -> OmsMessage:
    line = {"sku": rng.choice(skus), "quantity": 1}
    kind, body = rng.choice(
        (
            ("poison", "{not json"),
            ("poison", '["a", "list"]'),
            ("poison", body_of("ShipInventory", order_id, items=[line])),
            ("poison", body_of("ReserveInventory", "no  such id", items=[line])),
            ("poison", body_of("ReserveInventory", order_id, items=[line], timestamp=_OLD)),
            ("poison", body_of("ReleaseInventory", order_id, timestamp=_OLD)),
            ("invalid", body_of("ReserveInventory", order_id, items=[])),
            ("invalid", body_of("ReserveInventory", order_id, items=[line | {"quantity": 0}])),
            ("invalid", body_of("ReserveInventory", order_id, items=[line | {"quantity": 1.5}])),
            ("invalid", body_of("ReserveInventory", order_id, items=[line], customer_id=None)),
            ("too many", None),
        )
    )
    if body is None:
        lines = [{"sku": f"T{n}", "quantity": 1} for n in range(rng.choice((99, 130)))]
        body = body_of("ReserveInventory", order_id, items=lines)
    return OmsMessage(at, kind, order_id, body)


def body_of(kind: str, order_id: str, **details: Any) -> str:
    head = {"type": kind, "order_id": order_id, "timestamp": FRESH}
    if kind == "ReserveInventory":
        head["customer_id"] = f"customer of {order_id}"
    return json.dumps(head | details)
