"""One rule for each kind of text that people read: one line, several lines, an address on the web."""

import unicodedata
from collections import Counter
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from chalicelib.contracts.fields import Description, ImageUrl, Name, Reference
from tests.support.texts import ALLOWED, by_category, characters

KINDS: dict[str, Any] = {
    "name": Name,
    "reference": Reference,
    "description": Description,
    "image_url": ImageUrl,
}
DEFAULT_IGNORABLE = (
    "00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 "
    "FFF0-FFF8 1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
"""Unicode's list of characters that nobody sees.

Source: https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt, Default_Ignorable_Code_Point
"""
BRAILLE_BLANK = "\u2800"


def accepted(kind: Any, text: str) -> bool:
    try:
        return bool(TypeAdapter(kind).validate_python(text) == text)
    except ValidationError:
        return False


def unseen() -> set[str]:
    """All characters that are blank on their own."""
    found = {*by_category()["Zs"], *by_category()["Cf"]}
    for ends in DEFAULT_IGNORABLE.split():
        first, _, last = ends.partition("-")
        found.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    return found | {BRAILLE_BLANK}


@pytest.mark.parametrize("field", list(KINDS))
def test_each_character_is_accepted_by_its_category(field: str) -> None:
    """Every character of Unicode, inside a visible text."""
    adapter: TypeAdapter[str] = TypeAdapter(KINDS[field])
    wrong: Counter[str] = Counter()
    for character in characters():
        text = f"https://example.com/{character}b"
        try:
            taken = adapter.validate_python(text) == text
        except ValidationError:
            taken = False
        wrong[unicodedata.category(character)] += taken is not ALLOWED[field](character)
    assert not +wrong


def test_a_name_needs_a_character_that_is_seen() -> None:
    """Every character of Unicode that a line may have, twice."""
    adapter: TypeAdapter[str] = TypeAdapter(Name)
    blank = unseen()
    wrong: Counter[str] = Counter()
    for character in filter(ALLOWED["name"], characters()):
        try:
            taken = bool(adapter.validate_python(character * 2))
        except ValidationError:
            taken = False
        wrong[unicodedata.category(character)] += taken is (character in blank)
    assert not +wrong


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "\t",
        "\u2003\u3000",
        "\u00a0 ",
        "\u200b",
        "\u202e",
        "\u2060\u2063",
        "\u2800\u2800",
        "\u3164 \u115f\u1160\uffa0",
        "\ufe0f\u034f",
        "\U000e0041\U000e007f",
    ],
)
@pytest.mark.parametrize("kind", [Name, Reference])
def test_a_text_of_one_line_is_not_blank(kind: Any, text: str) -> None:
    assert not accepted(kind, text)


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, joined
        "\u2764\ufe0f",  # a heart in colour
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\u0915\u094d\u200d\u0937",  # Hindi, with a joiner
        "Donau\u00addampf\u00adschiff",
        "\u2067\u05e9\u05dc\u05d5\u05dd\u2069 2000",  # Hebrew, isolated
        "e\u0301",  # not NFC, which only ids need
        "\u0301",
        "\ue000",
        "\U0003fff0",  # unassigned
        " a ",
        ".",
    ],
)
@pytest.mark.parametrize("kind", [Name, Reference, Description])
def test_a_visible_text_is_kept_as_it_came(kind: Any, text: str) -> None:
    assert accepted(kind, text)


def test_a_description_may_be_blank() -> None:
    assert accepted(Description, "")
    assert accepted(Description, "\u200b\n\u2028")


@pytest.mark.parametrize("kind", [Name, Reference, Description, ImageUrl])
def test_a_lone_surrogate_is_refused(kind: Any) -> None:
    assert not accepted(kind, "https://example.com/\ud800")
