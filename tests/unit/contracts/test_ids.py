"""One rule for all ids: SKUs, orders, customers."""

import sys
import unicodedata
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chalicelib.contracts.fields import CustomerId, OperationId, OrderId, Sku, is_sku
from tests.support.ids import CATEGORIES, ids

KINDS: list[tuple[Any, int]] = [(Sku, 64), (OrderId, 128), (OperationId, 128), (CustomerId, 256)]


def accepted(kind: Any, text: str) -> bool:
    try:
        return bool(TypeAdapter(kind).validate_python(text) == text)
    except ValidationError:
        return False


def test_each_character_is_accepted_by_its_category() -> None:
    """Every character of Unicode, between two letters."""
    wrong: Counter[str] = Counter()
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category = unicodedata.category(character)
        text = unicodedata.normalize("NFC", f"a{character}b")
        allowed = category[0] in CATEGORIES or character == " "
        if allowed and text != f"a{character}b":
            allowed = False  # its own spelling is not NFC
        wrong[category] += is_sku(f"a{character}b") is not allowed
    assert not +wrong


@pytest.mark.parametrize(("kind", "most"), KINDS)
@given(st.data())
def test_texts_of_any_script_are_accepted_and_kept_as_they_came(
    kind: Any, most: int, data: st.DataObject
) -> None:
    assert accepted(kind, data.draw(ids(most).filter(lambda text: text not in {".", ".."})))


@pytest.mark.parametrize(("kind", "most"), KINDS)
def test_lengths_are_counted_in_characters(kind: Any, most: int) -> None:
    for character in ("x", "ß", "漢", "😀"):
        assert accepted(kind, character * most)
        assert not accepted(kind, character * (most + 1))
    assert not accepted(kind, "")


@pytest.mark.parametrize(("kind", "most"), KINDS)
@given(st.data())
def test_white_space_is_accepted_only_as_single_inner_spaces(
    kind: Any, most: int, data: st.DataObject
) -> None:
    text = data.draw(ids(20))
    for spoilt in (f" {text}", f"{text} ", f"{text}  x", f"{text}\tx", f"{text}\u00a0x", f"{text}\n"):
        assert not accepted(kind, spoilt)


@pytest.mark.parametrize(("kind", "most"), KINDS)
@given(st.text(max_size=12))
def test_only_the_normal_form_nfc_is_accepted(kind: Any, most: int, text: str) -> None:
    if not unicodedata.is_normalized("NFC", text):
        assert not accepted(kind, text)


@pytest.mark.parametrize(("kind", "most"), KINDS)
@pytest.mark.parametrize(
    "text", ["a\x00", "a\x7f", "a\u200d", "\ufeffa", "\ue000", "\uffff", "\ud800", "\u2028"]
)
def test_control_format_and_private_use_characters_are_refused(kind: Any, most: int, text: str) -> None:
    assert not accepted(kind, text)
