"""Computes medians over the rounds, and whether the goals are met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.meter import Lap
from bench.orders import Level, Row
from bench.race import ROUND
from bench.units import Units


@dataclass(frozen=True, slots=True)
class Score:
    """The medians of a contestant in one row; all except `peak_mb` are per order or per second."""

    orders_per_second: float
    calls: float
    cpu_ms: float
    written: float
    read: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Result:
    """The scores of one row by contestant; `to_*`: our orders per second, divided by those of the other.

    A ratio is the median of the ratios of the rounds, since the laps of one round ran under the same load.
    """

    row: Row
    scores: Mapping[str, Score]
    to_usual: float
    to_threads: float
    to_powertools: float
    to_floor: float

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


def result(row: Row, laps: Mapping[str, Sequence[tuple[Lap, Units]]]) -> Result:
    """Compute the scores and ratios from the `laps` of a row."""
    ratios = {
        other: median(
            theirs.seconds / ours.seconds
            for (theirs, _), (ours, _) in zip(laps[other], laps["ours"], strict=True)
        )
        for other in laps
    }
    return Result(
        row,
        {name: _score(runs) for name, runs in laps.items()},
        to_usual=ratios["usual"],
        to_threads=ratios["threads"],
        to_powertools=ratios["powertools"],
        to_floor=ratios["floor"],
    )


def _score(runs: Sequence[tuple[Lap, Units]]) -> Score:
    return Score(
        orders_per_second=ROUND / median(lap.seconds for lap, _ in runs),
        calls=median(lap.requests for lap, _ in runs) / ROUND,
        cpu_ms=median(lap.cpu for lap, _ in runs) * 1000 / ROUND,
        written=median(units.written for _, units in runs) / ROUND,
        read=median(units.read for _, units in runs) / ROUND,
        peak_mb=max(lap.peak for lap, _ in runs) / 2**20,
    )


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal: its bound, the worst value, and the row of the worst value."""

    text: str
    bound: float
    worst: float
    row: Row

    @property
    def met(self) -> bool:
        return self.worst >= self.bound


def goals(results: Sequence[Result]) -> list[Goal]:
    """Every goal for which `results` has a row."""

    def goal(text: str, bound: float, values: Sequence[tuple[float, Row]]) -> list[Goal]:
        return [Goal(text, bound, *min(values, key=lambda value: value[0]))] if values else []

    few = [r for r in results if r.row.skus == 20 and r.row.level is Level.ALL and not r.row.duplicates]
    tens = [r for r in few if r.row.batch == 10]
    fifties = [r for r in few if r.row.batch == 50]
    rest = [r for r in results if r not in tens and r not in fifties]
    return [
        *goal("times the usual way, 20 SKUs in stock, batches of 10", 7, [(r.to_usual, r.row) for r in tens]),
        *goal(
            "times the usual way, 20 SKUs in stock, batches of 50", 14, [(r.to_usual, r.row) for r in fifties]
        ),
        *goal("times the usual way, every other row", 4, [(r.to_usual, r.row) for r in rest]),
        *goal("of the floor, every row", 0.9, [(r.to_floor, r.row) for r in results]),
        *goal("times the usual way with 10 threads, every row", 1, [(r.to_threads, r.row) for r in results]),
        *goal(
            "write units of the usual way to ours, 20 SKUs in stock",
            1,
            [(r.scores["usual"].written / r.scores["ours"].written, r.row) for r in few],
        ),
    ]
