"""One row of the benchmark: all contestants settle the same orders, in turns, each in its own account."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any, Final, cast

from bench.meter import Lap
from bench.orders import Level, Orders, Row, events, half_of, ordered, stock
from bench.units import Accounts, Units
from bench.worker import NAMES
from local import environment
from local.stage import Stage, open_stage

ROUND: Final = 100
"""Orders per round."""
_PUTS: Final = 25


class Worker:
    """The process of a contestant."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._in = cast(IO[bytes], process.stdin)
        self._out = cast(IO[bytes], process.stdout)

    def run(self, work: Sequence[Any]) -> Lap:
        """Let the process do `work`, and return its lap."""
        pickle.dump(work, self._in)
        self._in.flush()
        return cast(Lap, pickle.load(self._out))


@contextmanager
def worker(name: str, latency: float, stage: Stage) -> Iterator[Worker]:
    """Run the contestant `name` against `stage` for the length of the block."""
    variables = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    variables |= environment.NO_ACCOUNT | stage.env
    command = [sys.executable, "-m", "bench.worker", name, str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables) as process:
        yield Worker(process)
        cast(IO[bytes], process.stdin).close()


class Stages:
    """One stage per contestant and stock.

    A SKU gets its stock when it is first ordered: nothing depends on those that nobody orders, and to fill a
    table with 100,000 takes minutes.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._stages: dict[tuple[str, str], Stage] = {}
        self._stocked: dict[tuple[str, str], set[str]] = {}
        self._accounts = itertools.count(200_000_000_000)

    def get(self, row: Row, name: str) -> Stage:
        """The stage of the contestant `name` for the stock of `row`."""
        key = (row.stock_name, name)
        if key not in self._stages:
            self._stages[key] = open_stage(self._endpoint_url, str(next(self._accounts)))
            self._stocked[key] = set()
        return self._stages[key]

    def stock_up(self, row: Row, name: str, bodies: Sequence[str]) -> None:
        """Set the stock of each SKU that `bodies` order and that has none yet."""
        stocked = self._stocked[row.stock_name, name]
        new = ordered(bodies).keys() - stocked
        stocked |= new
        fill(self.get(row, name), ((sku, units) for sku, units in stock(row) if sku in new))


def fill(stage: Stage, levels: Iterator[tuple[str, int]]) -> None:
    """Set the stock of each SKU in `levels`."""
    while chunk := list(itertools.islice(levels, _PUTS)):
        puts: Any = [
            {
                "PutRequest": {
                    "Item": {"sku": {"S": sku}, "quantity": {"N": str(units)}, "updated_at": {"S": "-" * 24}}
                }
            }
            for sku, units in chunk
        ]
        stage.dynamodb.batch_write_item(RequestItems={stage.tables.inventory_table: puts})


def race(row: Row, stages: Stages, rounds: int, seed: int) -> dict[str, list[tuple[Lap, Units]]]:
    """Let all contestants settle `rounds` rounds of `ROUND` orders, in turns, after one round of warm-up.

    Raises `AssertionError` if the contestants end with different stock, or if one does not settle all orders.
    """
    orders = Orders(row, seed)
    with ExitStack() as stack:
        homes = {name: stages.get(row, name) for name in NAMES}
        workers = {
            name: stack.enter_context(worker(name, row.latency_ms / 1000, home))
            for name, home in homes.items()
        }
        accounts = {name: Accounts() for name in NAMES}
        laps: dict[str, list[tuple[Lap, Units]]] = {name: [] for name in NAMES}
        for number in range(-1, rounds):
            bodies = orders.bodies(ROUND)
            for name, home in homes.items():
                stages.stock_up(row, name, bodies)
                if row.level is Level.RUNS_OUT:
                    fill(home, iter(half_of(bodies).items()))
            work: dict[str, Sequence[Any]] = dict.fromkeys(NAMES, events(bodies, row.batch))
            for name in _turns(number):
                lap = workers[name].run(work[name])
                if name == "ours":
                    work["floor"] = lap.calls
                assert not lap.failures, f"{name} did not settle {lap.failures} orders"
                units = accounts[name].charge(lap.calls)
                if number >= 0:
                    laps[name].append((lap, units))
            _compare(row, homes)
        for home in homes.values():
            home.sqs.purge_queue(QueueUrl=home.oms_queue_url)
    return laps


def _turns(number: int) -> list[str]:
    """The order of the contestants in round `number`: each is first in turn, but the floor follows ours."""
    names = [name for name in NAMES if name != "floor"]
    shift = number % len(names)
    turns = names[shift:] + names[:shift]
    turns.insert(turns.index("ours") + 1, "floor")
    return turns


def _compare(row: Row, homes: Mapping[str, Stage]) -> None:
    """Check that all took the same stock, unless the result depends on the order of settling."""
    if row.level is Level.RUNS_OUT:
        return
    # Threads race on duplicates, so the usual way sometimes takes their stock twice.
    names = [name for name in NAMES if not (row.duplicates and name == "threads")]
    levels = {name: _levels(homes[name]) for name in names}
    assert all(level == levels["usual"] for level in levels.values()), f"stock differs: {row}"


def _levels(stage: Stage) -> dict[str, str]:
    pages = stage.dynamodb.get_paginator("scan").paginate(TableName=stage.tables.inventory_table)
    return {item["sku"]["S"]: item["quantity"]["N"] for page in pages for item in page["Items"]}
