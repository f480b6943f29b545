"""Group commit: what becomes of a group of orders, and the one transaction that makes it true.

The plans are made of a snapshot, which may be stale or incomplete. That is harmless, since each decision
is written together with a condition that proves it: an admission with "the units are there", a rejection
with "after what this transaction takes, its witness has less than the order asks".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeVar

from chalicelib.domain.commands import Invalid, TooMany
from chalicelib.domain.reservation import Reservation
from chalicelib.domain.writes import MoveStock, ProveAbsent, ProveBelow, StockWrite

MAX_ACTIONS: Final = 99
"""DynamoDB takes 100 actions in a transaction, and one is the outbox's.

Within it reservations are always below the limit of 4 MB.

Only releases of orders with extreme SKUs can exceed 4 MB: they are refused, and then halved. Both are tested
in tests/unit/consumer/test_limits.py.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Stock and reservations as they were last seen; they may have changed since.

    `stock` maps a SKU to its units, None where there is no such SKU; `reservations` maps an order to its
    reservation, None where it has none. What is in neither was not looked at.
    """

    stock: dict[str, int | None] = field(default_factory=dict)
    reservations: dict[str, Reservation | None] = field(default_factory=dict)

    @property
    def missing(self) -> set[str]:
        """The SKUs that do not exist."""
        return {sku for sku, units in self.stock.items() if units is None}

    def update(self, newer: Snapshot) -> None:
        """Take over what `newer` says."""
        self.stock.update(newer.stock)
        self.reservations.update(newer.reservations)


class Packable(Protocol):
    """Needs one action of its own, and one for each SKU that is not yet in the transaction."""

    @property
    def skus(self) -> Iterable[str]: ...


_P = TypeVar("_P", bound=Packable)


def pack(orders: Iterable[_P]) -> Iterator[list[_P]]:
    """Split `orders` into groups of at most `MAX_ACTIONS` actions, in their order.

    An order that is too large on its own gets a group of its own.
    """
    group: list[_P] = []
    skus: set[str] = set()
    for order in orders:
        joint = skus.union(order.skus)
        if group and len(group) + 1 + len(joint) > MAX_ACTIONS:
            yield group
            group, joint = [], set(order.skus)
        group.append(order)
        skus = joint
    if group:
        yield group


class Failure(StrEnum):
    """Why an order, or a line of it, was rejected."""

    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"
    SKU_NOT_FOUND = "SKU_NOT_FOUND"
    INVALID_REQUEST = "INVALID_REQUEST"
    TOO_MANY_ITEMS = "TOO_MANY_ITEMS"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Shortage:
    """A SKU of which an order asks more than is `available` (None: there is no such SKU)."""

    sku: str
    requested: int
    available: int | None

    @property
    def failure(self) -> Failure:
        return Failure.SKU_NOT_FOUND if self.available is None else Failure.INSUFFICIENT_STOCK


class Demand(Protocol):
    """What takes stock for an order: a reservation, or a confirmation that comes too late.

    `expires_at`: from then on (ISO 8601, UTC) it is no longer wanted; None: it always is.
    """

    @property
    def order_id(self) -> str: ...
    @property
    def items(self) -> Mapping[str, int]: ...
    @property
    def refusal(self) -> Invalid | TooMany | None: ...
    @property
    def expires_at(self) -> str | None: ...


_D = TypeVar("_D", bound=Demand)


@dataclass(frozen=True, slots=True)
class Decision(Generic[_D]):
    """What the plan says about one order: it is admitted if there is no `failure`."""

    order: _D
    failure: Failure | None = None
    shortages: tuple[Shortage, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan(Generic[_D]):
    """A decision for each order, in order of arrival, and the writes on stock that make them true.

    `unseen` are the SKUs of rejected orders that the snapshot does not have: reading them first makes the
    answers complete.
    """

    decisions: tuple[Decision[_D], ...]
    writes: tuple[StockWrite, ...]
    unseen: frozenset[str]

    @property
    def rejects(self) -> bool:
        return any(decision.shortages for decision in self.decisions)


def plan(orders: Sequence[_D], stock: Mapping[str, int | None], now: str = "") -> Plan[_D]:
    """Admit `orders` in order of arrival while the stock lasts, and reject the others, at `now`.

    `stock` maps a SKU to its units, or to None where there is no such SKU. The plan assumes that a SKU which
    is not in it has enough: the transaction will tell. `now` is ISO 8601 in UTC; without it, no hold is over.
    """
    takes = _admit(orders, stock, now)
    left = {sku: None if units is None else units - takes.units.get(sku, 0) for sku, units in stock.items()}
    decisions = tuple(
        Decision(order) if order.order_id in takes.admitted else _reject(order, left, now) for order in orders
    )
    absent, limits = _witnesses(decisions, takes.units)
    writes: list[StockWrite] = [
        MoveStock(sku, -units, units, limits.get(sku)) for sku, units in takes.units.items()
    ]
    writes += [ProveBelow(sku, limit) for sku, limit in limits.items() if sku not in takes.units]
    writes += [ProveAbsent(sku) for sku in absent]
    asked = {sku for decision in decisions if decision.shortages for sku in decision.order.items}
    return Plan(decisions, tuple(writes), frozenset(asked - stock.keys()))


@dataclass(frozen=True, slots=True)
class _Admissions:
    admitted: set[str]
    units: dict[str, int]


def _admit(orders: Iterable[Demand], stock: Mapping[str, int | None], now: str) -> _Admissions:
    takes = _Admissions(set(), {})
    for order in orders:
        if (
            order.refusal is None
            and not _is_over(order, now)
            and all(
                sku not in stock or takes.units.get(sku, 0) + asked <= (stock[sku] or 0)
                for sku, asked in order.items.items()
            )
        ):
            takes.admitted.add(order.order_id)
            for sku, asked in order.items.items():
                takes.units[sku] = takes.units.get(sku, 0) + asked
    return takes


def _is_over(order: Demand, now: str) -> bool:
    return order.expires_at is not None and order.expires_at <= now


def _reject(order: _D, left: Mapping[str, int | None], now: str) -> Decision[_D]:
    if order.refusal is not None:
        invalid = isinstance(order.refusal, Invalid)
        return Decision(order, Failure.INVALID_REQUEST if invalid else Failure.TOO_MANY_ITEMS)
    if _is_over(order, now):
        return Decision(order, Failure.EXPIRED)
    shortages = tuple(
        Shortage(sku, asked, left[sku])
        for sku, asked in order.items.items()
        if sku in left and (left[sku] or 0) < asked
    )
    found = all(shortage.available is not None for shortage in shortages)
    return Decision(order, Failure.INSUFFICIENT_STOCK if found else Failure.SKU_NOT_FOUND, shortages)


def _witnesses(
    decisions: Iterable[Decision[Any]], taken: Mapping[str, int]
) -> tuple[set[str], dict[str, int]]:
    """Find one witness for each rejected order: the SKUs that do not exist, and the limits of the others.

    A limit is what the group takes of the SKU plus the smallest demand that it turns away there:
    with fewer units than that before the group, there are too few for each of them after it.
    """
    absent: set[str] = set()
    limits: dict[str, int] = {}
    for decision in decisions:
        if not decision.shortages:
            continue
        # The witness must prove the reason. A SKU that is in the transaction already costs no action more.
        witness = min(
            (shortage for shortage in decision.shortages if shortage.failure == decision.failure),
            key=lambda shortage: (
                shortage.sku not in taken,
                shortage.sku not in limits and shortage.sku not in absent,
            ),
        )
        if witness.available is None:
            absent.add(witness.sku)
        else:
            limit = taken.get(witness.sku, 0) + witness.requested
            limits[witness.sku] = min(limit, limits.get(witness.sku, limit))
    return absent, limits
