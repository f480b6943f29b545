"""Group commit: what becomes of a group of orders, and the one transaction that makes it true.

The plans are made of a snapshot, which may be stale or incomplete. That is harmless, since each decision
is written together with a condition that proves it: an admission with "the units are there", a rejection
with "after what this transaction takes, its witness has less than the order asks".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from chalicelib.domain.commands import Invalid, Reserve
from chalicelib.domain.reservation import Change, Reservation, transition
from chalicelib.domain.writes import ProveAbsent, ProveBelow, ReturnStock, StockWrite, TakeStock

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


@dataclass(frozen=True, slots=True)
class Shortage:
    """A SKU of which an order asks more than is `available` (None: there is no such SKU)."""

    sku: str
    requested: int
    available: int | None

    @property
    def failure(self) -> Failure:
        return Failure.SKU_NOT_FOUND if self.available is None else Failure.INSUFFICIENT_STOCK


@dataclass(frozen=True, slots=True)
class Decision:
    """What the plan says about one order: it is admitted if there is no `failure`."""

    order: Reserve
    failure: Failure | None = None
    shortages: tuple[Shortage, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision for each order, in order of arrival, and the writes on stock that make them true.

    `unseen` are the SKUs of rejected orders that the snapshot does not have: reading them first makes the
    answers complete.
    """

    decisions: tuple[Decision, ...]
    writes: tuple[StockWrite, ...]
    unseen: frozenset[str]

    @property
    def rejects(self) -> bool:
        return any(decision.shortages for decision in self.decisions)


def plan(orders: Sequence[Reserve], stock: Mapping[str, int | None]) -> Plan:
    """Admit `orders` in order of arrival while the stock lasts, and reject the others.

    `stock` maps a SKU to its units, or to None where there is no such SKU. The plan assumes that a SKU which
    is not in it has enough: the transaction will tell.
    """
    takes = _admit(orders, stock)
    left = {sku: None if units is None else units - takes.units.get(sku, 0) for sku, units in stock.items()}
    decisions = tuple(
        Decision(order) if order.order_id in takes.admitted else _reject(order, left) for order in orders
    )
    absent, limits = _witnesses(decisions, takes.units)
    writes: list[StockWrite] = [TakeStock(sku, units, limits.get(sku)) for sku, units in takes.units.items()]
    writes += [ProveBelow(sku, limit) for sku, limit in limits.items() if sku not in takes.units]
    writes += [ProveAbsent(sku) for sku in absent]
    asked = {sku for decision in decisions if decision.shortages for sku in decision.order.items}
    return Plan(decisions, tuple(writes), frozenset(asked - stock.keys()))


@dataclass(frozen=True, slots=True)
class _Admissions:
    admitted: set[str]
    units: dict[str, int]


def _admit(orders: Iterable[Reserve], stock: Mapping[str, int | None]) -> _Admissions:
    takes = _Admissions(set(), {})
    for order in orders:
        if order.refusal is None and all(
            sku not in stock or takes.units.get(sku, 0) + asked <= (stock[sku] or 0)
            for sku, asked in order.items.items()
        ):
            takes.admitted.add(order.order_id)
            for sku, asked in order.items.items():
                takes.units[sku] = takes.units.get(sku, 0) + asked
    return takes


def _reject(order: Reserve, left: Mapping[str, int | None]) -> Decision:
    if order.refusal is not None:
        invalid = isinstance(order.refusal, Invalid)
        return Decision(order, Failure.INVALID_REQUEST if invalid else Failure.TOO_MANY_ITEMS)
    shortages = tuple(
        Shortage(sku, asked, left[sku])
        for sku, asked in order.items.items()
        if sku in left and (left[sku] or 0) < asked
    )
    found = all(shortage.available is not None for shortage in shortages)
    return Decision(order, Failure.INSUFFICIENT_STOCK if found else Failure.SKU_NOT_FOUND, shortages)


def _witnesses(decisions: Iterable[Decision], taken: Mapping[str, int]) -> tuple[set[str], dict[str, int]]:
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


@dataclass(frozen=True, slots=True)
class OrderToRelease:
    """An order to release, with its reservation, None where it has none."""

    order_id: str
    reservation: Reservation | None

    @property
    def releasable(self) -> bool:
        """Whether a release changes anything."""
        return transition(self.reservation, Change.RELEASE) is not None

    @property
    def items(self) -> Mapping[str, int]:
        """The units that the release gives back, by SKU."""
        return self.reservation.held if self.reservation else {}

    @property
    def skus(self) -> Iterable[str]:
        return self.items.keys()

    def as_seen(self, snapshot: Snapshot) -> OrderToRelease:
        """The order with its reservation as `snapshot` has it, if it does."""
        return OrderToRelease(self.order_id, snapshot.reservations.get(self.order_id, self.reservation))


@dataclass(frozen=True, slots=True)
class Released:
    """What the release of an order gives back, by SKU, and the SKUs that no longer exist."""

    order: OrderToRelease
    returned: Mapping[str, int]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What each release gives back, in order of arrival, and the writes on stock that do it."""

    released: tuple[Released, ...]
    writes: tuple[StockWrite, ...]


def plan_releases(orders: Iterable[OrderToRelease], missing: Set[str]) -> ReleasePlan:
    """Give back the stock of `orders`, each of them releasable.

    `missing` are SKUs known not to exist: the plan proves their absence instead.
    """
    orders = tuple(orders)
    back: dict[str, int] = {}
    for order in orders:
        for sku, units in order.items.items():
            back[sku] = back.get(sku, 0) + units
    return ReleasePlan(
        tuple(
            Released(
                order,
                {sku: units for sku, units in order.items.items() if sku not in missing},
                tuple(sku for sku in order.items if sku in missing),
            )
            for order in orders
        ),
        tuple(ProveAbsent(sku) if sku in missing else ReturnStock(sku, units) for sku, units in back.items()),
    )
