"""An order's record: what became of it, and the answers to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chalicelib.core.fields import Outcome

RECORD_BYTES: Final = 5_000
LINE_BYTES: Final = 400
"""Generous estimates of what a record and one line of it weigh in a transaction, its stock action included.

A customer_id weighs the most: 256 characters, of up to 12 bytes each where they are escaped.
"""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order in ProcessedEventsTable; times are ISO 8601 in UTC, answers are JSON texts.

    `published_at` and `release_published_at` are None until that answer is in the OMS queue.
    A tombstone (released before it was ever reserved) has no `event`.
    """

    order_id: str
    outcome: Outcome
    created_at: str
    customer_id: str | None = None
    items: Mapping[str, int] = field(default_factory=dict)
    event: str | None = None
    published_at: str | None = None
    release_event: str | None = None
    release_published_at: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of stock and records, perhaps no longer true.

    `stock` maps a SKU to its units, None where there is no such SKU; `records` maps an order to its
    record, None where it has none. What is in neither was not looked at.
    """

    stock: dict[str, int | None] = field(default_factory=dict)
    records: dict[str, OrderRecord | None] = field(default_factory=dict)

    @property
    def missing(self) -> set[str]:
        """The SKUs that do not exist."""
        return {sku for sku, units in self.stock.items() if units is None}

    def learn(self, news: Known) -> None:
        """Take over what `news` says."""
        self.stock.update(news.stock)
        self.records.update(news.records)
