"""Some histories, in every run of the tests; `make simulate` runs thousands."""

from __future__ import annotations

from multiprocessing.pool import Pool

import pytest

from tests.simulation.__main__ import kept, main
from tests.simulation.processes import digest, explain, find_mutation, process_pool, run_seeds
from tests.simulation.scenario import scenario

A_BUG = "rejections without their proving condition"


def test_every_history_keeps_every_promise(pool: Pool) -> None:
    verdicts = list(run_seeds(pool, range(200)))
    assert [(verdict.failed, verdict.violation) for verdict in verdicts if verdict.violation] == []
    assert sum(verdict.runs for verdict in verdicts) == 200


def test_kept_seeds_do_not_fail_again(pool: Pool) -> None:
    assert [verdict.violation for verdict in run_seeds(pool, kept()) if verdict.violation] == []


def test_a_seed_gives_the_same_history_in_every_process(pool: Pool) -> None:
    seeds = range(20)
    with process_pool(1) as other:
        assert other.map(digest, seeds) == pool.map(digest, seeds)


def test_the_transcript_of_a_failure_is_shrunk_and_ends_at_the_violation(pool: Pool) -> None:
    seed = pool.apply(find_mutation, (A_BUG,)).failed
    assert seed is not None
    told = pool.apply(explain, (seed, A_BUG)).splitlines()
    assert told[0].startswith(f"seed {seed} violates “5 rejections are true”")
    assert "REJECTED; Put consumer" in told[-1]
    assert told[-1].endswith(" -> ok")
    messages = told[told.index("messages:") + 1 : told.index("what happened:")]
    assert len(messages) < len(scenario(seed).messages)


def test_the_command_line_says_what_it_ran(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "20", "--start", "7", "--processes", "1"]) == 0
    out = capsys.readouterr().out
    assert "seeds 7 to 26" in out
    assert "histories with" in out
