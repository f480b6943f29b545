"""The fields that requests and messages share, with their rules; one type each."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

SKU_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
ORDER_ID_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,128}$"
MAX_QUANTITY: Final = 1_000_000_000
"""The most that one request may ask, receive or take of a SKU."""
MAX_STOCK: Final = 1_000_000_000_000
"""The most stock that a SKU may be set or adjusted to."""

_ROUTES: Final = frozenset({"check", "adjustments"})


def _not_a_route(sku: str) -> str:
    if sku in _ROUTES:
        raise ValueError(f"'{sku}' is reserved")
    return sku


Sku = Annotated[str, StringConstraints(strict=True, pattern=SKU_PATTERN), AfterValidator(_not_a_route)]
OrderId = Annotated[str, StringConstraints(strict=True, pattern=ORDER_ID_PATTERN)]
CustomerId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]
StockLevel = Annotated[int, Field(strict=True, ge=0, le=MAX_STOCK)]


class Outcome(StrEnum):
    """What became of an order; a record's outcome changes only from RESERVED to RELEASED."""

    RESERVED = "RESERVED"
    REJECTED = "REJECTED"
    RELEASED = "RELEASED"
