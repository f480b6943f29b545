"""Ends holds that are due, and closes orders that are firm for too long, by the index of what is due."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.delivery import Publisher, Relay
from chalicelib.consumer.report import Report
from chalicelib.domain.commands import due_change
from chalicelib.domain.rulings import GRACE
from chalicelib.domain.timestamps import iso
from chalicelib.errors import OutOfTime
from chalicelib.services.change_settler import ChangeSettler
from chalicelib.services.settler import Hints
from chalicelib.store.items import HOLD_SHARDS
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore


@dataclass(frozen=True)
class HoldSweep:
    """Settles what is due as the consumer settles messages.

    The index may be stale, and several sweeps may run at once: a command counts only if its order is due
    still, and a record is replaced only as it was seen.
    """

    orders: OrderStore
    outbox: OutboxStore
    publisher: Publisher
    executor: Executor
    report: Report = field(default_factory=Report)

    def run(self, deadline: Deadline) -> None:
        """End what is due, and leave to the next sweep what there is no time for. Raises `AwsError`."""
        now = deadline.now()
        overdue: list[timedelta | None] = []
        # In another order each time, so that what fails in one part does not always hold back the same.
        for number, shard in enumerate(deadline.rng.sample(range(HOLD_SHARDS), HOLD_SHARDS)):
            # The parts share the time, so that one with many orders does not hold back the others.
            overdue.append(self._sweep(str(shard), now, deadline.share(HOLD_SHARDS - number)))
        known = [age for age in overdue if age is not None]
        # A sweep that cannot read the index must not report that nothing is due: silence raises the alarm.
        if len(known) == HOLD_SHARDS or any(known):
            self.report.holds(max(known))

    def _sweep(self, shard: str, now: datetime, deadline: Deadline) -> timedelta | None:
        """End what is due in one part of the index; returns for how long the oldest has been due.

        None: there was no time to read it.
        """
        relay = Relay(self.publisher, self.outbox, deadline, self.report, self.executor)
        settler = ChangeSettler(self.orders, relay, Hints(), deadline, self.report)
        overdue = None
        try:
            for page in self.orders.due(shard, iso(now - GRACE), deadline):
                ages = [now - datetime.fromisoformat(due_at) for _, due_at in page]
                overdue = max([overdue or timedelta(), *ages])
                settler.run({order_id: [due_change(order_id)] for order_id, _ in page})
        except OutOfTime:
            pass  # what is left is for the next sweep
        finally:
            relay.collect()
        return overdue
