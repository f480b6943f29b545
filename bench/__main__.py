"""`python -m bench`: compares the consumers and prints the tables; see docs/performance.md."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import chart, tables
from bench.changes import ChangeRow, race_changes
from bench.goals import verdicts
from bench.orders import Row
from bench.output import arguments, machine, write
from bench.race import Stages, race
from bench.results import ChangeResult, Result, change_result, goals, result
from bench.rows import CHANGES, FULL, SHORT
from local import environment
from local.emulator import running


def main() -> None:
    """Run the short or the full list of rows, print tables, and write JSON and a chart."""
    environment.isolate()
    parser = arguments("bench", __doc__)
    parser.add_argument("--rounds", type=int, help="number of rounds of 100 orders in each row")
    options = parser.parse_args()
    rows = SHORT if options.short else FULL
    began = time.monotonic()
    rounds = options.rounds or (1 if options.short else 5)
    with running() as emulator:
        stages = Stages(emulator.endpoint_url)
        results = measure(rows, stages, rounds)
        changes = measure_changes(CHANGES, stages, rounds)
    print(tables.speed(results), tables.cost(results), tables.changes(changes), sep="\n\n")
    print("", verdicts(goals(results, changes)), sep="\n")
    took = (time.monotonic() - began) / 60
    print(f"\n{len(rows) + len(CHANGES)} rows in {took:.1f} minutes; {machine()}")
    write(options.out, "orders", [r.as_json() for r in results])
    write(options.out, "changes", [r.as_json() for r in changes])
    (options.out / "orders.svg").write_text(chart.svg(results))


def measure(rows: list[Row], stages: Stages, rounds: int) -> list[Result]:
    """Run all contestants in each row."""
    results = []
    for number, row in enumerate(rows):
        with timed(f"{number + 1}/{len(rows)} {tables.title(row)}"):
            results.append(result(row, race(row, stages, rounds, seed=number)))
    return results


def measure_changes(rows: list[ChangeRow], stages: Stages, rounds: int) -> list[ChangeResult]:
    """Run both contestants in each row of changes."""
    results = []
    for number, row in enumerate(rows):
        with timed(f"{number + 1}/{len(rows)} {row.title}"):
            results.append(change_result(row, race_changes(row, stages, rounds, seed=1_000 + number)))
    return results


@contextmanager
def timed(text: str) -> Iterator[None]:
    """Tell on standard error how long the block took."""
    began = time.monotonic()
    yield
    print(f"{text}: {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
