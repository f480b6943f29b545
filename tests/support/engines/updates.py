"""Update expressions: SET, REMOVE, ADD of numbers, and DELETE from sets.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final

from tests.support.engines.errors import invalid
from tests.support.engines.expressions import Compiled, Operand, Parser, Values
from tests.support.engines.values import Item, Value, canonical_number, number

_EXACT: Final = Context(prec=400)


class UpdateParser(Parser):
    """Parses updates; all assignments read the item as it was before the update."""

    __slots__ = ()

    def update(self) -> Compiled:
        assignments: list[tuple[str, Operand]] = []
        removals: list[str] = []
        cuts: list[tuple[str, str]] = []
        seen: set[str] = set()
        while section := self.take("SET", "REMOVE", "ADD", "DELETE"):
            if section in seen:
                raise self.invalid(f'The "{section}" section can only be used once in an update expression;')
            seen.add(section)
            more: str | None = ","
            while more:
                name = self.target()
                if section == "REMOVE":
                    removals.append(name)
                elif section == "DELETE":
                    cuts.append((name, self.members()))
                else:
                    assignments.append((name, self.value() if section == "SET" else self.addition(name)))
                more = self.take(",")
        if not seen:
            self.fail()

        def run(item: Item, values: Values) -> Item:
            changed = item | {name: _present(value(item, values)) for name, value in assignments}
            for name in removals:
                changed.pop(name, None)
            for name, reference in cuts:
                _cut(changed, name, values[reference])
            return changed

        return self.compiled(run)

    def target(self) -> str:
        name = self.path()
        if name in self.targets:
            raise self.invalid(
                "Two document paths overlap with each other; must remove or rewrite one of these paths; "
                f"path one: [{name}], path two: [{name}]"
            )
        self.targets.add(name)
        return name

    def value(self) -> Operand:
        self.expect("=")
        left, left_reference = self.term()
        sign = self.take("+", "-")
        if sign is None:
            return left
        right, right_reference = self.term()
        self.typed += [(sign, ref, "N") for ref in (left_reference, right_reference) if ref]
        factor = 1 if sign == "+" else -1
        return lambda item, values: _sum(left(item, values), right(item, values), factor)

    def addition(self, name: str) -> Operand:
        reference = self.placeholder()
        if reference is None:
            self.fail()
        self.typed.append(("ADD", reference, "N"))
        return lambda item, values: _sum(item.get(name, {"N": "0"}), values[reference], 1)

    def members(self) -> str:
        reference = self.placeholder()
        if reference is None:
            self.fail()
        self.typed.append(("DELETE", reference, "SS NS BS"))
        return reference

    def term(self) -> tuple[Operand, str]:
        if self.words[self.at + 1 : self.at + 2] != ["("]:
            return self.operand()
        name = self.peek()
        if name == "list_append":
            raise NotImplementedError("list_append")
        if name != "if_not_exists":
            raise self.invalid(f"Invalid function name; function: {name}")
        self.at += 2
        path = self.path()
        self.expect(",")
        default, _ = self.term()
        self.expect(")")
        return (lambda item, values: item.get(path) or default(item, values)), ""


def _present(value: Value | None) -> Value:
    """The value; raises the ValidationException of an update that reads a missing attribute."""
    if value is None:
        raise invalid("The provided expression refers to an attribute that does not exist in the item")
    return value


def _cut(item: Item, name: str, members: Value) -> None:
    """Remove `members` from a set; the attribute goes with the last one."""
    if name not in item:
        return
    ((kind, gone),) = members.items()
    if kind not in item[name]:
        raise invalid("An operand in the update expression has an incorrect data type")
    left = [member for member in item[name][kind] if member not in gone]
    if left:
        item[name] = {kind: left}
    else:
        del item[name]


def _sum(left: Value | None, right: Value | None, factor: int) -> Value:
    left, right = _present(left), _present(right)
    if "N" not in left or "N" not in right:
        raise invalid("An operand in the update expression has an incorrect data type")
    ours, theirs = number(left["N"]), number(right["N"])
    if isinstance(ours, int) and isinstance(theirs, int):
        return {"N": canonical_number(str(ours + factor * theirs))}
    return {"N": canonical_number(str(_EXACT.add(Decimal(ours), factor * Decimal(theirs))))}


@lru_cache(4096)
def _update(text: str, names: tuple[tuple[str, str], ...]) -> Compiled:
    return UpdateParser("UpdateExpression", text, dict(names)).update()


def update(text: str, names: Mapping[str, str] | None) -> Compiled:
    """An update whose `run(item, values)` returns the changed item; `targets` are the changed attributes."""
    return _update(text, tuple((names or {}).items()))
