"""The results as one SVG: the orders per second of each contestant, as a multiple of the usual way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from bench.results import Result
from bench.tables import title

_LEFT: Final = 300
_WIDTH: Final = 560
_LINE: Final = 22
_TOP: Final = 64
_LARGEST: Final = 64
_DOTS: Final = (
    ("usual", "usual way", "#8a8a8a"),
    ("threads", "usual way, 10 threads", "#4c78a8"),
    ("powertools", "Powertools", "#e45756"),
    ("floor", "floor: our calls, no logic", "#bab0ac"),
    ("ours", "ours", "#2a9d3a"),
)


def svg(results: Sequence[Result]) -> str:
    """Draw a dot for each contestant in each row, on a logarithmic scale."""
    height = _TOP + _LINE * len(results) + 20
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 40} {height}">',
            '<g font-family="sans-serif" font-size="12">',
            "<title>Orders a second, as a multiple of the usual way</title>",
            '<rect width="100%" height="100%" fill="white"/>',
            *_legend(),
            *(_grid(2**power, height) for power in range(-1, int(math.log2(_LARGEST)) + 1)),
            *(part for number, result in enumerate(results) for part in _row(number, result)),
            "</g></svg>\n",
        ]
    )


def _x(ratio: float) -> float:
    share = math.log2(min(max(ratio, 0.5), _LARGEST) / 0.5) / math.log2(_LARGEST / 0.5)
    return round(_LEFT + share * _WIDTH, 1)


def _legend() -> list[str]:
    return [
        f'<circle cx="{20 + 175 * number}" cy="18" r="5" fill="{colour}"/>'
        f'<text x="{30 + 175 * number}" y="22">{label}</text>'
        for number, (_, label, colour) in enumerate(_DOTS)
    ]


def _grid(ratio: float, height: int) -> str:
    x = _x(ratio)
    return (
        f'<line x1="{x}" x2="{x}" y1="{_TOP - 10}" y2="{height - 12}" stroke="#e0e0e0"/>'
        f'<text x="{x}" y="{_TOP - 16}" text-anchor="middle" fill="#666">{ratio:g}x</text>'
    )


def _row(number: int, result: Result) -> list[str]:
    y = _TOP + _LINE * number + 6
    others = {
        "usual": 1.0,
        "threads": result.to_threads,
        "powertools": result.to_powertools,
        "floor": result.to_floor,
    }
    ratios = {name: result.to_usual / other for name, other in others.items()}
    ratios |= {"usual": 1.0, "ours": result.to_usual}
    return [
        f'<text x="{_LEFT - 14}" y="{y + 4}" text-anchor="end">{escape(title(result.row))}</text>',
        *(f'<circle cx="{_x(ratios[name])}" cy="{y}" r="5" fill="{colour}"/>' for name, _, colour in _DOTS),
    ]
