"""Bugs in changes of orders: what an operation does to a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chalicelib.domain import changes, reservation, rulings
from chalicelib.domain.commands import ChangeOrder, ChangeType
from chalicelib.domain.planner import Shortage
from chalicelib.domain.reservation import Outcome, Reference, Reservation
from chalicelib.domain.rulings import LateConfirmation, Refusal, Ruling, Verdict
from chalicelib.services import demand_settler
from chalicelib.services.change_settler import ChangeSettler
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()
_Change = Callable[[Reservation, ChangeOrder, Any], Any]


def _rule(patch: Patch, kind: ChangeType, change: _Change) -> None:
    """Replace the ruling on commands of that kind by `change(found, command, ruling)`."""
    original = rulings._RULES[kind]

    def rule(found: Any, command: Any, rules: Any, missing: Any) -> Any:
        return change(found, command, original(found, command, rules, missing))

    patch(rulings, "_RULES", {**rulings._RULES, kind: rule})


@MUTATIONS("an operation is applied twice")
def _(patch: Patch) -> None:
    original = rulings.rule

    def rule(found: Any, command: Any, *args: Any) -> Any:
        verdict: Any = original(found, command, *args)
        if verdict is Verdict.REPEATED and command.items:
            verdict = original(replace(found, operations=()), command, *args)
            return replace(verdict, after=replace(verdict.after, operations=found.operations))
        return verdict

    patch(changes, "rule", rule)


@MUTATIONS("more than is held is shipped as far as it goes")
def _(patch: Patch) -> None:
    original = rulings._part

    def part(found: Any, command: Any, missing: Any) -> Any:
        ruling = original(found, command, missing)
        if ruling.refusal is not Refusal.MORE_THAN_HELD:
            return ruling
        held = found.holding
        items = {sku: min(n, held[sku]) for sku, n in command.items.items() if sku in held}
        return original(found, replace(command, items=items), missing)

    patch(rulings, "_part", part)


@MUTATIONS("a part closes the order", 400)
def _(patch: Patch) -> None:
    original = rulings._without

    def without(found: Any, units: Any, *, shipped: bool, **gone: Any) -> Any:
        return original(found, units if shipped else found.holding, shipped=shipped, **gone)

    patch(rulings, "_without", without)


@MUTATIONS("units of a SKU that is gone come to be held", 400, first=5900)
def _(patch: Patch) -> None:
    original = rulings._without
    patch(
        rulings, "_without", lambda found, units, shipped, missing=(): original(found, units, shipped=shipped)
    )


@MUTATIONS("an order that was shipped stays open")
def _(patch: Patch) -> None:
    original = rulings._without

    def without(*args: Any, **options: Any) -> Any:
        return replace(original(*args, **options), outcome=Outcome.RESERVED)

    patch(rulings, "_without", without)


@MUTATIONS("units that were shipped are given back")
def _(patch: Patch) -> None:
    patch(reservation, "_taken", lambda record: record.holding if record else {})


@MUTATIONS("an extension does not move due_at")
def _(patch: Patch) -> None:
    def change(found: Any, _: Any, ruling: Any) -> Any:
        return replace(ruling, after=replace(ruling.after, due_at=found.due_at))

    _rule(patch, ChangeType.EXTEND, change)


@MUTATIONS("a firm order can be extended")
def _(patch: Patch) -> None:
    def change(found: Any, command: Any, ruling: Any) -> Any:
        if ruling.refusal is not Refusal.NOT_A_HOLD:
            return ruling
        after = replace(found, expires_at=command.expires_at, due_at=command.expires_at)
        return Ruling(command, after, command.operation_id)

    _rule(patch, ChangeType.EXTEND, change)


@MUTATIONS("a confirmed order keeps due_at")
def _(patch: Patch) -> None:
    def change(found: Any, _: Any, ruling: Any) -> Any:
        if not isinstance(ruling, Ruling) or ruling.refusal:
            return ruling
        return replace(ruling, after=replace(ruling.after, due_at=found.due_at))

    _rule(patch, ChangeType.CONFIRM, change)


@MUTATIONS("a cancelled order can be confirmed late", 400)
def _(patch: Patch) -> None:
    def change(found: Any, _: Any, ruling: Any) -> Any:
        return (
            replace(ruling, after=replace(ruling.after, expired=found.expired)) if ruling.refusal else ruling
        )

    _rule(patch, ChangeType.RELEASE, change)


@MUTATIONS("the end of a hold is final", 400)
def _(patch: Patch) -> None:
    original = rulings._rule_due

    def rule_due(*args: Any) -> Any:
        verdict = original(*args)
        if isinstance(verdict, Ruling):
            return replace(verdict, after=replace(verdict.after, expired={}))
        return verdict

    patch(rulings, "_rule_due", rule_due)


@MUTATIONS("a late confirmation is refused though the units are there", 400)
def _(patch: Patch) -> None:
    original = demand_settler._confirmation

    def confirmation(late: Any, _: Any, *args: Any) -> Any:
        return original(late, tuple(Shortage(sku, n, 0) for sku, n in late.items.items()), *args)

    patch(demand_settler, "_confirmation", confirmation)


@MUTATIONS("a late confirmation takes all that was asked", 1000)
def _(patch: Patch) -> None:
    patch(LateConfirmation, "items", property(lambda self: self.reservation.items))


@MUTATIONS("commands after a late confirmation are forgotten", 1000)
def _(patch: Patch) -> None:
    original = ChangeSettler._settled

    def settled(self: ChangeSettler, *args: Any) -> None:
        original(self, *args)
        self.late.update({order_id: (late, ()) for order_id, (late, _) in self.late.items()})

    patch(ChangeSettler, "_settled", settled)


@MUTATIONS("one too many is refused, and the order not full")
def _(patch: Patch) -> None:
    original = rulings._refuse

    def refuse(*args: Any) -> Any:
        ruling = original(*args)
        if ruling and ruling.refusal is Refusal.TOO_MANY_OPERATIONS:
            return replace(ruling, after=replace(ruling.after, full_at=None))
        return ruling

    patch(rulings, "_refuse", refuse)


@MUTATIONS("operations on the whole order count towards the most")
def _(patch: Patch) -> None:
    patch(reservation, "is_countable", lambda _: True)
    patch(rulings, "is_countable", lambda _: True)


@MUTATIONS("a full order takes one more")
def _(patch: Patch) -> None:
    original = Reservation.has_room

    def has_room(self: Reservation) -> bool:
        return original(replace(self, operations=self.operations[1:]))

    patch(Reservation, "has_room", has_room)


@MUTATIONS("the outbox forgets that an answer is on no record")
def _(patch: Patch) -> None:
    patch(Reference, "__str__", lambda self: "\n".join(filter(None, self[:2])))


@MUTATIONS("a refused operation is not recorded")
def _(patch: Patch) -> None:
    original = rulings.recorded

    def recorded(ruling: Any, rules: Any) -> Any:
        if ruling.refusal and ruling.refusal is not Refusal.TOO_MANY_OPERATIONS:
            return ruling.after, rules.answer(ruling, rules.now)
        return original(ruling, rules)

    patch(changes, "recorded", recorded)


@MUTATIONS("an invalid change is done as far as it can be read")
def _(patch: Patch) -> None:
    original = rulings._refuse
    patch(
        rulings, "_refuse", lambda found, command, rules: original(found, replace(command, errors=()), rules)
    )
