"""The characters of Unicode, and which of them each kind of text for people may have."""

import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from random import Random
from typing import Final


def characters() -> Iterator[str]:
    """Every character of Unicode, and the surrogates."""
    return map(chr, range(sys.maxunicode + 1))


@cache
def by_category() -> Mapping[str, list[str]]:
    """Every character by its general category; the 66 noncharacters are in one of their own."""
    found: dict[str, list[str]] = {}
    for character in characters():
        category = "nonchar" if is_noncharacter(character) else unicodedata.category(character)
        found.setdefault(category, []).append(character)
    return found


def some(category: str, most: int, usable: Callable[[str], bool] = lambda _: True) -> list[str]:
    """Up to so many characters of a category that are `usable`, always the same ones."""
    known = list(filter(usable, by_category()[category]))
    return Random(category).sample(known, min(len(known), most))


def is_noncharacter(character: str) -> bool:
    """Whether no version of Unicode will assign it.

    Source: https://www.unicode.org/faq/private_use.html#nonchar4
    """
    return 0xFDD0 <= ord(character) <= 0xFDEF or ord(character) & 0xFFFE == 0xFFFE


def _in_a_line(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in {"Cc", "Cs", "Zl", "Zp"} and not is_noncharacter(character)


def _in_a_description(character: str) -> bool:
    category = unicodedata.category(character)
    return character in "\n\r\t" or (category not in {"Cc", "Cs"} and not is_noncharacter(character))


def _in_an_address(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"


ALLOWED: Final[Mapping[str, Callable[[str], bool]]] = {
    "name": _in_a_line,
    "reference": _in_a_line,
    "description": _in_a_description,
    "image_url": _in_an_address,
}
"""Whether a field may have a character inside a visible text."""
