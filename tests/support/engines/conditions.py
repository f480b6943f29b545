"""Condition, filter and projection expressions.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tests.support.engines.expressions import Compiled, Operand, Parser, Values
from tests.support.engines.values import Item, equal, order

Test = Callable[[Item, Values], bool]
_ORDERED: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SCALARS: Final = "N S B"
_KEY_SIGNS: Final = frozenset({"=", "<", "<=", ">", ">=", "BETWEEN"})


class ConditionParser(Parser):
    """Parses conditions. `OR` binds loosest, then `AND`, `NOT` and comparisons."""

    __slots__ = ("group",)
    group: tuple[int, int]  # start and end of the last part in parentheses

    def condition(self) -> Test:
        parts = [self.conjunction()]
        while self.take("OR"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else _any(parts)

    def conjunction(self) -> Test:
        parts = [self.negation()]
        while self.take("AND"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else _all(parts)

    def negation(self) -> Test:
        if self.take("NOT"):
            inner = self.negation()
            return lambda item, values: not inner(item, values)
        return self.primary()

    def primary(self) -> Test:
        begin = self.at
        if self.take("("):
            test = self.condition()
            if getattr(self, "group", None) == (begin + 1, self.at):
                raise self.invalid("The expression has redundant parentheses;")
            self.expect(")")
            self.group = (begin, self.at)
            return test
        if self.words[self.at + 1 : self.at + 2] == ["("]:
            return self.function()
        return self.comparison()

    def function(self) -> Test:
        name = self.peek()
        self.at += 2
        if name in {"attribute_exists", "attribute_not_exists"}:
            wanted, path = name == "attribute_exists", self.path()
            self.expect(")")
            return lambda item, _values: (path in item) is wanted
        if name == "begins_with":
            value, _ = self.operand()
            self.expect(",")
            prefix, reference = self.operand()
            self.expect(")")
            if reference:
                self.typed.append((name, reference, "S B"))
            return _begins_with(value, prefix)
        if name in {"size", "contains", "attribute_type"}:
            raise NotImplementedError(f"{name} in {self.text}")
        raise self.invalid(f"Invalid function name; function: {name}")

    def comparison(self) -> Test:
        left, left_reference = self.operand()
        sign = self.take("=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN")
        if sign is None:
            self.fail()
        if sign == "IN":
            return self.membership(left)
        right, right_reference = self.operand()
        if sign == "=":
            return lambda item, values: equal(left(item, values), right(item, values))
        if sign == "<>":
            return lambda item, values: not equal(left(item, values), right(item, values))
        references = [left_reference, right_reference]
        if sign == "BETWEEN":
            self.expect("AND")
            high, high_reference = self.operand()
            references.append(high_reference)
            if right_reference and high_reference:
                self.bounds.append((right_reference, high_reference))
            test = _all([_ordered(">=", left, right), _ordered("<=", left, high)])
        else:
            test = _ordered(sign, left, right)
        self.typed += [(sign, reference, _SCALARS) for reference in references if reference]
        return test

    def membership(self, left: Operand) -> Test:
        self.expect("(")
        members = [self.operand()[0]]
        while self.take(","):
            members.append(self.operand()[0])
        self.expect(")")
        return lambda item, values: any(equal(left(item, values), member(item, values)) for member in members)


@dataclass(frozen=True, slots=True)
class KeyPart:
    """The condition on one key: the attribute, the operator and the placeholders of its values."""

    name: str
    sign: str
    references: tuple[str, ...]


class KeyParser(ConditionParser):
    """Parses key conditions: comparisons of attributes with values, joined by `AND`."""

    __slots__ = ("parts",)
    parts: list[KeyPart]

    def keys(self) -> Test:
        self.parts = []
        tests = [self.key()]
        while self.take("AND"):
            tests.append(self.key())
        return _all(tests)

    def key(self) -> Test:
        begin = self.at
        if "(" in self.words[begin : begin + 2]:
            raise NotImplementedError(f"parentheses or functions of keys: {self.text}")
        name, sign = self.path(), self.peek().upper()
        if sign not in _KEY_SIGNS:
            raise self.invalid(f"Invalid operator used in KeyConditionExpression: {sign}")
        self.at = begin
        test = self.comparison()
        references = tuple(word for word in self.words[begin : self.at] if word.startswith(":"))
        if len(references) != (2 if sign == "BETWEEN" else 1):
            raise self.invalid(f"Invalid condition in KeyConditionExpression: {name} needs a value")
        self.parts.append(KeyPart(name, sign, references))
        return test


def _all(parts: list[Test]) -> Test:
    return lambda item, values: all(part(item, values) for part in parts)


def _any(parts: list[Test]) -> Test:
    return lambda item, values: any(part(item, values) for part in parts)


def _ordered(sign: str, left: Operand, right: Operand) -> Test:
    compare = _ORDERED[sign]

    def test(item: Item, values: Values) -> bool:
        relation = order(left(item, values), right(item, values))
        return relation is not None and compare(relation, 0)

    return test


def _begins_with(value: Operand, prefix: Operand) -> Test:
    def test(item: Item, values: Values) -> bool:
        ours, theirs = value(item, values), prefix(item, values)
        if ours is None or theirs is None or ours.keys() != theirs.keys():
            return False
        ((kind, content),) = ours.items()
        return kind in {"S", "B"} and bool(content.startswith(theirs[kind]))

    return test


@lru_cache(4096)
def _condition(kind: str, text: str, names: tuple[tuple[str, str], ...]) -> Compiled:
    parser = ConditionParser(kind, text, dict(names))
    return parser.compiled(parser.condition())


def condition(text: str, names: Mapping[str, str] | None, kind: str = "ConditionExpression") -> Compiled:
    """A condition whose `run(item, values)` returns whether it is true; pass `{}` for a missing item."""
    return _condition(kind, text, tuple((names or {}).items()))


@lru_cache(256)
def _key_condition(text: str, names: tuple[tuple[str, str], ...]) -> tuple[Compiled, tuple[KeyPart, ...]]:
    parser = KeyParser("KeyConditionExpression", text, dict(names))
    compiled = parser.compiled(parser.keys())
    return compiled, tuple(parser.parts)


def key_condition(text: str, names: Mapping[str, str] | None) -> tuple[Compiled, tuple[KeyPart, ...]]:
    """A condition of a query, and its parts."""
    return _key_condition(text, tuple((names or {}).items()))


@lru_cache(256)
def _projection(text: str, names: tuple[tuple[str, str], ...]) -> Compiled:
    parser = Parser("ProjectionExpression", text, dict(names))
    wanted = [parser.path()]
    while parser.take(","):
        wanted.append(parser.path())
    return parser.compiled(lambda item, _values: {name: item[name] for name in wanted if name in item})


def projection(text: str, names: Mapping[str, str] | None) -> Compiled:
    """A projection whose `run(item, {})` returns only the named attributes."""
    return _projection(text, tuple((names or {}).items()))
