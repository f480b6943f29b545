"""Settles changes of orders, by what is on record of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.aws.dynamodb import MAX_KEYS
from chalicelib.domain.changes import ChangePlan, OrderChanges, plan_changes
from chalicelib.domain.commands import ChangeOrder
from chalicelib.domain.planner import MAX_ACTIONS, pack
from chalicelib.domain.reservation import Reservation
from chalicelib.domain.rulings import LateConfirmation, Ruling
from chalicelib.domain.writes import RecordReservation
from chalicelib.errors import Contended
from chalicelib.services.answers import queue_writes
from chalicelib.services.groups import Group, work_through
from chalicelib.services.settler import PLANS, Settler


@dataclass(frozen=True)
class ChangeSettler(Settler):
    """Changes reservations that are on record.

    unknown: collects the commands whose order has no record yet.
    late: collects, by order, the commands from a late confirmation on.
    """

    unknown: list[ChangeOrder] = field(default_factory=list)
    late: dict[str, tuple[LateConfirmation, Sequence[ChangeOrder]]] = field(default_factory=dict)

    def run(self, orders: Mapping[str, Sequence[ChangeOrder]]) -> set[str]:
        """Settle the commands of `orders` before the deadline; returns the orders that are not settled."""
        read: list[OrderChanges] = []

        def look_up(group: Group[OrderChanges]) -> None:
            # The record says what an order holds, and so how many orders fit into a transaction.
            found = self.store.read(group.order_ids, (), self.deadline).reservations
            read.extend(replace(order, reservation=found[order.order_id]) for order in group.orders)

        changes = [OrderChanges(order_id, commands, None) for order_id, commands in orders.items()]
        chunks = [Group(changes[start : start + MAX_KEYS]) for start in range(0, len(changes), MAX_KEYS)]
        unread = work_through(chunks, look_up, self.deadline, self.report)
        groups = [Group(group) for group in pack(read)]
        return unread | work_through(groups, self.settle, self.deadline, self.report)

    def settle(self, group: Group[OrderChanges]) -> list[Ruling]:
        """Settle `group` and begin to deliver its answers; returns the rulings.

        Raises `AwsError`, `Contended` or `OutOfTime` where nothing was written, or where that is unknown.
        """
        rulings: list[Ruling] = []
        for _ in range(PLANS):
            orders = [
                replace(order, reservation=group.snapshot.reservations.get(order.order_id, order.reservation))
                for order in group.orders
            ]
            now, change = self.deadline.now(), self.new_change()
            rules = self._rules(now)
            planned = plan_changes(orders, group.snapshot.missing, rules, change)
            records = [changed.write for changed in planned.orders if changed.write]
            beyond = [answer for changed in planned.orders for answer in changed.beyond]
            # Version 1.1 took orders of 99 SKUs. To give one back leaves no room for the outbox: then the
            # next plan puts the answer there, and the message is not done before that. What version 1.1 owed
            # goes there before, since the record will not tell it from the answer to a call any more.
            no_room = len(orders) == 1 and len(records) + len(planned.writes) > MAX_ACTIONS
            if no_room:
                if owed := _owed_by_1_1(records):
                    self._commit(group, change, now, queue_writes(owed, change))
                    continue
                records = [_unqueued(write) for write in records]
                beyond = []
            if not self._commit(group, change, now, [*planned.writes, *records], beyond):
                continue
            rulings += [ruling for changed in planned.orders for ruling in changed.rulings]
            if no_room:
                continue
            self._settled(orders, planned, rulings)
            return rulings
        raise Contended("the orders or the SKUs kept changing")

    def _settled(
        self, orders: Sequence[OrderChanges], planned: ChangePlan, rulings: Sequence[Ruling]
    ) -> None:
        if rulings:
            self.report.ruled(rulings)
        repeated: list[str] = []
        for order, changed in zip(orders, planned.orders, strict=True):
            if changed.repeated:
                repeated.append(order.order_id)
            self.unknown.extend(changed.unknown)
            if changed.late:
                self.late[order.order_id] = changed.late, changed.waiting
        self.report.duplicates(repeated)


def _owed_by_1_1(writes: Iterable[RecordReservation]) -> list[Reservation]:
    """The records that version 1.1 wrote, and that owe answers."""
    seen = [write.seen for write in writes if write.seen is not None]
    return [record for record in seen if record.change is None and record.unqueued]


def _unqueued(write: RecordReservation) -> RecordReservation:
    """The same write, but nothing sends the answers that it adds yet."""
    seen = write.seen
    before = {operation.id: operation.queued for operation in seen.operations} if seen else {}
    operations = tuple(
        replace(operation, queued=before.get(operation.id, False))
        for operation in write.reservation.operations
    )
    event_queued = seen.event_queued if seen else True
    return replace(
        write, reservation=replace(write.reservation, operations=operations, event_queued=event_queued)
    )
