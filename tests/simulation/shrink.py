"""Makes a failing scenario as small as possible: fewer faults, messages, writes and consumers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tests.simulation.run import History, run
from tests.simulation.scenario import Scenario

MAX_RUNS = 3000
_SIMPLER: tuple[dict[str, Any], ...] = (
    {"redrive": False},
    {"writes": ()},
    {"allowed": frozenset()},
    {"adversary_rate": 0.0},
    {"pauses": 0.0},
    {"repeats": 0.0},
    {"refused_order": None},
    {"away": (0.0, 0.0)},
    {"strays": ()},
    {"sweepers": 1},
    {"visibility": 30.0},
    {"batch": 10},
    {"latency": 0.02},
)
_SIMPLER_LIFE: tuple[dict[str, Any], ...] = (
    {"calls": ()},
    {"migrations": ()},
    {"sweepers": 1},
    {"index_lag": 0.0},
    {"shards": 1},
    {"page": 100},
    {"aging": None},
)


def shrink(history: History) -> History:
    """The smallest history found that violates the same invariant as `history` does."""
    return _Shrinking(history).smallest()


class _Shrinking:
    def __init__(self, history: History) -> None:
        assert history.violation is not None
        self._best = history
        self._invariant = history.violation.invariant
        self._violating_orders = set(re.findall(r"\bo\d+\b", history.violation.how))
        self._runs = 0

    def smallest(self) -> History:
        self._try(40, messages=self._about(self._violating_orders))
        before = None
        while before is not self._best:
            before = self._best
            for changes in _SIMPLER:
                self._try(3, **changes)
            life = self._best.scenario.life
            for simpler in _SIMPLER_LIFE:
                self._try(3, life=replace(self._best.scenario.life, **simpler))
            for number, calls in enumerate(life.calls):
                self._fewer(calls, partial(self._with_calls, number))
            any(self._try(5, consumers=few) for few in range(1, self._best.scenario.consumers))
            orders = list(dict.fromkeys(message.order_id for message in self._best.scenario.messages))
            self._fewer(orders, lambda some: {"messages": self._about(some)})
            self._fewer(self._best.scenario.messages, lambda some: {"messages": tuple(some)})
            for number in range(len(self._best.scenario.writes)):
                self._fewer(self._best.scenario.writes[number], partial(self._with_writes, number))
            self._fewer(self._best.faults, lambda some: {"allowed": frozenset(some)})
            for number in range(len(self._best.scenario.messages)):
                self._fewer(self._best.scenario.messages[number].items, partial(self._with_items, number))
        return self._best

    def _about(self, order_ids: Collection[str]) -> tuple[Any, ...]:
        return tuple(message for message in self._best.scenario.messages if message.order_id in order_ids)

    def _with_writes(self, number: int, some: Sequence[Any]) -> dict[str, Any]:
        writes = list(self._best.scenario.writes)
        writes[number] = tuple(some)
        return {"writes": tuple(writes)}

    def _with_calls(self, number: int, some: Sequence[Any]) -> dict[str, Any]:
        life = self._best.scenario.life
        calls = list(life.calls)
        if number < len(calls):
            calls[number] = tuple(some)
        return {"life": replace(life, calls=tuple(calls))}

    def _with_items(self, number: int, skus: Sequence[str]) -> dict[str, Any]:
        messages = list(self._best.scenario.messages)
        if not skus:
            return {}
        messages[number] = messages[number].only(skus)
        return {"messages": tuple(messages)}

    def _fewer(self, parts: Collection[Any], changes: Callable[[list[Any]], dict[str, Any]]) -> None:
        """Leave out as many of `parts` as possible while it still fails, large portions first."""
        left = sorted(parts) if isinstance(parts, frozenset) else list(parts)
        size = 2 * len(left)
        while size := size // 2:
            start = 0
            while start < len(left):
                fewer = left[:start] + left[start + size :]
                if self._try(4, **changes(fewer)):
                    left = fewer
                else:
                    start += size

    def _try(self, variations: int, **changes: Any) -> bool:
        """Whether it still fails with these changes: with the same variation, or with another."""
        scenario: Scenario = self._best.scenario.with_changes(**changes)
        if scenario == self._best.scenario:
            return False
        for more in range(variations):
            if self._runs >= MAX_RUNS:
                break
            self._runs += 1
            history = run(scenario.with_changes(variation=scenario.variation + more))
            if history.violation is not None and history.violation.invariant == self._invariant:
                self._best = history
                return True
        return False
