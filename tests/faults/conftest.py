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
from tests.faults.experiment import Experiment, experiment

RunExperiment = Callable[..., AbstractContextManager[Experiment]]
Report = Callable[[dict[str, Any]], None]
_OBSERVATIONS: Final = "observations"


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Keeps a row of observations, by column, for the tables at the end."""
    scenario = request.node.name.removeprefix("test_")
    return lambda row: request.node.user_properties.append((_OBSERVATIONS, {"scenario": scenario, **row}))


@pytest.fixture
def run_experiment(stage: Stage, tmp_path: Path, report: Report) -> RunExperiment:
    """Starts an experiment with the given settings, and verifies it when the block ends.

    Each run has its own seed, which the tables name; which fault a request meets also depends on the threads.
    """

    @contextmanager
    def running(**settings: int) -> Iterator[Experiment]:
        began = time.monotonic()
        seed = Random().randrange(10**6)
        with experiment(stage, tmp_path, Random(seed), **settings) as run:
            yield run
            run.verify()
        report({"seed": seed, **run.observations(), "seconds": round(time.monotonic() - began)})

    return running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the observations as Markdown tables, for docs/reliability.md."""
    rows = [
        row
        for report in terminalreporter.getreports("passed")
        for name, row in report.user_properties
        if name == _OBSERVATIONS and report.when == "call"
    ]
    for columns, group in groupby(rows, key=list):
        terminalreporter.section("faults on the real path")
        for cells in (columns, ["---"] * len(columns), *(row.values() for row in group)):
            terminalreporter.write_line(f"| {' | '.join(map(str, cells))} |")
