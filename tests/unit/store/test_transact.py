from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from chalicelib.errors import Contended, Throttled, TransactionCancelled, Unreachable
from chalicelib.store.transact import few_tries, transact
from tests.support.engines import FakeStage, Scripted, faults

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def three() -> Iterator[int]:
    return iter(range(3))


def put(stage: FakeStage, sku: str) -> dict[str, object]:
    item = {"sku": {"S": sku}}
    condition = "attribute_not_exists(sku)"
    return {
        "Put": {"TableName": stage.tables.inventory_table, "Item": item, "ConditionExpression": condition}
    }


def test_a_conflict_is_retried(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    script.by_operation["transact_write_items"] = [faults.Conflict(), faults.Conflict()]
    transact(client, [put(stage, "A")], three)
    assert stage.dynamodb.snapshot()[stage.tables.inventory_table].keys() == {"A"}


def test_a_conflict_beside_a_failed_condition_is_retried(
    stage: FakeStage, client: DynamoDBClient, script: Scripted
) -> None:
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item={"sku": {"S": "A"}})
    script.by_operation["transact_write_items"] = [faults.Conflict([1])]
    with pytest.raises(TransactionCancelled) as cancelled:
        transact(client, [put(stage, "A"), put(stage, "B")], three)
    assert [reason.code for reason in cancelled.value.reasons] == ["ConditionalCheckFailed", "None"]
    assert len(script.results) == 2


def test_endless_conflicts_are_contention(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    script.by_operation["transact_write_items"] = [faults.Conflict()] * 3
    with pytest.raises(Contended):
        transact(client, [put(stage, "A")], three)
    assert script.by_operation["transact_write_items"] == []


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_endless_throttling_is_throttled(
    stage: FakeStage, client: DynamoDBClient, script: Scripted, code: str
) -> None:
    script.by_operation["transact_write_items"] = [faults.Conflict([0], code)] * 3
    with pytest.raises(Throttled):
        transact(client, [put(stage, "A")], three)


def test_a_lost_response_is_not_retried(stage: FakeStage, client: DynamoDBClient, script: Scripted) -> None:
    script.by_operation["transact_write_items"] = [faults.timed_out_after_effect]
    with pytest.raises(Unreachable):
        transact(client, [put(stage, "A")], three)
    assert len(script.results) == 1


def test_tries_are_limited_and_pause_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    assert list(few_tries()) == list(range(8))
    bounds = [0.02 * 2**attempt for attempt in range(7)]
    assert len(waits) == len(bounds)
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len({round(wait / bound, 6) for wait, bound in zip(waits, bounds, strict=True)}) > 1


def test_the_first_try_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    assert list(itertools.islice(few_tries(), 1)) == [0]
