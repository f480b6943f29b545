"""Changes of reservations: what the commands of a group do to records and stock.

A record is replaced as a whole, on condition that it is as it was seen, and what moves in the stock is the
difference between the two. So an operation counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.domain.commands import ChangeOrder, ChangeType
from chalicelib.domain.reservation import Answer, Reservation, moves
from chalicelib.domain.rulings import (
    LateConfirmation,
    Rules,
    Ruling,
    Verdict,
    recorded,
    rule,
)
from chalicelib.domain.writes import MoveStock, ProveAbsent, RecordReservation, StockWrite


@dataclass(frozen=True, slots=True)
class OrderChanges:
    """The commands about one order, in order of arrival, and its record, None where it has none."""

    order_id: str
    commands: Sequence[ChangeOrder]
    reservation: Reservation | None

    @property
    def skus(self) -> Iterable[str]:
        """The SKUs whose stock the commands may move."""
        if self.reservation is None:
            return ()
        parts = [
            self.reservation.holding
            if command.items is None or self.reservation.held is None
            else command.items
            for command in self.commands
            if command.type in _MOVING
        ]
        return parts[0] if len(parts) == 1 else dict.fromkeys(sku for part in parts for sku in part)


_MOVING: Final = frozenset({ChangeType.FULFILL, ChangeType.RELEASE})


@dataclass(frozen=True, slots=True)
class Changed:
    """What the commands of one order come to.

    write: how its record is replaced; None if it stays as it is.
    beyond: answers that are on no record, since the order takes no more operations.
    unknown: commands that wait for the order's reservation.
    late: a confirmation that has to take stock first; `waiting` are the commands after it.
    repeated: whether any command was settled before.
    """

    write: RecordReservation | None
    rulings: tuple[Ruling, ...]
    beyond: tuple[Answer, ...]
    unknown: tuple[ChangeOrder, ...]
    late: LateConfirmation | None
    waiting: Sequence[ChangeOrder]
    repeated: bool


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """What each order's commands come to, in order of arrival, and the writes on stock that do it."""

    orders: tuple[Changed, ...]
    writes: tuple[StockWrite, ...]


def plan_changes(orders: Iterable[OrderChanges], missing: Set[str], rules: Rules, change: str) -> ChangePlan:
    """Rule all commands of `orders`, and sum up what that moves in the stock, as the commit `change`.

    `missing` are SKUs known not to exist: the plan proves their absence instead.
    """
    changed = tuple(_change(order, missing, rules, change) for order in orders)
    return ChangePlan(changed, stock_writes([order.write for order in changed if order.write], missing))


def stock_writes(
    records: Iterable[RecordReservation], missing: Set[str] = frozenset()
) -> tuple[StockWrite, ...]:
    """Sum up what `records` move in the stock, one write for each SKU.

    `missing` are SKUs known not to exist: their absence is proved instead.
    """
    sums: dict[str, tuple[int, int]] = {}
    for record in records:
        for sku, (units, reserved) in moves(record.seen, record.reservation).items():
            before = sums.get(sku, (0, 0))
            sums[sku] = before[0] + units, before[1] + reserved
    return tuple(
        ProveAbsent(sku) if sku in missing else MoveStock(sku, *move)
        for sku, move in sums.items()
        if move != (0, 0)
    )


def _change(order: OrderChanges, missing: Set[str], rules: Rules, change: str) -> Changed:
    record = order.reservation
    if record is not None:
        # Up to version 1.1, a release sent whatever answer its order was still owed. Over REST too: once
        # this version has replaced the record, the migration no longer knows what version 1.1 owed.
        record = record.with_old_queued()
    rulings: list[Ruling] = []
    beyond: list[Answer] = []
    unknown: list[ChangeOrder] = []
    late: ChangeOrder | None = None
    waiting: Sequence[ChangeOrder] = ()
    repeated = False
    for number, command in enumerate(order.commands):
        verdict = rule(record, command, rules, missing)
        if isinstance(verdict, Ruling):
            rulings.append(verdict)
            record, other = recorded(verdict, rules)
            if other and rules.queue and other not in beyond:
                beyond.append(other)
        elif verdict is Verdict.UNKNOWN:
            unknown.append(command)
        elif verdict is Verdict.LATE:
            waiting = order.commands[number + 1 :]
            late = command
            break
        elif record is not None and not command.due:
            repeated = True
            # What answers the release of a rejected order is the rejection.
            answer = command.operation_id if verdict is Verdict.REPEATED else None
            record = record.with_queued(answer) if rules.queue else record
    write = None
    if record is not None and record != order.reservation:
        write = RecordReservation(replace(record, change=change), order.reservation)
    return Changed(
        write,
        tuple(rulings),
        tuple(beyond),
        tuple(unknown),
        LateConfirmation(late, write.reservation if write else record) if late and record else None,
        waiting,
        repeated,
    )
