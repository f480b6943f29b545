"""The fields of requests, messages and events, one type each, with its rules."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from typing import Annotated, Final, Literal, Protocol, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import Url

from chalicelib.domain.commands import MAX_SKUS, is_ours
from chalicelib.domain.stock import CHANGE_PREFIX, MAX_QUANTITY, MAX_STOCK

SKU_LENGTH: Final = 64
ORDER_ID_LENGTH: Final = 128
CUSTOMER_ID_LENGTH: Final = 256
_ROUTES: Final = frozenset({"check", "adjustments"})
_ASCII_ID: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
"""Source: https://www.unicode.org/faq/private_use.html#nonchar4"""
_NOT_IN_TEXT: Final = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{_NONCHARACTERS}]")
_NOT_IN_LINE: Final = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_NONCHARACTERS}]")
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
"""What nobody sees, though its category does not say so: Default_Ignorable_Code_Point, and the Braille blank.

`unicodedata` lacks that property.
Source: https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
"""
_PRICE_DIGITS: Final = 12
_CENT: Final = Decimal("0.01")


def _id(text: str) -> str:
    """Refuse invisible characters and second spellings of one text: one rule for all ids.

    Letters and digits of any script, marks, punctuation, symbols and single inner spaces are allowed. Only
    NFC is taken, so that two spellings of one text cannot be two ids.
    Sources: https://www.unicode.org/reports/tr44/#General_Category_Values,
    https://www.unicode.org/reports/tr15/ (NFC)
    """
    if _ASCII_ID.fullmatch(text):
        return text
    for character in text:
        category = unicodedata.category(character)
        if category.startswith("C"):
            raise ValueError("must not contain control, format, private-use or unassigned characters")
        if category.startswith("Z") and character != " ":
            raise ValueError("must not contain white space other than single spaces")
    if text.startswith(" ") or text.endswith(" ") or "  " in text:
        raise ValueError("must not begin or end with a space, or contain two spaces in a row")
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("must be in Unicode normal form NFC")
    return text


def _in_path(text: str) -> str:
    # https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4
    if text in (".", ".."):
        raise ValueError("must not be '.' or '..', which a URL cannot contain")
    return text


def _not_a_route(sku: str) -> str:
    if sku in _ROUTES:
        raise ValueError(f"'{sku}' is reserved")
    return sku


def _not_a_change(order_id: str) -> str:
    if order_id.startswith(CHANGE_PREFIX):
        raise ValueError(f"must not begin with '{CHANGE_PREFIX}', which is reserved")
    return order_id


def _not_ours(operation_id: str) -> str:
    if is_ours(operation_id):
        raise ValueError(f"'{operation_id}' is reserved")
    return operation_id


def _visible(character: str) -> bool:
    category = unicodedata.category(character)
    return category != "Cf" and category[0] != "Z" and not _BLANK.match(character)


def _line(text: str) -> str:
    """Refuse what is not one visible line: the rule for short texts that people read.

    Inside a visible text, format characters are part of the spelling: emoji, Persian and Indic scripts need
    joiners, and text of two directions needs marks of direction. Unassigned characters may be the letters of
    a newer Unicode. pydantic itself refuses surrogates.
    """
    if _NOT_IN_LINE.search(text):
        raise ValueError("must not contain control characters, line breaks or noncharacters")
    if not any(map(_visible, text)):
        raise ValueError("must not be blank")
    return text


def _description(text: str) -> str:
    """The same without the rule on blanks, and with line breaks and tabs: the rule for long texts."""
    if _NOT_IN_TEXT.search(text):
        raise ValueError("must not contain noncharacters, or control characters but line breaks and tabs")
    return text


