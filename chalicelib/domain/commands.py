"""What the OMS asks for, read and checked: one class per command."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chalicelib.errors import FieldError

MAX_SKUS: Final = 98
"""The most SKUs of one order: a transaction holds 100 actions, two of them for its record and the outbox."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Refused regardless of stock: the order's body breaks the rules."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class TooMany:
    """Refused regardless of stock: the order names `skus` SKUs, more than `MAX_SKUS`."""

    skus: int


@dataclass(frozen=True, slots=True)
class Reserve:
    """Take stock for an order; `items` maps each SKU to the requested units, entries of one SKU added up.

    With a `refusal` there are no items: the order is recorded as rejected and answered.
    """

    order_id: str
    customer_id: str | None
    items: Mapping[str, int] = field(default_factory=dict)
    refusal: Invalid | TooMany | None = None

    @property
    def skus(self) -> Iterable[str]:
        return self.items.keys()


@dataclass(frozen=True, slots=True)
class Release:
    """Give an order's stock back: the order was cancelled."""

    order_id: str


Command = Reserve | Release
