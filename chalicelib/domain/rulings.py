"""Rulings: what a command does to the record of its order, and what there is to tell of it.

A ruling makes a new record, and moves nothing itself. So nothing can be given back that is not held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, StrEnum, auto
from typing import Final

from chalicelib.domain.commands import AGED_ID, ChangeOrder, ChangeType, is_countable
from chalicelib.domain.planner import Shortage
from chalicelib.domain.reservation import (
    Answer,
    Operation,
    Outcome,
    Reference,
    Reservation,
)
from chalicelib.domain.timestamps import later

GRACE: Final = timedelta(seconds=5)
"""The sweep waits so long after the end of a hold, so that a fast clock releases nothing early."""


class Refusal(StrEnum):
    """Why a change of an order was refused."""

    NOT_RESERVED = "NOT_RESERVED"
    EXPIRED = "EXPIRED"
    NOT_A_HOLD = "NOT_A_HOLD"
    MORE_THAN_HELD = "MORE_THAN_HELD"
    INVALID_REQUEST = "INVALID_REQUEST"
    TOO_MANY_OPERATIONS = "TOO_MANY_OPERATIONS"


class Verdict(Enum):
    """What a command meets that changes nothing, or nothing yet.

    REPEATED: it was settled before. POINTLESS: there is nothing to do and nothing to say. UNKNOWN: there is
    no such order yet. LATE: it has to take stock again, as a reservation does.
    """

    REPEATED = auto()
    POINTLESS = auto()
    UNKNOWN = auto()
    LATE = auto()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a refused change: `requested` units of a SKU of which the order holds fewer."""

    sku: str
    requested: int
    held: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a command: the record after it, without the operation, and what there is to tell.

    refusal: why it is refused; then `lines` or `shortages` are the SKUs at fault.
    items: the units that were confirmed, shipped or given back, by SKU; `missing`: SKUs that are gone.
    expired_at: the end of the hold, if the order is released for that.
    again: whether the units were taken again.
    silent: whether there is no answer.
    """

    command: ChangeOrder
    after: Reservation
    operation_id: str
    refusal: Refusal | None = None
    items: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    shortages: tuple[Shortage, ...] = ()
    expired_at: str | None = None
    again: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """How changes are ruled.

    now: the time (ISO 8601, UTC). answer: makes the answer to a ruling, made at `now`.
    aging: after that time the sweep closes a firm order; None: never.
    queue: whether the OMS queue gets the answers; if not, the caller gets them in the response.
    """

    now: str
    answer: Callable[[Ruling, str], Answer]
    aging: timedelta | None = None
    queue: bool = True

    def due_at(self, expires_at: str | None) -> str | None:
        """When an order is due that was reserved or confirmed now."""
        if expires_at is not None:
            return expires_at
        return None if self.aging is None else later(self.now, self.aging)


def rule(
    found: Reservation | None, command: ChangeOrder, rules: Rules, missing: Set[str] = frozenset()
) -> Ruling | Verdict:
    """Tell what `command` does to the record `found`. `missing` are SKUs known not to exist."""
    if found is None:
        return _rule_unknown(command, rules)
    if command.due:
        return _rule_due(found, command, rules, missing)
    if found.operation(command.operation_id):
        return Verdict.REPEATED
    if found.outcome is Outcome.REJECTED and command.whole_release:
        return Verdict.POINTLESS
    return _refuse(found, command, rules) or _RULES[command.type](found, command, rules, missing)


def _refuse(found: Reservation, command: ChangeOrder, rules: Rules) -> Ruling | None:
    """Refuse what no order takes, whatever it holds."""
    if is_countable(command.operation_id) and not found.has_room():
        full = replace(found, full_at=found.full_at or rules.now)
        return _refused(full, command, Refusal.TOO_MANY_OPERATIONS)
    return _refused(found, command, Refusal.INVALID_REQUEST) if command.errors else None


def _confirm(found: Reservation, command: ChangeOrder, rules: Rules, _: Set[str]) -> Ruling | Verdict:
    if not found.is_open:
        return Verdict.LATE if found.expired else _refused(found, command, Refusal.NOT_RESERVED)
    after = found
    if found.expires_at is not None:
        after = replace(found, expires_at=None, due_at=rules.due_at(None))
    return Ruling(command, after, command.operation_id, items=found.holding)


def _extend(found: Reservation, command: ChangeOrder, _rules: Rules, _: Set[str]) -> Ruling | Verdict:
    if not found.is_open:
        return _closed(found, command)
    if found.expires_at is None:
        return _refused(found, command, Refusal.NOT_A_HOLD)
    after = replace(found, expires_at=command.expires_at, due_at=command.expires_at)
    return Ruling(command, after, command.operation_id)


def _fulfill(found: Reservation, command: ChangeOrder, _rules: Rules, missing: Set[str]) -> Ruling | Verdict:
    return _part(found, command, missing)


def _release(found: Reservation, command: ChangeOrder, _rules: Rules, missing: Set[str]) -> Ruling | Verdict:
    if not found.is_open and command.whole_release and found.expired:
        # The order is cancelled: a confirmation that comes after this must not take the units again.
        return _refused(replace(found, expired={}), command, Refusal.EXPIRED)
    return _part(found, command, missing)


_RULES: Final = {
    ChangeType.CONFIRM: _confirm,
    ChangeType.EXTEND: _extend,
    ChangeType.FULFILL: _fulfill,
    ChangeType.RELEASE: _release,
}


def _part(found: Reservation, command: ChangeOrder, missing: Set[str]) -> Ruling:
    """Ship units that the order holds, or give them back: some of them, or all."""
    if not found.is_open:
        return _closed(found, command)
    held = found.holding
    wanted = held if command.items is None else command.items
    if more := tuple(Line(sku, n, held.get(sku, 0)) for sku, n in wanted.items() if n > held.get(sku, 0)):
        return replace(_refused(found, command, Refusal.MORE_THAN_HELD), lines=more)
    shipped = command.type is ChangeType.FULFILL
    after = _without(found, wanted, shipped=shipped, missing=missing)
    if shipped:
        return Ruling(command, after, command.operation_id, items=wanted)
    return _given_back(command, after, wanted, missing)


def _given_back(
    command: ChangeOrder, after: Reservation, units: Mapping[str, int], missing: Set[str]
) -> Ruling:
    """The ruling that `units` go back, but for those of SKUs that are `missing`."""
    return Ruling(
        command,
        after,
        command.operation_id,
        items={sku: n for sku, n in units.items() if sku not in missing},
        missing=tuple(sku for sku in units if sku in missing),
    )


def _rule_due(found: Reservation, command: ChangeOrder, rules: Rules, missing: Set[str]) -> Ruling | Verdict:
    """End a hold, or close a firm order that is old enough, if that is due still."""
    if not found.is_open or found.due_at is None or later(found.due_at, GRACE) > rules.now:
        return Verdict.POINTLESS
    if found.expires_at is None:
        after = _without(found, found.holding, shipped=True)
        shipped = replace(command, type=ChangeType.FULFILL)
        return Ruling(shipped, after, AGED_ID, items=found.holding, silent=True)
    after = replace(_without(found, found.holding, shipped=False), expired=found.holding)
    return replace(_given_back(command, after, found.holding, missing), expired_at=found.expires_at)


def confirmed_late(
    found: Reservation, command: ChangeOrder, shortages: tuple[Shortage, ...], rules: Rules
) -> Ruling:
    """The ruling on a late confirmation: the units are taken again unless there are `shortages`."""
    if shortages:
        return replace(_refused(found, command, Refusal.EXPIRED), shortages=shortages)
    after = replace(
        found, outcome=Outcome.RESERVED, held=found.expired, expired={}, due_at=rules.due_at(None)
    )
    return Ruling(command, after, command.operation_id, items=found.expired, again=True)


@dataclass(frozen=True, slots=True)
class LateConfirmation:
    """A confirmation of an order whose hold has ended: it takes the units again, as a reservation does."""

    command: ChangeOrder
    reservation: Reservation
    refusal: None = None
    expires_at: None = None

    @property
    def order_id(self) -> str:
        return self.command.order_id

    @property
    def items(self) -> Mapping[str, int]:
        return self.reservation.expired

    @property
    def skus(self) -> Iterable[str]:
        return self.items.keys()


def _without(
    found: Reservation, units: Mapping[str, int], *, shipped: bool, missing: Set[str] = frozenset()
) -> Reservation:
    """The record once `units` that it holds are shipped or given back.

    From now on, what is left counts as reserved. If version 1.1 wrote the record, there may be no such SKU
    any more: then it is written off, or its release would take units that were never counted.
    """
    lost = missing if found.held is None else frozenset()
    held = {
        sku: left for sku, n in found.holding.items() if sku not in lost and (left := n - units.get(sku, 0))
    }
    fulfilled = found.fulfilled
    if shipped:
        fulfilled = {sku: n for sku in found.items if (n := found.fulfilled.get(sku, 0) + units.get(sku, 0))}
    if held:
        return replace(found, held=held, fulfilled=fulfilled)
    outcome = Outcome.FULFILLED if fulfilled else Outcome.RELEASED
    return replace(found, outcome=outcome, held=held, fulfilled=fulfilled, expires_at=None, due_at=None)


def _rule_unknown(command: ChangeOrder, rules: Rules) -> Ruling | Verdict:
    """A whole release has overtaken its reservation: a tombstone makes that take no stock when it arrives."""
    if command.whole_release:
        after = Reservation(command.order_id, Outcome.RELEASED, created_at=rules.now)
        return Ruling(command, after, command.operation_id)
    return Verdict.POINTLESS if command.due else Verdict.UNKNOWN


def _refused(found: Reservation, command: ChangeOrder, why: Refusal) -> Ruling:
    return Ruling(command, found, command.operation_id, refusal=why)


def _closed(found: Reservation, command: ChangeOrder) -> Ruling:
    return _refused(found, command, Refusal.EXPIRED if found.expired else Refusal.NOT_RESERVED)


def recorded(ruling: Ruling, rules: Rules) -> tuple[Reservation, Answer | None]:
    """The record with the operation of `ruling`, and its answer if that is on no record."""
    after = ruling.after
    if ruling.refusal is Refusal.TOO_MANY_OPERATIONS:
        return after, rules.answer(ruling, after.full_at or rules.now)
    answer = None if ruling.silent else rules.answer(ruling, rules.now)
    operation = Operation(
        ruling.operation_id,
        ruling.command.type.value,
        rules.now,
        answer.type if answer else None,
        answer.body if answer else None,
        queued=rules.queue,
    )
    return replace(after, operations=(*after.operations, operation)), None


_TYPES: Final = frozenset(ChangeType)


def answer_to(
    record: Reservation, reference: Reference, answer: Callable[[Ruling, str], Answer]
) -> Answer | None:
    """The answer that `reference` names; None if it is lost.

    If it is on no record since the order takes no more operations, `answer` makes it again.
    """
    if reference.type is None:
        return next((known for known in record.answers if known.reference == reference), None)
    if record.full_at is None or reference.operation_id is None or reference.type not in _TYPES:
        return None
    command = ChangeOrder(reference.order_id, ChangeType(reference.type), reference.operation_id)
    return answer(_refused(record, command, Refusal.TOO_MANY_OPERATIONS), record.full_at)
