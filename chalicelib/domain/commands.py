"""What is asked for an order, read and checked: one class per kind of command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from chalicelib.errors import FieldError

MAX_SKUS: Final = 98
"""The most SKUs of one order: a transaction holds 100 actions, two of them for its record and the outbox."""
MAX_HOLD: Final = timedelta(days=31)
"""The longest that a hold may last, from the time on at which it is asked for."""
INVALID_PREFIX: Final = "invalid#"
"""How the ids of operations begin that came without a usable id."""
EXPIRED_ID: Final = "EXPIRED"
"""The id of the operation that ends a hold."""
AGED_ID: Final = "AGED"
"""The id of the operation that closes a firm order which nobody has reported as shipped."""


class ChangeType(StrEnum):
    """The ways to change a reservation, as the messages name them."""

    CONFIRM = "ConfirmInventory"
    EXTEND = "ExtendInventory"
    FULFILL = "FulfillInventory"
    RELEASE = "ReleaseInventory"


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

    With `expires_at` (ISO 8601, UTC) it is a hold until then. With a `refusal` there are no items: the order
    is recorded as rejected and answered.
    """

    order_id: str
    customer_id: str | None
    items: Mapping[str, int] = field(default_factory=dict)
    refusal: Invalid | TooMany | None = None
    expires_at: str | None = None

    @property
    def skus(self) -> Iterable[str]:
        return self.items.keys()


@dataclass(frozen=True, slots=True)
class ChangeOrder:
    """Change a reservation, once for each `operation_id` of an order.

    items: the units that it is about, by SKU; None: all that the order holds.
    expires_at: the new end of a hold (ISO 8601, UTC), of `EXTEND` only.
    reason: the caller's, of `RELEASE` only.
    errors: what is wrong with it; then it is refused.
    due: the sweep made it. It ends a hold, or closes an aged order, and counts only if that is due.
    """

    order_id: str
    type: ChangeType
    operation_id: str
    items: Mapping[str, int] | None = None
    expires_at: str | None = None
    reason: str | None = None
    errors: tuple[FieldError, ...] = ()
    due: bool = False

    @property
    def whole_release(self) -> bool:
        """Whether it gives back all that the order holds."""
        return self.type is ChangeType.RELEASE and self.items is None and not self.errors and not self.due


Command = Reserve | ChangeOrder

_OURS: Final = frozenset({*ChangeType, EXPIRED_ID, AGED_ID})


def is_ours(operation_id: str) -> bool:
    """Whether an operation's id is one that the IMS gives, which no caller may use."""
    return operation_id in _OURS or operation_id.startswith(INVALID_PREFIX)


def is_countable(operation_id: str) -> bool:
    """Whether an operation counts towards the most that an order takes.

    Operations on a whole order do not: they must always be possible, or stock would stay reserved for ever.
    """
    return operation_id not in _OURS


def due_change(order_id: str) -> ChangeOrder:
    """The command of the sweep about an order that is due."""
    return ChangeOrder(order_id, ChangeType.RELEASE, EXPIRED_ID, due=True)
