"""Ids as they come in real life, for property tests."""

import unicodedata
from typing import Final, Literal

from hypothesis import strategies as st

from tests.support.texts import by_category, some

CATEGORIES: Final[tuple[Literal["L", "M", "N", "P", "S"], ...]] = ("L", "M", "N", "P", "S")
"""Letters, marks, numbers, punctuation, symbols."""
ID_CATEGORIES: Final = sorted(category for category in by_category() if category[0] in CATEGORIES)
"""The same, in Unicode's own 22 categories."""


def ids(most: int) -> st.SearchStrategy[str]:
    """Texts of 1 to `most` characters that the rule for ids allows: any script, single inner spaces, NFC."""
    words = st.text(st.characters(categories=CATEGORIES), min_size=1, max_size=12)
    return (
        st.lists(words, min_size=1, max_size=6)
        .map(" ".join)
        .map(lambda text: unicodedata.normalize("NFC", text)[:most].rstrip(" "))
        .filter(bool)
    )


def ids_of(category: str, most: int) -> list[str]:
    """Up to so many ids, each with one character of this category, always the same ones."""
    found = some(category, most, lambda character: unicodedata.is_normalized("NFC", f"a{character}b"))
    return [character * 3 if number % 2 else f"a{character}b" for number, character in enumerate(found)]
