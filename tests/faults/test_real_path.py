"""A busy stage on which things go wrong; each run ends with the verdict of `tests.faults.scene`."""

import signal
import time

from tests.faults import mishaps
from tests.faults.conftest import Play
from tests.faults.mishaps import Weather


def test_faults_of_every_kind_and_kills(play: Play) -> None:
    with play() as run:
        faults = [*mishaps.PASSING, run.fleet.killed_before_effect, run.fleet.killed_after_effect]
        weather = run.dynamodb.script = run.sqs.script = Weather(run.rng, faults, rate=0.2)
        with run.busy(orders=200, seconds=6):
            run.kill_at_random(5, pause=3)
            run.wait_for(lambda: weather.struck.total() >= 20)

    assert run.fleet.ended[-signal.SIGKILL] > 0


def test_dynamodb_sqs_and_the_oms_queue_away_one_after_the_other(play: Play) -> None:
    with play(visibility=2) as run, run.busy(orders=200, seconds=8):
        time.sleep(1)
        run.dynamodb.away(2)
        time.sleep(1)
        run.sqs.away(2)
        run.sqs.script = mishaps.oms_queue_refuses("AccessDenied", 403)
        time.sleep(4)
