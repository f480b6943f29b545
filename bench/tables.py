"""Formats the results as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.orders import Row
    from bench.results import ChangeResult, Result

_SHORT_NAMES = {
    "usual": "usual",
    "threads": "threads",
    "powertools": "Powertools",
    "ours": "ours",
    "floor": "floor",
}


def title(row: Row) -> str:
    """Describe a row in words."""
    parts = [f"batches of {row.batch}, {row.skus:,} SKUs", row.spread, row.level]
    if row.duplicates:
        parts.append("10 % duplicates")
    if row.latency_ms:
        parts.append(f"+{row.latency_ms} ms")
    return ", ".join(parts)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    grid = [list(head), *map(list, lines)]
    widths = [max(len(line[column]) for line in grid) for column in range(len(head))]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    text = [
        [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        for line in grid
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [text[0], rule, *text[1:]])


def speed(results: Iterable[Result]) -> str:
    """A table of the orders per second of all contestants, and of our ratio to the others."""
    head = ["orders a second", *_SHORT_NAMES.values(), "÷ usual", "÷ threads", "÷ Powertools", "÷ floor"]
    return table(
        head,
        (
            [
                title(r.row),
                *(f"{r.scores[name].orders_per_second:,.0f}" for name in _SHORT_NAMES),
                *(f"{ratio:.1f}" for ratio in (r.to_usual, r.to_threads, r.to_powertools)),
                f"{r.to_floor:.2f}",
            ]
            for r in results
        ),
    )


def cost(results: Iterable[Result]) -> str:
    """A table of the cost of an order (calls, CPU time, units), and of the peak memory of the process."""
    columns = [
        ("AWS calls", "calls", ("usual", "powertools", "ours"), ".2f"),
        ("CPU ms", "cpu_ms", ("usual", "powertools", "ours", "floor"), ".2f"),
        ("write units", "written", ("usual", "powertools", "ours"), ".2f"),
        ("read units", "read", ("usual", "ours"), ".2f"),
        ("peak MB", "peak_mb", ("usual", "powertools", "ours"), ".0f"),
    ]
    head = [
        f"{text}: {_SHORT_NAMES[names[0]]}" if name == names[0] else _SHORT_NAMES[name]
        for text, _, names, _ in columns
        for name in names
    ]
    return table(
        ["an order costs", *head],
        (
            [
                title(r.row),
                *(
                    format(getattr(r.scores[name], field), style)
                    for _, field, names, style in columns
                    for name in names
                ),
            ]
            for r in results
        ),
    )


def changes(results: Iterable[ChangeResult]) -> str:
    """A table of the speed and the cost of changes of orders, ours and the usual way's."""
    columns = [
        ("a second", "orders_per_second", ",.0f"),
        ("AWS calls", "calls", ".2f"),
        ("CPU ms", "cpu_ms", ".2f"),
        ("write units", "written", ".2f"),
    ]
    names = ("usual", "ours")
    head = [f"{text}: {names[0]}" if name == names[0] else name for text, _, _ in columns for name in names]
    return table(
        ["changes of orders", *head, "÷ usual"],
        (
            [
                r.row.title,
                *(
                    format(getattr(r.scores[name], field), style)
                    for _, field, style in columns
                    for name in names
                ),
                f"{r.to_usual:.1f}",
            ]
            for r in results
        ),
    )
