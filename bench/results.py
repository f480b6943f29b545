"""Computes medians over the rounds, and whether the goals of consumers are met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.changes import ChangeRow
from bench.goals import Goal, Value, at_least, at_most
from bench.meter import Lap
from bench.orders import Level, Row, Spread
from bench.race import ROUND
from bench.tables import title
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
        {name: score(runs) for name, runs in laps.items()},
        to_usual=ratios["usual"],
        to_threads=ratios["threads"],
        to_powertools=ratios["powertools"],
        to_floor=ratios["floor"],
    )


def score(runs: Sequence[tuple[Lap, Units]]) -> Score:
    """The medians of the laps of a contestant."""
    return Score(
        orders_per_second=ROUND / median(lap.seconds for lap, _ in runs),
        calls=median(lap.requests for lap, _ in runs) / ROUND,
        cpu_ms=median(lap.cpu for lap, _ in runs) * 1000 / ROUND,
        written=median(units.written for _, units in runs) / ROUND,
        read=median(units.read for _, units in runs) / ROUND,
        peak_mb=max(lap.peak for lap, _ in runs) / 2**20,
    )


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """The scores of one row of changes, and our changes per second, divided by those of the usual way."""

    row: ChangeRow
    scores: Mapping[str, Score]
    to_usual: float

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


def change_result(row: ChangeRow, laps: Mapping[str, Sequence[tuple[Lap, Units]]]) -> ChangeResult:
    """Compute the scores and the ratio from the `laps` of a row."""
    ratio = median(
        usual.seconds / ours.seconds
        for (usual, _), (ours, _) in zip(laps["usual"], laps["ours"], strict=True)
    )
    return ChangeResult(row, {name: score(runs) for name, runs in laps.items()}, ratio)


def goals(results: Sequence[Result], changes: Sequence[ChangeResult]) -> list[Goal]:
    """Every goal for which there is a row."""

    def rows(worth: Callable[[Result], float], **like: Any) -> list[Value]:
        """What `worth` says of each row that is the base row but for `like`."""
        base = {"spread": Spread.EVEN, "level": Level.ALL, "duplicates": False, "latency_ms": 0}
        return [
            (worth(result), title(result.row))
            for result in results
            if all(getattr(result.row, name) == value for name, value in (base | like).items())
        ]

    def ours(score: str) -> Callable[[Result], float]:
        return lambda result: float(getattr(result.scores["ours"], score))

    many = 100_000
    written, cpu = "write units an order", "CPU ms an order"
    every = [result for result in results if not result.row.latency_ms]
    return [
        *at_least("times the usual way, +5 ms", 9, rows(_times, batch=10, skus=20, latency_ms=5)),
        *at_least("times the usual way, +5 ms", 26, rows(_times, batch=50, skus=20, latency_ms=5)),
        *at_least("times the usual way, +5 ms", 14, rows(_times, batch=50, skus=1_000, latency_ms=5)),
        *at_least("times the usual way, +0 ms, every row", 4, [(_times(r), title(r.row)) for r in every]),
        *at_least("times the usual way, changes of orders", 12, [(r.to_usual, r.row.title) for r in changes]),
        *at_most("calls an order", 0.14, rows(ours("calls"), batch=50, skus=20)),
        *at_most(written, 5.5, rows(ours("written"), batch=10, skus=20)),
        *at_most(written, 3.0, rows(ours("written"), batch=50, skus=20)),
        *at_most(written, 8.1, rows(ours("written"), batch=10, skus=many)),
        *at_most(written, 9.0, rows(ours("written"), batch=10, skus=many, level=Level.HALF)),
        *at_most(cpu, 1.0, rows(ours("cpu_ms"), batch=10, skus=20)),
        *at_most(cpu, 0.45, rows(ours("cpu_ms"), batch=50, skus=20)),
        *at_least("of the floor, every row", 0.9, [(r.to_floor, title(r.row)) for r in results]),
        *at_least(
            "times the usual way with 10 threads, every row",
            1,
            [(r.to_threads, title(r.row)) for r in results],
        ),
    ]


def _times(result: Result) -> float:
    return result.to_usual
