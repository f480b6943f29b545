"""Load on a stage while requests fail and instances die; `tests.faults.experiment` verifies each run."""

import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.faults import http_faults
from tests.faults.conftest import RunExperiment
from tests.faults.faulty_proxy import Fault, no_fault
from tests.faults.http_faults import RandomFaults


def long(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test of half a minute of faults, which `make faults` runs."""
    marked: Callable[..., Any] = pytest.mark.faults(pytest.mark.timeout(400)(test))
    return marked


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
            run.wait_for(lambda: random_faults.counts.total() >= 20)

    assert run.instances.ended[-signal.SIGKILL] > 0


def test_outages_of_dynamodb_sqs_and_the_oms_queue(run_experiment: RunExperiment) -> None:
    with run_experiment(visibility=2) as run, run.under_load(orders=200, seconds=8):
        time.sleep(1)
        run.dynamodb.outage(2)
        time.sleep(1)
        run.sqs.outage(2)
        run.sqs.script = http_faults.oms_queue_refuses("AccessDenied", 403)
        time.sleep(4)


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
    with run_experiment(units=300) as run:
        random_faults = run.dynamodb.script = run.sqs.script = RandomFaults(run.rng, faults, rate)
        with run.under_load(orders=600, seconds=28):
            time.sleep(30)
            run.wait_for(lambda: random_faults.have_occurred(faults))


@long
@pytest.mark.parametrize("service", ["dynamodb", "sqs"])
def test_an_outage_of_half_a_minute(run_experiment: RunExperiment, service: str) -> None:
    with run_experiment(units=300) as run, run.under_load(orders=600, seconds=36):
        time.sleep(3)
        getattr(run, service).outage(30)
        time.sleep(3)


@long
@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("AWS.SimpleQueueService.NonExistentQueue", 400)]
)
def test_the_oms_queue_refuses_for_half_a_minute(
    run_experiment: RunExperiment, code: str, status: int
) -> None:
    with run_experiment(units=300, visibility=4) as run, run.under_load(orders=600, seconds=36):
        time.sleep(3)
        run.sqs.script = http_faults.oms_queue_refuses(code, status)
        time.sleep(30)
        run.sqs.script = no_fault
        time.sleep(3)

    assert run.dead, "the queue refused for too short a time"


@long
def test_four_consumers_are_killed_repeatedly(run_experiment: RunExperiment) -> None:
    with run_experiment(units=300, instances=4) as run:
        faults = [run.instances.killed_before_effect, run.instances.killed_after_effect]
        random_faults = run.dynamodb.script = run.sqs.script = RandomFaults(run.rng, faults, rate=0.05)
        with run.under_load(orders=600, seconds=28):
            run.kill_at_random(30, pause=3)
            run.wait_for(lambda: random_faults.have_occurred(faults))


@long
@pytest.mark.parametrize("repetition", range(1, 4))
def test_everything_at_once(run_experiment: RunExperiment, repetition: int) -> None:
    with run_experiment(units=300, instances=3, visibility=3) as run:
        killed = [run.instances.killed_before_effect, run.instances.killed_after_effect]
        faults = [*http_faults.TRANSIENT, *http_faults.TIMEOUTS, *killed]
        run.dynamodb.script = run.sqs.script = RandomFaults(run.rng, faults, rate=0.15)
        with run.under_load(orders=600, seconds=28):
            for proxy in (run.dynamodb, run.sqs):
                run.kill_at_random(10, pause=3)
                proxy.outage(5)
