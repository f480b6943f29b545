"""Many seeds on several cores.

Worker processes run the seeds, all started with one PYTHONHASHSEED: the consumer iterates over sets in
places, and a seed must always give the same history.
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
from tests.simulation.transcript import transcript

BATCH_SIZE = 50


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of some seeds: how many were run, with how many calls, and the first that failed.

    `seconds` is the CPU time of one core.
    """

    runs: int
    calls: int
    seconds: float
    failed: int | None = None
    violation: Any = None


@contextmanager
def process_pool(processes: int) -> Iterator[Pool]:
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


def run_seeds(pool: Pool, seeds: Iterable[int], mutation: str | None = None) -> Iterator[Verdict]:
    """Run `seeds`, with a `mutation` applied if one is named; a batch ends at its first failure."""
    left = iter(seeds)
    batches = iter(lambda: tuple(islice(left, BATCH_SIZE)), ())
    yield from pool.imap(_run_batch, ((batch, mutation) for batch in batches))


def find_mutation(name: str) -> Verdict:
    """Run seeds, from the mutation's first on, until one finds it, at most as many as it may need."""
    mutation = MUTATIONS[name]
    return _run_batch((range(mutation.first, mutation.first + mutation.seeds), name))


def explain(seed: int, mutation: str | None = None) -> str:
    """The history of one seed as a text, shrunk if it fails."""
    with with_mutation(mutation):
        found = run(scenario(seed))
        return transcript(shrink(found) if found.violation else found)


def digest(seed: int) -> str:
    """A hash that differs between two different histories."""
    history = run(scenario(seed))
    actions = [(line.time, line.actor, line.action, line.fault, str(line.result)) for line in history.log]
    return hashlib.sha256(repr((actions, list(history.timeline))).encode()).hexdigest()


def _begin() -> None:
    # Imported objects are never freed; most objects of a history are freed by reference counting.
    gc.freeze()
    gc.set_threshold(50_000)


def with_mutation(mutation: str | None) -> Any:
    """A context in which the mutation of that name, if any, is applied."""
    return MUTATIONS[mutation].applied() if mutation else nullcontext()


def _run_batch(work: tuple[Iterable[int], str | None]) -> Verdict:
    seeds, mutation = work
    runs = calls = 0
    began = time.process_time()
    with with_mutation(mutation):
        for seed in seeds:
            made = run(scenario(seed))
            runs += 1
            calls += sum(1 for line in made.log if line.call)
            if made.violation is not None:
                return Verdict(runs, calls, time.process_time() - began, seed, made.violation)
    return Verdict(runs, calls, time.process_time() - began)
