"""Settles one group of releases: first answers out, stock back, publish, mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.consumer.groups import Group
from chalicelib.consumer.outbox import Outbox
from chalicelib.consumer.pace import Pace
from chalicelib.consumer.report import Report
from chalicelib.consumer.reserving import PLANS
from chalicelib.core.answers import owed
from chalicelib.core.moments import iso
from chalicelib.core.releases import Cancelled, ReleasePlan, plan_releases
from chalicelib.errors import Contended
from chalicelib.store.transactions import OrderStore


@dataclass(frozen=True)
class Releasing:
    """Settles groups of cancelled orders, whose records have been read."""

    store: OrderStore
    outbox: Outbox
    pace: Pace
    report: Report

    def settle(self, group: Group[Cancelled]) -> None:
        """Settle `group` but orders whose first answer cannot be sent, and begin to deliver its answers.

        Raises `AwsError`, `Contended` or `OutOfTime` where nothing was written, or nobody knows.
        """
        for _ in range(PLANS):
            orders = self._answered([order.as_known(group.known) for order in group.orders])
            self._send_first(orders)
            open_orders = [order for order in self._answered(orders) if order.releasable]
            now = self.pace.now()
            release = plan_releases(open_orders, group.known.missing, iso(now))
            self.pace.check()
            if self.store.commit(release.actions, now, group.known):
                self._committed(orders, release)
                return
        raise Contended("the orders or the SKUs kept changing")

    def _answered(self, orders: Sequence[Cancelled]) -> list[Cancelled]:
        """Those of `orders` whose answers did not fail to go out."""
        return [order for order in orders if order.order_id not in self.outbox.unsent]

    def _send_first(self, orders: Sequence[Cancelled]) -> None:
        """Send the answers still owed to reserved orders: a released order owes no more than its release."""
        self.outbox.send(
            [
                answer
                for order in orders
                if order.releasable
                and order.record
                and order.order_id not in self.outbox.delivered
                and (answer := owed(order.record))
            ]
        )

    def _committed(self, orders: Sequence[Cancelled], release: ReleasePlan) -> None:
        before = [order.record for order in orders if order.record and not order.releasable]
        self.outbox.deliver([*release.answers, *filter(None, map(owed, before))])
        if release.answers:
            self.report.released([answer.order_id for answer in release.answers])
        self.report.duplicates([record.order_id for record in before])
