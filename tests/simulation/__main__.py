"""`python -m tests.simulation`: run seeds, explain one, or show that mutations are found."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from multiprocessing.pool import Pool
from pathlib import Path

from tests.simulation.mutations import MUTATIONS
from tests.simulation.processes import explain, find_mutation, process_pool, run_seeds

KEPT = Path(__file__).with_name("seeds.txt")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns 1 if a promise was broken, or a mutation not found."""
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many seeds to run")
    parser.add_argument("--start", type=int, metavar="S", help="the first of them (default: random)")
    parser.add_argument("--seed", type=int, metavar="X", help="print the history of one seed")
    parser.add_argument("--mutations", action="store_true", help="apply each mutation, and find it")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="with --seed: apply this mutation")
    parser.add_argument("--processes", type=int, default=2, metavar="P", help="how many at a time")
    options = parser.parse_args(arguments)
    with process_pool(options.processes) as pool:
        if options.seed is not None:
            print(pool.apply(explain, (options.seed, options.mutation)))
            return 0
        if options.mutations:
            return _mutations(pool)
        start = secrets.randbelow(10**9) if options.start is None else options.start
        print(f"seeds {start} to {start + options.seeds - 1}, after {len(kept())} kept ones", flush=True)
        return _seeds(pool, (*kept(), *range(start, start + options.seeds)))


def kept() -> list[int]:
    """The seeds that have failed once."""
    lines = (line.partition("#")[0].strip() for line in KEPT.read_text().splitlines())
    return [int(line) for line in lines if line]


def _seeds(pool: Pool, seeds: Iterable[int]) -> int:
    began = time.monotonic()
    runs = calls = 0
    seconds = 0.0
    for verdict in run_seeds(pool, seeds):
        runs += verdict.runs
        calls += verdict.calls
        seconds += verdict.seconds
        if verdict.failed is not None:
            print(f"seed {verdict.failed} FAILED: {verdict.violation}", flush=True)
            print(pool.apply(explain, (verdict.failed,)))
            print(f"run it again: python -m tests.simulation --seed {verdict.failed}; keep it in {KEPT.name}")
            return 1
    minutes = (time.monotonic() - began) / 60
    print(f"{runs} histories with {calls} calls kept every promise: {runs / minutes:.0f} a minute,")
    print(f"{runs / seconds * 60:.0f} in a minute of one core's time, {calls / runs:.0f} calls each")
    return 0


def _mutations(pool: Pool) -> int:
    print("| mutation | from seed | seeds needed | at most | violates |\n|---|---|---|---|---|")
    missed = 0
    for name, verdict in zip(MUTATIONS, pool.imap(find_mutation, MUTATIONS), strict=True):
        found = verdict.violation
        missed += found is None
        needed, what = (str(verdict.runs), found.invariant) if found else ("**not found**", "")
        mutation = MUTATIONS[name]
        print(f"| {name} | {mutation.first} | {needed} | {mutation.seeds} | {what} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
