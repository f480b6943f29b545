"""Group commit: which orders of a group are admitted, and the one transaction that makes it true.

`plan` decides from what is known of the stock, which may be stale or missing. That is harmless, since
each decision is written together with a condition that proves it: an admission with "the units are
there", a rejection with "after what this transaction takes, its witness has less than the order asks".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.core.actions import Absent, Below, StockAction, Take
from chalicelib.core.messages import Invalid, Reserve


class Failure(StrEnum):
    """Why an order, or a line of it, was rejected."""

    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"
    SKU_NOT_FOUND = "SKU_NOT_FOUND"
    INVALID_REQUEST = "INVALID_REQUEST"
    TOO_MANY_ITEMS = "TOO_MANY_ITEMS"


@dataclass(frozen=True, slots=True)
class Shortage:
    """One SKU that an order asks more of than is `available`, None where there is no such SKU."""

    sku: str
    requested: int
    available: int | None

    @property
    def failure(self) -> Failure:
        return Failure.SKU_NOT_FOUND if self.available is None else Failure.INSUFFICIENT_STOCK


@dataclass(frozen=True, slots=True)
class Decision:
    """What the plan says of one order: admitted, if there is no `failure`."""

    order: Reserve
    failure: Failure | None = None
    shortages: tuple[Shortage, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision for each order, in order of arrival, and the actions on stock that make them true.

    `unseen` are the SKUs of rejected orders of which nothing is known: reading them first makes the
    answers complete.
    """

    decisions: tuple[Decision, ...]
    actions: tuple[StockAction, ...]
    unseen: frozenset[str]

    @property
    def rejects(self) -> bool:
        return any(decision.shortages for decision in self.decisions)


def plan(orders: Sequence[Reserve], stock: Mapping[str, int | None]) -> Plan:
    """Admit `orders` in order of arrival while the stock lasts, and reject the others.

    `stock` maps a SKU to its units, or to None where there is no such SKU. A SKU that is not in it is
    taken to have enough: the transaction will tell.
    """
    takes = _admit(orders, stock)
    left = {sku: None if units is None else units - takes.units.get(sku, 0) for sku, units in stock.items()}
    decisions = tuple(
        Decision(order) if order.order_id in takes.admitted else _reject(order, left) for order in orders
    )
    absent, limits = _witnesses(decisions, takes.units)
    actions: list[StockAction] = [Take(sku, units, limits.get(sku)) for sku, units in takes.units.items()]
    actions += [Below(sku, limit) for sku, limit in limits.items() if sku not in takes.units]
    actions += [Absent(sku) for sku in absent]
    asked = {sku for decision in decisions if decision.shortages for sku in decision.order.items}
    return Plan(decisions, tuple(actions), frozenset(asked - stock.keys()))


@dataclass(frozen=True, slots=True)
class _Takes:
    admitted: set[str]
    units: dict[str, int]


def _admit(orders: Iterable[Reserve], stock: Mapping[str, int | None]) -> _Takes:
    takes = _Takes(set(), {})
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
    """For each rejected order one SKU that proves it: those that do not exist, and the limits of the others.

    A limit is what the group takes of the SKU plus the smallest demand that it turns away there:
    with fewer units than that before the group, there are too few for each of them after it.
    """
    absent: set[str] = set()
    limits: dict[str, int] = {}
    for decision in decisions:
        if not decision.shortages:
            continue
        # The reason must be proved; beyond that, a SKU that is in the transaction anyway costs nothing.
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
