from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib.aws.deadline import BASE_SECONDS
from chalicelib.aws.dynamodb import Key, batch_get
from chalicelib.errors import OutOfTime, Throttled, Unreachable
from tests.support.deadlines import at
from tests.support.engines import FakeStage, Scripted
from tests.support.engines.faults import Partial, unreachable
from tests.unit.builders import NOW

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


READ = "batch_get_item"
DEADLINE = at(NOW)


def stock(stage: FakeStage, count: int) -> list[Key]:
    for number in range(count):
        item = {"sku": {"S": f"S{number}"}, "quantity": {"N": "1"}}
        stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item)
    return [(stage.tables.inventory_table, "sku", f"S{number}") for number in range(count)]


def test_no_keys_make_no_call(stage: FakeStage, client: DynamoDBClient) -> None:
    assert batch_get(client, [], DEADLINE) == {}
    assert not stage.dynamodb.counts[READ]


def test_a_hundred_keys_are_read_per_call(stage: FakeStage, client: DynamoDBClient) -> None:
    keys = stock(stage, 250)
    assert len(batch_get(client, keys, DEADLINE)) == 250
    assert stage.dynamodb.counts[READ] == 3


def test_repeated_keys_are_read_once_and_missing_items_are_omitted(
    stage: FakeStage, client: DynamoDBClient
) -> None:
    keys = stock(stage, 2)
    missing = (stage.tables.inventory_table, "sku", "X")
    assert batch_get(client, [*keys, missing, *keys], DEADLINE).keys() == set(keys)


def test_tables_are_read_together_and_consistently(stage: FakeStage, client: DynamoDBClient) -> None:
    (key,) = stock(stage, 1)
    order = (stage.tables.processed_events_table, "order_id", "S0")
    record = {"order_id": {"S": "S0"}}
    stage.dynamodb.put_item(TableName=order[0], Item=record)
    assert batch_get(client, [key, order], DEADLINE)[order] == record
    (call,) = [call for call in stage.dynamodb.calls if call.operation == READ]
    assert all(request["ConsistentRead"] for request in call.parameters["RequestItems"].values())


def test_unprocessed_keys_are_read_again_after_growing_pauses(
    stage: FakeStage, client: DynamoDBClient, script: Scripted
) -> None:
    keys = stock(stage, 5)
    script.by_operation[READ] = [Partial([0, 1, 2]), Partial([0, 1]), Partial([1])]
    pauses: list[float] = []
    assert batch_get(client, keys, at(NOW, pauses)).keys() == set(keys)
    assert len(pauses) == 3
    assert all(0 <= seconds <= BASE_SECONDS * 2**attempt for attempt, seconds in enumerate(pauses))


def test_keys_unprocessed_after_six_pauses_are_throttled(
    stage: FakeStage, client: DynamoDBClient, script: Scripted
) -> None:
    keys = stock(stage, 2)
    script.by_operation[READ] = [Partial([0])] * 100
    pauses: list[float] = []
    with pytest.raises(Throttled):
        batch_get(client, keys, at(NOW, pauses))
    assert len(pauses) == 6


def test_the_deadline_ends_the_retries_earlier(
    stage: FakeStage, client: DynamoDBClient, script: Scripted
) -> None:
    keys = stock(stage, 2)
    script.by_operation[READ] = [Partial([0])]
    left = iter([1.0, 1.0, 0.0])
    with pytest.raises(OutOfTime):
        batch_get(client, keys, replace(DEADLINE, remaining=lambda: next(left)))
    assert stage.dynamodb.counts[READ] == 1


def test_no_call_is_begun_when_the_deadline_is_near(stage: FakeStage, client: DynamoDBClient) -> None:
    with pytest.raises(OutOfTime):
        batch_get(client, stock(stage, 1), replace(DEADLINE, remaining=lambda: 0.0))
    assert not stage.dynamodb.counts[READ]


def test_errors_of_aws_become_ours(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    script.by_operation[READ] = [unreachable]
    with pytest.raises(Unreachable):
        batch_get(client, stock(stage, 1), DEADLINE)
