"""Settles one group of reservations: plan, commit, publish, mark."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

from chalicelib.consumer.groups import Group
from chalicelib.consumer.hints import Hints
from chalicelib.consumer.outbox import Outbox
from chalicelib.consumer.pace import Pace
from chalicelib.consumer.report import Report
from chalicelib.core.actions import Record, Take
from chalicelib.core.answers import Answer, order_record, owed, reserve_answer
from chalicelib.core.messages import Reserve
from chalicelib.core.moments import iso
from chalicelib.core.planner import Plan, plan
from chalicelib.core.records import Known
from chalicelib.errors import Contended
from chalicelib.store.transactions import OrderStore

PLANS: Final = 5
"""How often a group is planned on what cancelled transactions told, before it counts as contended."""


@dataclass(frozen=True)
class Reserving:
    """Settles groups of `Reserve` commands; `redelivered` orders may have been settled before."""

    store: OrderStore
    outbox: Outbox
    hints: Hints
    pace: Pace
    report: Report
    redelivered: Set[str]

    def settle(self, group: Group[Reserve]) -> None:
        """Settle `group`, and begin to deliver its answers.

        Raises `AwsError`, `Contended` or `OutOfTime` where nothing was written, or nobody knows.
        """
        known = group.known
        self._look_ahead(group)
        for _ in range(PLANS):
            fresh = [order for order in group.orders if known.records.get(order.order_id) is None]
            decided = self._plan(fresh, known)
            now = self.pace.now()
            answers = [reserve_answer(decision, iso(now)) for decision in decided.decisions]
            records = [
                Record(order_record(decision.order, answer, iso(now)))
                for decision, answer in zip(decided.decisions, answers, strict=True)
            ]
            self.pace.check()
            if self.store.commit([*decided.actions, *records], now, known):
                self.outbox.deliver([*answers, *self._owed(group)])
                self._committed(decided, known)
                return
        raise Contended("the stock kept changing")

    def _look_ahead(self, group: Group[Reserve]) -> None:
        """Read first where a blind try is likely to be cancelled: redelivered orders, SKUs lately short."""
        if group.attempt:
            return
        again = [order.order_id for order in group.orders if order.order_id in self.redelivered]
        skus = {sku for order in group.orders for sku in order.skus}
        hints = self.hints.of(skus)
        short = bool(hints) and plan(group.orders, hints).rejects
        if again or short:
            group.known.learn(self.store.read(again, skus if short else (), self.pace.pause))

    def _plan(self, orders: Sequence[Reserve], known: Known) -> Plan:
        decided = plan(orders, known.stock)
        while decided.unseen:
            self.pace.check()
            known.learn(self.store.read((), decided.unseen, self.pace.pause))
            decided = plan(orders, known.stock)
        return decided

    def _committed(self, decided: Plan, known: Known) -> None:
        taken = {action.sku: action.quantity for action in decided.actions if isinstance(action, Take)}
        self.hints.learn(
            {sku: None if units is None else units - taken.get(sku, 0) for sku, units in known.stock.items()}
        )
        if decided.decisions:
            self.report.decided(decided.decisions)

    def _owed(self, group: Group[Reserve]) -> list[Answer]:
        """What is still owed to those orders of `group` that were settled before, which are reported."""
        answers = []
        mismatched = []
        before = [
            (order, record) for order in group.orders if (record := group.known.records.get(order.order_id))
        ]
        for order, record in before:
            if record.items and order.items and record.items != order.items:
                mismatched.append(order.order_id)
            answer = owed(record)
            if answer:
                answers.append(answer)
        self.report.duplicates([order.order_id for order, _ in before])
        self.report.mismatched(mismatched)
        return answers
