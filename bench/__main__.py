"""`python -m bench`: compares the consumers and prints the tables; see docs/performance.md."""

from __future__ import annotations

import sys
import time

from bench import chart, tables
from bench.orders import Row
from bench.output import arguments, machine, write
from bench.race import Stages, race
from bench.results import Result, goals, result
from bench.rows import FULL, SHORT
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
    results = measure(rows, options.rounds or (2 if options.short else 5))
    print(tables.speed(results), tables.cost(results), tables.verdicts(goals(results)), sep="\n\n")
    print(f"\n{len(rows)} rows in {(time.monotonic() - began) / 60:.1f} minutes; {machine()}")
    write(options.out, "orders", [r.as_json() for r in results])
    (options.out / "orders.svg").write_text(chart.svg(results))


def measure(rows: list[Row], rounds: int) -> list[Result]:
    """Run all contestants in each row, on one embedded AWS."""
    results = []
    with running() as emulator:
        stages = Stages(emulator.endpoint_url)
        for number, row in enumerate(rows):
            began = time.monotonic()
            results.append(result(row, race(row, stages, rounds, seed=number)))
            took = time.monotonic() - began
            print(f"{number + 1}/{len(rows)} {tables.title(row)}: {took:.0f} s", file=sys.stderr)
    return results


if __name__ == "__main__":
    main()
