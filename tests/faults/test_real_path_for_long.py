"""The same for half a minute each: `make faults`."""

import time
from collections.abc import Sequence

import pytest

from tests.faults import mishaps
from tests.faults.conftest import Play
from tests.faults.gate import Fault, fair
from tests.faults.mishaps import Weather

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.mark.parametrize(
    ("faults", "rate"),
    [
        pytest.param(mishaps.THROTTLES, 0.5, id="throttling"),
        pytest.param(mishaps.SERVER_ERRORS, 0.4, id="server errors"),
        pytest.param(mishaps.RESETS, 0.4, id="resets"),
        pytest.param(mishaps.SILENCES, 0.3, id="slow and silent"),
    ],
)
def test_half_a_minute_of(play: Play, faults: Sequence[Fault], rate: float) -> None:
    with play(units=300) as run:
        weather = run.dynamodb.script = run.sqs.script = Weather(run.rng, faults, rate)
        with run.busy(orders=600, seconds=28):
            time.sleep(30)
            run.wait_for(lambda: weather.has_struck(faults))


@pytest.mark.parametrize("service", ["dynamodb", "sqs"])
def test_away_for_half_a_minute(play: Play, service: str) -> None:
    with play(units=300) as run, run.busy(orders=600, seconds=36):
        time.sleep(3)
        getattr(run, service).away(30)
        time.sleep(3)


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("AWS.SimpleQueueService.NonExistentQueue", 400)]
)
def test_the_oms_queue_refuses_for_half_a_minute(play: Play, code: str, status: int) -> None:
    with play(units=300, visibility=4) as run, run.busy(orders=600, seconds=36):
        time.sleep(3)
        run.sqs.script = mishaps.oms_queue_refuses(code, status)
        time.sleep(30)
        run.sqs.script = fair
        time.sleep(3)

    assert run.dead, "the queue was not away for long enough"


def test_four_consumers_killed_again_and_again(play: Play) -> None:
    with play(units=300, instances=4) as run:
        faults = [run.fleet.killed_before_effect, run.fleet.killed_after_effect]
        weather = run.dynamodb.script = run.sqs.script = Weather(run.rng, faults, rate=0.05)
        with run.busy(orders=600, seconds=28):
            run.kill_at_random(30, pause=3)
            run.wait_for(lambda: weather.has_struck(faults))


@pytest.mark.parametrize("time_of_many", range(1, 4))
def test_everything_at_once(play: Play, time_of_many: int) -> None:
    with play(units=300, instances=3, visibility=3) as run:
        killed = [run.fleet.killed_before_effect, run.fleet.killed_after_effect]
        faults = [*mishaps.PASSING, *mishaps.SILENCES, *killed]
        run.dynamodb.script = run.sqs.script = Weather(run.rng, faults, rate=0.15)
        with run.busy(orders=600, seconds=28):
            for gate in (run.dynamodb, run.sqs):
                run.kill_at_random(10, pause=3)
                gate.away(5)
