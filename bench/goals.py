"""Goals: each has a bound and the worst of the measured values, and is met or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bench.tables import table

Value = tuple[float, str]
"""A measured value, and the row that it is from."""
_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal: its bound, the worst value, and the row of the worst value.

    most: whether the bound is the most that a value may be; if not, it is the least.
    """

    text: str
    bound: float
    worst: float
    row: str
    most: bool

    @property
    def met(self) -> bool:
        worst = round(self.worst, _DIGITS)
        return worst <= self.bound if self.most else worst >= self.bound


def at_least(text: str, bound: float, values: Iterable[Value]) -> list[Goal]:
    """The goal that each of `values` is at least `bound`; none without values."""
    return [Goal(text, bound, *min(found), most=False)] if (found := list(values)) else []


def at_most(text: str, bound: float, values: Iterable[Value]) -> list[Goal]:
    """The goal that each of `values` is at most `bound`; none without values."""
    return [Goal(text, bound, *max(found), most=True)] if (found := list(values)) else []


def verdicts(goals: Iterable[Goal]) -> str:
    """A table of the goals: whether each is met, and the row of its worst value."""
    return table(
        ["goal", "bound", "worst", "met", "in the row"],
        (
            [
                goal.text,
                f"{'≤' if goal.most else '≥'} {goal.bound:g}",
                f"{goal.worst:.{_DIGITS}f}",
                "yes" if goal.met else "NO",
                goal.row,
            ]
            for goal in goals
        ),
    )
