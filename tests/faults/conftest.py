from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from local.stage import Stage
from tests.faults.scene import Scene, scene

Play = Callable[..., AbstractContextManager[Scene]]
Tell = Callable[[dict[str, Any]], None]
_SEEN: Final = "faults"


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Keeps what was seen, by column, for the report at the end."""
    scenario = request.node.name.removeprefix("test_")
    return lambda row: request.node.user_properties.append((_SEEN, {"scenario": scenario, **row}))


@pytest.fixture
def play(stage: Stage, tmp_path: Path, tell: Tell) -> Play:
    """Sets a scene, whose settings it takes, and gives the verdict when the block ends.

    Each run has a seed of its own, which the report names; what a request meets also depends on the threads.
    """

    @contextmanager
    def playing(**settings: int) -> Iterator[Scene]:
        began = time.monotonic()
        seed = Random().randrange(10**6)
        with scene(stage, tmp_path, Random(seed), **settings) as run:
            yield run
            run.verdict()
        tell({"seed": seed, **run.seen(), "seconds": round(time.monotonic() - began)})

    return playing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was seen, as tables that docs/reliability.md can take as they are."""
    seen = [
        row
        for report in terminalreporter.getreports("passed")
        for name, row in report.user_properties
        if name == _SEEN and report.when == "call"
    ]
    for columns, rows in groupby(seen, key=list):
        terminalreporter.section("faults on the real path")
        for cells in (columns, ["---"] * len(columns), *(row.values() for row in rows)):
            terminalreporter.write_line(f"| {' | '.join(map(str, cells))} |")