def _price(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic lets a TypeError through
    if value < 0:
        raise ValueError("must not be negative")
    # Room for the cents that a whole number of 12 digits is padded with.
    exact = Context(prec=_PRICE_DIGITS + 2, traps=[Inexact, InvalidOperation])
    try:
        plain = f"{Decimal(value).copy_abs().quantize(_CENT, context=exact).normalize():f}"
    except DecimalException:
        plain = ""
    if not plain or len(plain.replace(".", "").lstrip("0")) > _PRICE_DIGITS:
        raise ValueError(f"must have at most 2 decimals and {_PRICE_DIGITS} digits")
    return Decimal(plain)


def price_number(price: Decimal) -> int | float:
    """`price` as a JSON number: exact, since a float keeps 15 digits, and a price has at most 12."""
    return int(price) if price == price.to_integral_value() else float(price)


def _web_address(text: str) -> str:
    """Refuse what is no address, and invisible characters: letters of any script may be pasted as they are.

    Source: https://www.rfc-editor.org/rfc/rfc3987
    """
    # `Url` repairs invalid input (spaces, a slash too few or too many). We refuse such input.
    if not re.match(r"https?://[^/]", text, re.IGNORECASE):
        raise ValueError("must be an http or https URL")
    if any(unicodedata.category(character)[0] in "CZ" for character in text):
        raise ValueError("must not contain white space, or control, format or unassigned characters")
    try:
        Url(text)
    except ValidationError:
        raise ValueError("must be an http or https URL") from None
    return text


def _not_zero(delta: int) -> int:
    if delta == 0:
        raise ValueError("must not be 0")
    return delta


class OrderLine(Protocol):
    """Units of a SKU, in whatever form they came."""

    @property
    def sku(self) -> str: ...
    @property
    def quantity(self) -> int: ...


_L = TypeVar("_L", bound=OrderLine)


def few_skus(lines: list[_L]) -> list[_L]:
    """Refuse lines of more SKUs than an order may have."""
    if len({line.sku for line in lines}) > MAX_SKUS:
        raise ValueError(f"must name at most {MAX_SKUS} SKUs")
    return lines


def named_with_items(operation_id: str | None, others: ValidationInfo) -> str | None:
    """Refuse a part of an order without an operation id: `items` of the same model tell that it is a part."""
    if operation_id is None and others.data.get("items") is not None:
        raise ValueError("is required with items")
    return operation_id


def total(lines: Iterable[OrderLine]) -> dict[str, int]:
    """The units of each SKU in `lines`, those of one SKU added up."""
    units: dict[str, int] = {}
    for line in lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    return units


def not_null(value: object) -> object:
    """Refuse null, for optional fields in which it would be a mistake."""
    if value is None:
        raise ValueError("must not be null")
    return value


def _whole_number(text: object) -> int:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 date and time")  # noqa: TRY004 - pydantic wants ValueError
    try:
        # Python takes any character between date and time, and a NUL before the offset.
        time = datetime.fromisoformat(value if value.isascii() and value.isprintable() else "")
    except ValueError:
        raise ValueError("must be an ISO 8601 date and time") from None
    if time.tzinfo is None:
        raise ValueError("must have an offset from UTC")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None


_Id = AfterValidator(_id)
Sku = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=SKU_LENGTH),
    _Id,
    AfterValidator(_in_path),
    AfterValidator(_not_a_route),
]
_SKU: Final[TypeAdapter[str]] = TypeAdapter(Sku, config=ConfigDict(defer_build=True))


def is_sku(text: str) -> bool:
    """Whether `text` may be a SKU."""
    try:
        return bool(_SKU.validate_python(text))
    except ValidationError:
        return False


OrderId = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=ORDER_ID_LENGTH),
    _Id,
    AfterValidator(_not_a_change),
]
OperationId = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=ORDER_ID_LENGTH),
    _Id,
    AfterValidator(_not_ours),
]
OptionalOperationId = Annotated[OperationId | None, AfterValidator(named_with_items)]
"""Of what is about a whole order, or about some `items`. The field needs `validate_default=True`."""
CustomerId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=CUSTOMER_ID_LENGTH), _Id]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]
StockLevel = Annotated[int, Field(strict=True, ge=0, le=MAX_STOCK)]
StockVersion = Annotated[int, Field(strict=True, ge=0)]
Delta = Annotated[int, Field(strict=True, ge=-MAX_QUANTITY, le=MAX_QUANTITY), AfterValidator(_not_zero)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_line)]
Description = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_description)]
ImageUrl = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_web_address)]
Price = Annotated[Decimal, PlainValidator(_price)]
PriceNumber = int | float
"""What `price_number` makes of a price."""
AdjustmentReason = Literal["RECEIVED", "RETURNED", "DAMAGED", "LOST", "CORRECTION"]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_line)]
IdempotencyKeyText = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
PageLimit = Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=100)]
Timestamp = Annotated[datetime, BeforeValidator(_time)]
