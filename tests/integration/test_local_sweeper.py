import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.contracts.events import event_id
from chalicelib.domain.reservation import AnswerType, Outcome, Reference, Reservation
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import OweAnswers
from chalicelib.store.items import outbox_key, owed_to_item, reservation_to_item
from local.stage import Stage, open_stage
from local.sweeper import Sweeper
from tests.support.invariants import drain
from tests.support.local_stack import LocalStack

LONG_AGO = datetime.now(UTC) - timedelta(seconds=31)
ANSWER = json.dumps(
    {"type": "InventoryReserved", "event_id": event_id("o", AnswerType.RESERVED), "order_id": "o"}
)


def owe(stage: Stage) -> None:
    """Leave what a consumer leaves that died after its commit, 31 seconds ago."""
    record = Reservation("o", Outcome.RESERVED, iso(LONG_AGO), "c", {"A": 1}, ANSWER, change="change-1")
    item = reservation_to_item(record, int(time.time()) + 3600)
    stage.dynamodb.put_item(TableName=stage.tables.processed_events_table, Item=item)
    owed = owed_to_item(OweAnswers("change-1", [Reference("o")]), LONG_AGO)
    stage.dynamodb.put_item(TableName=stage.tables.outbox_table, Item=owed)


def is_owed(stage: Stage) -> bool:
    found = stage.dynamodb.get_item(
        TableName=stage.tables.outbox_table, Key=outbox_key("change-1"), ConsistentRead=True
    )
    return "Item" in found


def test_the_stack_sends_an_answer_that_a_dead_consumer_owes(tmp_path: Any) -> None:
    with LocalStack(tmp_path) as stack:
        stage = open_stage(stack.env["AWS_ENDPOINT_URL"], stack.env["AWS_ACCESS_KEY_ID"])
        owe(stage)
        deadline = time.monotonic() + 30
        while is_owed(stage):
            assert time.monotonic() < deadline, "nobody sends the answer"
            time.sleep(0.2)
        assert drain(stage, stage.oms_queue_url) == [ANSWER]
        said = stack.stop()
    assert stack.process.returncode == 0
    assert "Traceback" not in said


def test_a_call_has_the_event_of_a_schedule_and_a_time_limit() -> None:
    calls: list[tuple[dict[str, Any], Any]] = []
    Sweeper(lambda event, context: calls.append((event, context)), every=0, time_limit=2).sweep()
    ((event, context),) = calls
    assert (event["source"], event["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    assert 0 < context.get_remaining_time_in_millis() <= 2000
    assert context.aws_request_id


def test_calls_have_a_pause_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100)
    monkeypatch.setattr("local.sweeper.time", SimpleNamespace(monotonic=lambda: clock.now))
    called_at: list[int] = []
    sweeper = Sweeper(lambda event, context: called_at.append(clock.now), every=4, time_limit=1)
    for clock.now in (101, 104, 105, 107, 109):
        sweeper.sweep_if_due()
    assert called_at == [104, 109]


def test_an_error_does_not_end_the_calls() -> None:
    calls: list[Any] = []

    def failing(event: Any, context: Any) -> None:
        calls.append(event)
        raise RuntimeError("no table")

    sweeper = Sweeper(failing, every=0, time_limit=1)
    sweeper.sweep_if_due()
    sweeper.sweep_if_due()
    assert len(calls) == 2
