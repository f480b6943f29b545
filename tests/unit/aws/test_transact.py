from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib.aws.dynamodb import transact
from chalicelib.errors import Contended, OutOfTime, Throttled, TransactionCancelled, Unreachable
from tests.support.deadlines import at
from tests.support.engines import FakeStage, Scripted, faults
from tests.unit.builders import NOW

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


DEADLINE = at(NOW)


def put(stage: FakeStage, sku: str) -> dict[str, object]:
    item = {"sku": {"S": sku}}
    condition = "attribute_not_exists(sku)"
    return {
        "Put": {"TableName": stage.tables.inventory_table, "Item": item, "ConditionExpression": condition}
    }


def test_a_conflict_is_retried(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    script.by_operation["transact_write_items"] = [faults.Conflict(), faults.Conflict()]
    transact(client, [put(stage, "A")], DEADLINE)
    assert stage.dynamodb.snapshot()[stage.tables.inventory_table].keys() == {"A"}


def test_a_conflict_beside_a_failed_condition_is_retried(
    stage: FakeStage, client: DynamoDBClient, script: Scripted
) -> None:
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item={"sku": {"S": "A"}})
    script.by_operation["transact_write_items"] = [faults.Conflict([1])]
    with pytest.raises(TransactionCancelled) as cancelled:
        transact(client, [put(stage, "A"), put(stage, "B")], DEADLINE)
    assert [reason.code for reason in cancelled.value.reasons] == ["ConditionalCheckFailed", "None"]
    assert len(script.results) == 2


def test_endless_conflicts_are_contention(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    script.by_operation["transact_write_items"] = [faults.Conflict()] * 8
    with pytest.raises(Contended):
        transact(client, [put(stage, "A")], DEADLINE)
    assert script.by_operation["transact_write_items"] == []


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_endless_throttling_is_throttled(
    stage: FakeStage, client: DynamoDBClient, script: Scripted, code: str
) -> None:
    script.by_operation["transact_write_items"] = [faults.Conflict([0], code)] * 8
    with pytest.raises(Throttled):
        transact(client, [put(stage, "A")], DEADLINE)


def test_a_lost_response_is_not_retried(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    script.by_operation["transact_write_items"] = [faults.timed_out_after_effect]
    with pytest.raises(Unreachable):
        transact(client, [put(stage, "A")], DEADLINE)
    assert len(script.results) == 1


def test_the_deadline_ends_the_retries_earlier(
    stage: FakeStage, client: DynamoDBClient, script: Scripted
) -> None:
    script.by_operation["transact_write_items"] = [faults.Conflict()] * 8
    left = iter([1.0, 1.0, 0.0])
    with pytest.raises(Contended):
        transact(client, [put(stage, "A")], replace(DEADLINE, remaining=lambda: next(left)))
    assert len(script.by_operation["transact_write_items"]) == 6


def test_no_transaction_is_begun_when_the_deadline_is_near(stage: FakeStage, client: DynamoDBClient) -> None:
    with pytest.raises(OutOfTime):
        transact(client, [put(stage, "A")], replace(DEADLINE, remaining=lambda: 0.0))
    assert not stage.dynamodb.counts
