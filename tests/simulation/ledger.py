"""Follows the stock through a history: what there is, and what changes and orders leave of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.model import Wrong
from tests.simulation.records import Record, counted, taken, text
from tests.support.engines.tables import Change, Commit


@dataclass
class Ledger:
    """`stock` is what is stored, `available` and `reserved` what there should be, by SKU."""

    stock: dict[str, int | None] = field(default_factory=dict)
    stored: dict[str, Record] = field(default_factory=dict)
    products: set[str] = field(default_factory=set)
    available: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    reserved: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    commits: set[str] = field(default_factory=set)
    """The ids of all commits so far."""

    def apply(self, commit: Commit, orders: Iterable[tuple[Record | None, Record | None]]) -> None:
        """Apply a commit, of which `orders` are the changed records; raises `Wrong` if it is wrong."""
        orders = list(orders)
        touched: dict[str, None] = {}
        counts: list[Record] = []
        for change in commit.changes:
            if change.table == "InventoryTable":
                self.stock[change.key] = _units(change.after, "quantity") if change.after else None
                self.stored[change.key] = change.after or {}
                touched[change.key] = None
            elif change.table == "ProductTable":
                (self.products.add if change.after else self.products.discard)(change.key)
                touched[change.key] = None
            elif change.key.startswith("adjustment#"):
                counts += self._adjusted(change)
        self._check_versions(commit, old=any(is_old(*both) for both in orders))
        for before, after in orders:
            if after is not None:  # records that end have no effect
                self._moved(before, after, touched)
        for sku in touched:
            self._check(sku)
        for record in counts:
            self._check_count(record)

    def _adjusted(self, change: Change) -> list[Record]:
        """Apply a change of stock over REST; returns its record if it is new."""
        if change.after is None:
            return []
        delta = _units(change.after, "delta")
        if change.before is None:
            self.available[change.after["sku"]["S"]] += delta
            return [change.after]
        if _units(change.before, "delta") != delta:
            raise Wrong(f"the record of a change was changed: {change.key}")
        return []

    def _check_versions(self, commit: Commit, *, old: bool) -> None:
        """Check that each change of stock is counted; version 1.1, which made `old` commits, does not."""
        names: set[str | None] = set()
        for change in commit.changes:
            if change.after is None:
                continue
            if change.table == "InventoryTable":
                before, after = (_units(item, "version") for item in (change.before, change.after))
                if after != before + (not old):
                    raise Wrong(f"{change.key} went from version {before} to {after}")
            elif change.table != "ProcessedEventsTable" or "change" not in change.after:
                continue
            if not old and _is_written_anew(change):
                names.add(text(change.after, "change"))
        if len(names) > 1 or None in names or names & self.commits:
            raise Wrong(f"the writes of one commit have the ids {names}, or one that was used before")
        self.commits |= {name for name in names if name}

    def _moved(self, before: Record | None, after: Record, touched: dict[str, None]) -> None:
        was, is_ = taken(before), taken(after)
        for sku in was | is_:
            touched[sku] = None
            back = was.get(sku, 0) - is_.get(sku, 0)
            if self.stock.get(sku) is not None or back < 0:  # else they are written off
                self.available[sku] += back
        was, is_ = counted(before), counted(after)
        for sku in was | is_:
            touched[sku] = None
            self.reserved[sku] += is_.get(sku, 0) - was.get(sku, 0)

    def _check(self, sku: str) -> None:
        there = self.stock.get(sku)
        if (there is not None) is not (sku in self.products):
            raise Wrong(f"{sku} has stock without being a product, or a product without stock")
        for kind, is_, due in (
            ("available", there or 0, self.available[sku]),
            ("reserved", _units(self.stored.get(sku), "reserved"), self.reserved[sku]),
        ):
            if is_ != due or is_ < 0:
                raise Wrong(f"{sku} has {is_} {kind}, but changes and orders leave {due}")

    def _check_count(self, record: Record) -> None:
        """Check that a count made what is on hand what was counted, which its reference says."""
        if text(record, "reason") != "COUNTED":
            return
        counted_units = int((text(record, "reference") or "").removeprefix("counted "))
        stored = self.stored[record["sku"]["S"]]
        on_hand = _units(stored, "quantity") + _units(stored, "reserved")
        if on_hand != counted_units:
            raise Wrong(f"{counted_units} were counted, and {on_hand} are on hand: {stored}")


def is_old(before: Record | None, after: Record | None) -> bool:
    """Whether version 1.1 made this change of a record: it does not know the id of a commit."""
    return after is not None and text(before, "change") == text(after, "change")


def _is_written_anew(change: Change) -> bool:
    return text(change.before, "change") != text(change.after, "change") or change.table == "InventoryTable"


def _units(item: Mapping[str, Any] | None, name: str) -> int:
    return int(item[name]["N"]) if item and name in item else 0
