"""The one form of PartiQL that the IMS uses: `UPDATE "t" SET "a" = ? WHERE "key" = ? AND "x" = ? …`.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.update.html
An update never creates an item: it fails if the item is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tests.support.engines.conditions import ORDERED
from tests.support.engines.errors import Refusal, invalid
from tests.support.engines.expressions import Operand, Values
from tests.support.engines.updates import UpdateParser, present
from tests.support.engines.values import Item, Value, equal, order, stored


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of the WHERE clause: attribute, sign, parameter (none for MISSING)."""

    name: str
    sign: str
    value: Operand | None

    def holds(self, item: Item, values: Values) -> bool:
        """Whether the comparison is true; with a missing attribute it is false, even `<>`."""
        if self.value is None:
            return (self.name in item) is (self.sign == "IS NOT MISSING")
        left, right = item.get(self.name), self.value(item, values)
        if self.sign == "=":
            return equal(left, right)
        if self.sign == "<>":
            return left is not None and not equal(left, right)
        relation = order(left, right)
        return relation is not None and ORDERED[self.sign](relation, 0)


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed UPDATE; `parameters` is its number of question marks, `targets` the changed attributes."""

    table: str
    assignments: Sequence[tuple[str, Operand]]
    removals: Sequence[str]
    terms: Sequence[Term]
    parameters: int
    targets: frozenset[str]

    def bind(self, parameters: Sequence[Mapping[str, Any]]) -> dict[str, Value]:
        """The parameters by placeholder; raises a ValidationException if their number is wrong."""
        if len(parameters) != self.parameters:
            raise invalid("Number of parameters in request and statement don't match.")
        return {f"?{index}": stored(value) for index, value in enumerate(parameters)}

    def key(self, attribute: str, values: Values) -> Value:
        """The key that the WHERE clause names."""
        for term in self.terms:
            if term.name == attribute and term.sign == "=" and term.value is not None:
                value = term.value({}, values)
                if value is not None:
                    return value
        raise invalid("Where clause does not contain a mandatory equality on all key attributes")

    def holds(self, item: Item, values: Values) -> bool:
        """Whether the item exists and the whole WHERE clause is true."""
        return bool(item) and all(term.holds(item, values) for term in self.terms)

    def run(self, item: Item, values: Values) -> Item:
        """The changed item."""
        changed = item | {name: present(value(item, values)) for name, value in self.assignments}
        for name in self.removals:
            changed.pop(name, None)
        return changed


class StatementParser(UpdateParser):
    """Parses PartiQL's syntax: quoted names, and question marks in order."""

    __slots__ = ()

    def invalid(self, message: str) -> Refusal:
        return invalid(f"Statement wasn't well formed, can't be processed: {message}")

    def path(self) -> str:
        word = self.peek()
        if not word.startswith('"'):
            return UpdateParser.path(self)
        self.at += 1
        return word.strip('"')

    def placeholder(self) -> str | None:
        if not self.take("?"):
            return None
        reference = f"?{len(self.values)}"
        self.values.add(reference)
        return reference

    def statement(self) -> Statement:
        if self.peek().upper() in {"SELECT", "INSERT", "DELETE", "EXISTS"}:
            raise NotImplementedError(self.text)
        self.expect("UPDATE")
        table = self.path()
        assignments: list[tuple[str, Operand]] = []
        removals: list[str] = []
        while section := self.take("SET", "REMOVE"):
            more: str | None = ","
            while more:
                name = self.target()
                if section == "REMOVE":
                    removals.append(name)
                else:
                    assignments.append((name, self.value()))
                more = self.take(",")
        if not self.targets:
            self.fail()
        self.expect("WHERE")
        terms = [self.term_of_where()]
        while self.take("AND"):
            terms.append(self.term_of_where())
        self.end()
        return Statement(table, assignments, removals, terms, len(self.values), frozenset(self.targets))

    def term_of_where(self) -> Term:
        name = self.path()
        if self.take("IS"):
            sign = "IS NOT MISSING" if self.take("NOT") else "IS MISSING"
            self.expect("MISSING")
            return Term(name, sign, None)
        compared = self.take("=", "<>", "<", "<=", ">", ">=")
        if compared is None:
            self.fail()
        value, _ = self.operand()
        return Term(name, compared, value)


@lru_cache(256)
def parse(text: str) -> Statement:
    """Read one statement; raises a ValidationException, or NotImplementedError for another form."""
    return StatementParser("Statement", text).statement()
