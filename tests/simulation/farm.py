"""Many seeds on several cores.

The work is done in processes of their own, all started with one PYTHONHASHSEED: the consumer goes through
sets in places, and a seed must always give the same history.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from multiprocessing.pool import Pool
from typing import Any

from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import run
from tests.simulation.scenario import scenario
from tests.simulation.shrink import shrink
from tests.simulation.telling import tell

PORTION = 50


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of some seeds: how many were run, with how many calls, and the first that failed.

    `seconds` are those of one core.
    """

    runs: int
    calls: int
    seconds: float
    failed: int | None = None
    violation: Any = None


@contextmanager
def farm(processes: int) -> Iterator[Pool]:
    """A pool of processes that run seeds."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"
    try:
        with multiprocessing.get_context("spawn").Pool(processes, _begin) as pool:
            yield pool
    finally:
        os.environ.pop("PYTHONHASHSEED")
        if before is not None:
            os.environ["PYTHONHASHSEED"] = before


def hunt(pool: Pool, seeds: Iterable[int], mutation: str | None = None) -> Iterator[Verdict]:
    """Run `seeds`, with a bug put in if one is named; a portion ends at its first failure."""
    left = iter(seeds)
    portions = iter(lambda: tuple(islice(left, PORTION)), ())
    yield from pool.imap(_portion, ((portion, mutation) for portion in portions))


def find(name: str) -> Verdict:
    """The first seed, from 0 on, that finds a mutation; gives up after as many as it may need."""
    return _portion((range(MUTATIONS[name].seeds), name))


def explain(seed: int, mutation: str | None = None) -> str:
    """The history of one seed as a text, shrunk if it fails."""
    with mutated(mutation):
        found = run(scenario(seed))
        return tell(shrink(found) if found.violation else found)


def digest(seed: int) -> str:
    """A text that differs between two histories that are not the same."""
    made = run(scenario(seed))
    what = [(line.time, line.actor, line.what, line.fault, str(line.result)) for line in made.log]
    return hashlib.sha256(repr((what, list(made.timeline))).encode()).hexdigest()


def _begin() -> None:
    # What was imported stays for good; a history's own garbage goes with its last reference, mostly.
    gc.freeze()
    gc.set_threshold(50_000)


def mutated(mutation: str | None) -> Any:
    """A context in which the bug of that name, if any, is in the code."""
    return MUTATIONS[mutation].applied() if mutation else nullcontext()


def _portion(work: tuple[Iterable[int], str | None]) -> Verdict:
    seeds, mutation = work
    runs = calls = 0
    began = time.process_time()
    with mutated(mutation):
        for seed in seeds:
            made = run(scenario(seed))
            runs += 1
            calls += sum(1 for line in made.log if line.call)
            if made.violation is not None:
                return Verdict(runs, calls, time.process_time() - began, seed, made.violation)
    return Verdict(runs, calls, time.process_time() - began)
