"""Ids as they come in real life, for property tests."""

import unicodedata
from typing import Final, Literal

from hypothesis import strategies as st

CATEGORIES: Final[tuple[Literal["L", "M", "N", "P", "S"], ...]] = ("L", "M", "N", "P", "S")
"""Letters, marks, numbers, punctuation, symbols."""


def ids(most: int) -> st.SearchStrategy[str]:
    """Texts of 1 to `most` characters that the rule for ids allows: any script, single inner spaces, NFC."""
    words = st.text(st.characters(categories=CATEGORIES), min_size=1, max_size=12)
    return (
        st.lists(words, min_size=1, max_size=6)
        .map(" ".join)
        .map(lambda text: unicodedata.normalize("NFC", text)[:most].rstrip(" "))
        .filter(bool)
    )
