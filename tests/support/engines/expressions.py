"""DynamoDB's expressions: the parser that conditions and updates share, and placeholders.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
Nested paths, `size`, `contains` and `list_append` are not supported: the IMS uses none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Never

from tests.support.engines.errors import invalid
from tests.support.engines.values import Item, Value, order, stored

RESERVED: Final = frozenset(Path(__file__).with_name("reserved_words.txt").read_text().split())
_WORD: Final = re.compile(r"""\s*([#:]?[A-Za-z0-9_]+|<=|>=|<>|[=<>(),+-])""")
Values = Mapping[str, Value]
Operand = Callable[[Item, Values], Value | None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A parsed expression: `run(item, values)`, and its placeholders.

    `typed` lists (operator, placeholder, permitted types); `bounds` lists the placeholders of each BETWEEN.
    """

    kind: str
    run: Callable[[Item, Values], Any]
    names: frozenset[str]
    values: frozenset[str]
    targets: frozenset[str]
    typed: tuple[tuple[str, str, str], ...]
    bounds: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Parser:
    """A cursor over the words of one expression; subclasses define the grammar."""

    kind: str
    text: str
    known_names: Mapping[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    typed: list[tuple[str, str, str]] = field(default_factory=list)
    bounds: list[tuple[str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise self.invalid("The expression can not be empty;")
        if len(self.text.encode()) > 4096:
            raise self.invalid("Expression size has exceeded the maximum allowed size;")
        end, text = 0, self.text.rstrip()
        while end < len(text):
            match = _WORD.match(text, end)
            if match is None:
                if text[end] in ".[":
                    raise NotImplementedError(f"nested paths: {text}")
                raise self.invalid(
                    f'Syntax error; token: "{text[end:].strip()[0]}", near: "{text[end:][:20]}"'
                )
            self.words.append(match[1])
            end = match.end()

    def invalid(self, message: str) -> Exception:
        return invalid(f"Invalid {self.kind}: {message}")

    def fail(self) -> Never:
        near = " ".join(self.words[max(self.at - 1, 0) : self.at + 2])
        token = self.words[self.at] if self.at < len(self.words) else "<EOF>"
        raise self.invalid(f'Syntax error; token: "{token}", near: "{near}"')

    def peek(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self, *wanted: str) -> str | None:
        """Consume and return the next word, in upper case, if it is one of `wanted`."""
        word = self.peek().upper()
        if word not in wanted:
            return None
        self.at += 1
        return word

    def expect(self, word: str) -> None:
        if not self.take(word):
            self.fail()

    def end(self) -> None:
        if self.at < len(self.words):
            self.fail()

    def path(self) -> str:
        """An attribute's name, given by a `#placeholder` or directly; refuses a reserved word."""
        word = self.peek()
        if word.startswith("#"):
            self.at += 1
            self.names.add(word)
            if word not in self.known_names:
                raise self.invalid(
                    "An expression attribute name used in the document path is not defined; "
                    f"attribute name: {word}"
                )
            return self.known_names[word]
        if not re.match(r"[A-Za-z_]", word):
            self.fail()
        if word.upper() in RESERVED:
            raise self.invalid(f"Attribute name is a reserved keyword; reserved keyword: {word}")
        self.at += 1
        return word

    def placeholder(self) -> str | None:
        """Consume and return the next word if it is a `:value`."""
        word = self.peek()
        if not word.startswith(":"):
            return None
        self.at += 1
        self.values.add(word)
        return word

    def operand(self) -> tuple[Operand, str]:
        """A value and its placeholder, or an attribute and an empty string."""
        reference = self.placeholder()
        if reference:
            return (lambda _item, values: values[reference]), reference
        name = self.path()
        return (lambda item, _values: item.get(name)), ""

    def compiled(self, run: Callable[[Item, Values], Any]) -> Compiled:
        self.end()
        return Compiled(
            self.kind,
            run,
            frozenset(self.names),
            frozenset(self.values),
            frozenset(self.targets),
            tuple(self.typed),
            tuple(self.bounds),
        )


def bound(
    expressions: Iterable[Compiled], names: Mapping[str, str] | None, values: Mapping[str, Any] | None
) -> dict[str, Value]:
    """The values of one request in stored form; raises a ValidationException if they do not fit."""
    expressions = list(expressions)
    for given, what in ((names, "ExpressionAttributeNames"), (values, "ExpressionAttributeValues")):
        if given is not None and not expressions:
            raise invalid(f"{what} can only be specified when using expressions")
        if given is not None and not given:
            raise invalid(f"{what} must not be empty")
    kept = {name: stored(value) for name, value in (values or {}).items()}
    for expression in expressions:
        _check_values(expression, kept)
    if names is not None:
        _check_unused("ExpressionAttributeNames", names, (e.names for e in expressions))
    if kept:
        _check_unused("ExpressionAttributeValues", kept, (e.values for e in expressions))
    return kept


def _check_values(expression: Compiled, values: Values) -> None:
    for reference in expression.values:
        if reference not in values:
            raise invalid(
                f"Invalid {expression.kind}: An expression attribute value used in expression "
                f"is not defined; attribute value: {reference}"
            )
    for operator, reference, types in expression.typed:
        ((kind, _),) = values[reference].items()
        if kind not in types.split():
            raise invalid(
                f"Invalid {expression.kind}: Incorrect operand type for operator or function; "
                f"operator or function: {operator}, operand type: {kind}"
            )
    for low, high in expression.bounds:
        if order(values[low], values[high]) == 1:
            raise invalid(
                f"Invalid {expression.kind}: The BETWEEN operator requires upper bound to be greater "
                f"than or equal to lower bound; lower bound operand: AttributeValue: {values[low]}, "
                f"upper bound operand: AttributeValue: {values[high]}"
            )


def _check_unused(what: str, given: Collection[str], used: Iterable[frozenset[str]]) -> None:
    unused = set(given).difference(*used)
    if unused:
        raise invalid(
            f"Value provided in {what} unused in expressions: keys: {{{', '.join(sorted(unused))}}}"
        )
