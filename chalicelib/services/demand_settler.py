"""Settles what takes stock: reservations, and confirmations that come too late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.domain.commands import Reserve
from chalicelib.domain.planner import Plan, Shortage, Snapshot, pack, plan
from chalicelib.domain.reservation import Reservation
from chalicelib.domain.rulings import LateConfirmation, Rules, Ruling, Verdict, confirmed_late, recorded, rule
from chalicelib.domain.writes import MoveStock, RecordReservation, Write
from chalicelib.errors import Contended
from chalicelib.services.answers import queue_writes, reserve_write
from chalicelib.services.groups import Group, work_through
from chalicelib.services.settler import PLANS, Demand, Settler


@dataclass(frozen=True)
class DemandSettler(Settler):
    """Takes stock for orders. `returned` collects the late confirmations that are no longer late."""

    returned: list[LateConfirmation] = field(default_factory=list)

    def run(self, demands: Sequence[Demand], redelivered: Iterable[str]) -> set[str]:
        """Settle `demands` before the deadline; returns the ids of the orders that are not settled.

        `redelivered` are orders that may have been settled before.
        """
        again = frozenset(redelivered)
        groups = [Group(group) for group in pack(demands)]
        for group in groups:
            group.snapshot.reservations.update(
                (demand.order_id, demand.reservation)
                for demand in group.orders
                if isinstance(demand, LateConfirmation)
            )

        def settle(group: Group[Demand]) -> None:
            self._look_ahead(group, [order_id for order_id in group.order_ids if order_id in again])
            self.settle(group)

        return work_through(groups, settle, self.deadline, self.report)

    def settle(self, group: Group[Demand]) -> list[Ruling]:
        """Settle `group`, and begin to deliver its answers; returns the rulings on its late confirmations.

        Raises `AwsError`, `Contended` or `OutOfTime` where nothing was written, or where that is unknown.
        """
        snapshot = group.snapshot
        for _ in range(PLANS):
            now, change = self.deadline.now(), self.new_change()
            rules = self._rules(now)
            wanted = [demand for order in group.orders if (demand := _as_seen(order, snapshot, rules))]
            decided = self._plan(wanted, snapshot, rules.now)
            writes: list[Write] = [*decided.writes]
            rulings: list[Ruling] = []
            for decision in decided.decisions:
                if isinstance(decision.order, LateConfirmation):
                    write, ruling = _confirmation(decision.order, decision.shortages, rules, change)
                    writes.append(write)
                    rulings.append(ruling)
                else:
                    writes.append(reserve_write(decision.order, decision, rules, change))
            settled = _settled_before(group)
            if self.outlet is not None:
                writes += queue_writes(settled, change)
            if self._commit(group, change, now, writes):
                self._committed(decided, snapshot)
                self._repeated(group.orders, settled)
                if rulings:
                    self.report.ruled(rulings)
                taken = {demand.order_id for demand in wanted}
                self.returned.extend(
                    order
                    for order in group.orders
                    if isinstance(order, LateConfirmation) and order.order_id not in taken
                )
                return rulings
        raise Contended("the stock kept changing")

    def _look_ahead(self, group: Group[Demand], again: Sequence[str]) -> None:
        """Read first where a blind try is likely to fail.

        That is with redelivered orders, and with SKUs that were short, or that nobody has seen while others
        of that kind are short.
        """
        if group.attempt:
            return
        skus = {sku for order in group.orders for sku in order.skus}
        hints = self.hints.of(skus)
        short = bool(hints) and plan(group.orders, hints).rejects
        short |= self.hints.surprised and len(hints) < len(skus)
        if again or short:
            group.snapshot.update(self.store.read(again, skus if short else (), self.deadline))

    def _plan(self, demands: Sequence[Demand], snapshot: Snapshot, now: str) -> Plan[Demand]:
        decided = plan(demands, snapshot.stock, now)
        while decided.unseen:
            snapshot.update(self.store.read((), decided.unseen, self.deadline))
            decided = plan(demands, snapshot.stock, now)
        return decided

    def _committed(self, decided: Plan[Demand], snapshot: Snapshot) -> None:
        moved = {write.sku: write.quantity for write in decided.writes if isinstance(write, MoveStock)}
        short = [[line.sku for line in decision.shortages] for decision in decided.decisions]
        self.hints.surprised = any(skus and not self.hints.of(skus) for skus in short)
        self.hints.learn(
            {
                sku: None if units is None else units + moved.get(sku, 0)
                for sku, units in snapshot.stock.items()
            }
        )
        decisions = [decision for decision in decided.decisions if isinstance(decision.order, Reserve)]
        if decisions:
            self.report.decided(decisions)

    def _repeated(self, demands: Sequence[Demand], settled: Sequence[Reservation]) -> None:
        """Report the orders that were `settled` before."""
        self.report.duplicates([found.order_id for found in settled])
        items = {demand.order_id: demand.items for demand in demands}
        self.report.mismatched(
            [
                found.order_id
                for found in settled
                if found.items and items[found.order_id] and found.items != items[found.order_id]
            ]
        )


def _as_seen(order: Demand, snapshot: Snapshot, rules: Rules) -> Demand | None:
    """What `order` still asks for, by the records in `snapshot`; None: nothing that takes stock."""
    found = snapshot.reservations.get(order.order_id)
    if isinstance(order, Reserve):
        return order if found is None else None
    if found is None or rule(found, order.command, rules) is not Verdict.LATE:
        return None
    return LateConfirmation(order.command, found)


def _confirmation(
    late: LateConfirmation, shortages: tuple[Shortage, ...], rules: Rules, change: str
) -> tuple[RecordReservation, Ruling]:
    """How the commit `change` records a late confirmation, and the ruling on it."""
    ruling = confirmed_late(late.reservation, late.command, shortages, rules)
    after, _ = recorded(ruling, rules)
    return RecordReservation(replace(after, change=change), late.reservation), ruling


def _settled_before(group: Group[Demand]) -> list[Reservation]:
    """The records of the reservations in `group` that were settled before."""
    late = {order.order_id for order in group.orders if isinstance(order, LateConfirmation)}
    return [found for found in group.recorded if found.order_id not in late]
