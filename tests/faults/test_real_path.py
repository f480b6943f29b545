"""Load on a stage while requests fail and instances die; `tests.faults.experiment` verifies each run."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.faults import http_faults
from tests.faults.conftest import RunExperiment
from tests.faults.experiment import MAX_RECEIVE_COUNT, TWO_MINUTES, Experiment
from tests.faults.faulty_proxy import Exchange, Fault, no_fault
from tests.faults.http_faults import RandomFaults, is_answer, oms_queue_meets
from tests.faults.instances import sender

TERRAFORMS_LEAST: Final = 20.0
"""The shortest time limit in seconds; the local one is shorter than a call that times out."""
TERRAFORMS_SWEEP: Final = 50.0
"""The time limit of the sweep in seconds."""


LONG: Final = (pytest.mark.faults, pytest.mark.timeout(400))
"""Marks of a test of half a minute of faults or more, which `make faults` runs."""


def long(test: Callable[..., Any]) -> Callable[..., Any]:
    """Put `LONG` on a test."""
    for mark in LONG:
        test = mark(test)
    return test


def test_faults_of_every_kind_and_kills(run_experiment: RunExperiment) -> None:
    with run_experiment() as run:
        faults = [
            *http_faults.TRANSIENT,
            run.instances.killed_before_effect,
            run.instances.killed_after_effect,
        ]
        random_faults = run.dynamodb.script = run.sqs.script = RandomFaults(run.rng, faults, rate=0.2)
        with run.under_load(orders=200, seconds=6):
            run.kill_at_random(5, pause=3)
            run.wait_for(lambda: random_faults.counts.total() >= 20 and bool(run.instances.senders_killed))

    assert run.instances.ended[-signal.SIGKILL] > 0


def test_outages_of_dynamodb_and_sqs(run_experiment: RunExperiment) -> None:
    with run_experiment(visibility=2) as run, run.under_load(orders=200, seconds=6):
        time.sleep(1)
        run.dynamodb.outage(2)
        time.sleep(1)
        run.sqs.outage(2)
        time.sleep(1)


@pytest.mark.parametrize(
    ("orders", "seconds", "visibility"),
    [pytest.param(100, 6, 1, id="6 s"), pytest.param(200, 60, 4, id="60 s", marks=LONG)],
)
def test_the_oms_queue_is_away_for_longer_than_a_message_has_deliveries(
    run_experiment: RunExperiment, orders: int, seconds: int, visibility: int
) -> None:
    """Here 60 s stand for an hour. The sweep is 15 times faster than on AWS, so `TWO_MINUTES` are 8 s."""
    assert seconds > visibility * MAX_RECEIVE_COUNT
    with run_experiment(
        instances=3,
        units=orders // 3,
        visibility=visibility,
        function_seconds=TERRAFORMS_LEAST,
        sweep_seconds=TERRAFORMS_SWEEP,
    ) as run:
        with run.under_load(orders, seconds + 1):
            time.sleep(1)
            _be_away(run, seconds)
            owed, returned = run.owed(), time.monotonic()
            run.sqs.script = no_fault
            run.wait_for(lambda: not owed.keys() & run.owed().keys())
            seconds_until_sent = time.monotonic() - returned
        run.measured = {
            "sweeps killed": sum(name.startswith("sweeper") for name in run.instances.senders_killed),
            "owed at its return": sum(owed.values()),
            "seconds until all were sent": round(seconds_until_sent, 1),
        }

    assert run.dead == [], "a valid message ended in the DLQ"
    assert owed
    assert seconds_until_sent < TWO_MINUTES.total_seconds()


def _be_away(run: Experiment, seconds: float) -> None:
    """Let every send to the OMS's queue fail for `seconds`, in each way in turn, while holds end.

    Sweeps are killed before and after they end holds, and half way as they send answers.
    """
    kills: list[Fault] = [run.instances.killed_after_effect, run.instances.killed_before_effect]
    ending = run.dynamodb.script = _SweepsKilled(kills, is_commit)
    refused = http_faults.refused
    ways = [
        refused("AccessDenied", 403),
        http_faults.timed_out_before_effect,
        refused("AWS.SimpleQueueService.NonExistentQueue", 400),
        http_faults.server_error,
        http_faults.unavailable,
        http_faults.reset_before_effect,
    ]
    for number, way in enumerate(ways):
        run.sqs.script = oms_queue_meets(way)
        time.sleep(seconds / len(ways))
        if number == len(ways) // 2:
            sending = run.sqs.script = _SweepsKilled([run.instances.killed_before_effect], is_answer, way)
            run.wait_for(sending.done)
    run.wait_for(ending.done)


@dataclass
class _SweepsKilled:
    """A script in which `meant` requests of sweeps meet one of `kills` each, and all others `way`."""

    kills: list[Fault]
    meant: Callable[[Exchange], bool]
    way: Fault | None = None

    def __call__(self, exchange: Exchange) -> Fault | None:
        if not self.meant(exchange):
            return None
        return self.kills.pop() if self.kills and sender(exchange).startswith("sweeper") else self.way

    def done(self) -> bool:
        """Whether all of `kills` have happened."""
        return not self.kills


def is_commit(exchange: Exchange) -> bool:
    return exchange.operation == "TransactWriteItems"


@long
@pytest.mark.parametrize(
    ("faults", "rate"),
    [
        pytest.param(http_faults.THROTTLES, 0.5, id="throttling"),
        pytest.param(http_faults.SERVER_ERRORS, 0.4, id="server errors"),
        pytest.param(http_faults.RESETS, 0.4, id="resets"),
        pytest.param(http_faults.TIMEOUTS, 0.3, id="slow and silent"),
    ],
)
def test_half_a_minute_of_one_kind_of_fault(
    run_experiment: RunExperiment, faults: Sequence[Fault], rate: float
) -> None:
    with run_experiment(units=150) as run:
        random_faults = run.dynamodb.script = run.sqs.script = RandomFaults(run.rng, faults, rate)
        with run.under_load(orders=400, seconds=28):
            time.sleep(30)
            run.wait_for(lambda: random_faults.have_occurred(faults))


@long
@pytest.mark.parametrize("service", ["dynamodb", "sqs"])
def test_an_outage_of_half_a_minute(run_experiment: RunExperiment, service: str) -> None:
    with run_experiment(units=150) as run, run.under_load(orders=400, seconds=36):
        time.sleep(3)
        getattr(run, service).outage(30)
        time.sleep(3)


@long
def test_four_consumers_are_killed_repeatedly(run_experiment: RunExperiment) -> None:
    with run_experiment(units=150, instances=4) as run:
        faults = [run.instances.killed_before_effect, run.instances.killed_after_effect]
        random_faults = run.dynamodb.script = run.sqs.script = RandomFaults(run.rng, faults, rate=0.05)
        with run.under_load(orders=400, seconds=28):
            run.kill_at_random(30, pause=3)
            run.wait_for(lambda: random_faults.have_occurred(faults))
            run.wait_for(lambda: bool(run.instances.senders_killed))


@long
@pytest.mark.parametrize("repetition", range(1, 4))
def test_everything_at_once(run_experiment: RunExperiment, repetition: int) -> None:
    with run_experiment(units=150, instances=3, visibility=3) as run:
        killed = [run.instances.killed_before_effect, run.instances.killed_after_effect]
        faults = [*http_faults.TRANSIENT, *http_faults.TIMEOUTS, *killed]
        run.dynamodb.script = run.sqs.script = RandomFaults(run.rng, faults, rate=0.15)
        with run.under_load(orders=400, seconds=28):
            for proxy in (run.dynamodb, run.sqs):
                run.kill_at_random(10, pause=3)
                proxy.outage(5)
