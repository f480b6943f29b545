from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import pytest

from chalicelib.errors import OutOfTime, Throttled, Unreachable
from chalicelib.store import batch_get as module
from chalicelib.store.batch_get import Key, batch_get, brief_pause
from tests.support.engines import FakeStage, Scripted
from tests.support.engines.faults import Partial, unreachable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

READ = "batch_get_item"


def stock(stage: FakeStage, count: int) -> list[Key]:
    for number in range(count):
        item = {"sku": {"S": f"S{number}"}, "quantity": {"N": "1"}}
        stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item)
    return [(stage.tables.inventory_table, "sku", f"S{number}") for number in range(count)]


class Pauses(list[int]):
    """Pauses that do not wait; the list has the numbers of their tries."""

    def __call__(self, attempt: int) -> None:
        self.append(attempt)


def no_pause(attempt: int) -> None:
    pass


def test_no_keys_make_no_call(stage: FakeStage, client: DynamoDBClient) -> None:
    assert batch_get(client, [], no_pause) == {}
    assert not stage.dynamodb.counts[READ]


def test_a_hundred_keys_are_read_per_call(stage: FakeStage, client: DynamoDBClient) -> None:
    keys = stock(stage, 250)
    assert len(batch_get(client, keys, no_pause)) == 250
    assert stage.dynamodb.counts[READ] == 3


def test_repeated_keys_are_read_once_and_missing_items_are_omitted(
    stage: FakeStage, client: DynamoDBClient
) -> None:
    keys = stock(stage, 2)
    missing = (stage.tables.inventory_table, "sku", "X")
    assert batch_get(client, [*keys, missing, *keys], no_pause).keys() == set(keys)


def test_tables_are_read_together_and_consistently(stage: FakeStage, client: DynamoDBClient) -> None:
    (key,) = stock(stage, 1)
    order = (stage.tables.processed_events_table, "order_id", "S0")
    record = {"order_id": {"S": "S0"}}
    stage.dynamodb.put_item(TableName=order[0], Item=record)
    assert batch_get(client, [key, order], no_pause)[order] == record
    (call,) = [call for call in stage.dynamodb.calls if call.operation == READ]
    assert all(request["ConsistentRead"] for request in call.parameters["RequestItems"].values())


def test_unprocessed_keys_are_read_again_after_growing_pauses(
    stage: FakeStage, client: DynamoDBClient, script: Scripted
) -> None:
    keys = stock(stage, 5)
    script.by_operation[READ] = [Partial([0, 1, 2]), Partial([0, 1]), Partial([1])]
    pauses = Pauses()
    assert batch_get(client, keys, pauses).keys() == set(keys)
    assert pauses == [0, 1, 2]


def test_keys_unprocessed_after_six_pauses_are_throttled(
    stage: FakeStage, client: DynamoDBClient, script: Scripted
) -> None:
    keys = stock(stage, 2)
    script.by_operation[READ] = [Partial([0])] * 100
    pauses = Pauses()
    with pytest.raises(Throttled):
        batch_get(client, keys, pauses)
    assert pauses == [0, 1, 2, 3, 4, 5]


def test_the_pause_may_give_up_earlier(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    def out_of_time(attempt: int) -> None:
        raise OutOfTime

    keys = stock(stage, 2)
    script.by_operation[READ] = [Partial([0])]
    with pytest.raises(OutOfTime):
        batch_get(client, keys, out_of_time)


def test_errors_of_aws_become_ours(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    script.by_operation[READ] = [unreachable]
    with pytest.raises(Unreachable):
        batch_get(client, stock(stage, 1), no_pause)


def test_a_brief_pause_waits_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep: Callable[[float], None] = waited.append
    monkeypatch.setattr(module, "sleep", sleep)
    for attempt in range(6):
        brief_pause(attempt, Random(attempt))
    assert len(waited) == 6
    assert all(0 <= seconds <= 0.02 * 2**attempt for attempt, seconds in enumerate(waited))
