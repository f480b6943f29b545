from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.stock import Adjustment, IdempotencyKey, Stock
from chalicelib.domain.timestamps import iso
from chalicelib.errors import Contended, IdempotencyKeyReused, QuantityMismatch, Unreachable
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.stock_store import StockStore
from tests.support.deadlines import at
from tests.support.engines import Call, FakeStage, Scripted, faults
from tests.unit.builders import (
    NOW,
    change_items,
    concurrent_write,
    put_old_stock,
    put_stock,
    quantity_of,
    stock_item,
)

KEY = IdempotencyKey("alice", "k-1")
DEADLINE = at(NOW)
RECEIVED = Adjustment(5, "RECEIVED", "po-7")


@pytest.mark.parametrize("expected", [None, 2])
def test_stock_is_set(changes: StockChanges, stage: FakeStage, expected: int | None) -> None:
    put_stock(stage, "A", 2)
    stage.dynamodb.counts.clear()
    assert changes.set_quantity("A", 9, DEADLINE, expected) == Stock("A", 9, iso(NOW), version=2)
    assert quantity_of(stage, "A") == 9
    assert stage.dynamodb.counts == {"get_item": 1, "transact_write_items": 1}


def test_a_setting_is_recorded_with_its_result(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 12)
    changes.set_quantity("A", 9, DEADLINE)
    (record,) = change_items(stage)
    assert (record["delta"], record["reason"], record["sku"]) == ("-3", "SET", "A")
    assert record["change"] == stock_item(stage, "A")["change"]
    assert record["answer"] == (
        f'{{"sku": "A", "quantity": 9, "updated_at": "{iso(NOW)}", '
        '"reserved": 0, "version": 2, "reorder_point": null}'
    )


def test_a_setting_leaves_the_reserved_units_alone(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 12, reserved=3, version=6)
    result = changes.set_quantity("A", 9, DEADLINE)
    assert result == Stock("A", 9, iso(NOW), reserved=3, version=7)
    assert StockStore(stage.dynamodb, stage.tables).find("A", DEADLINE) == result


def test_stock_of_version_1_1_is_set_and_counts_its_changes_from_then_on(
    changes: StockChanges, stage: FakeStage
) -> None:
    put_old_stock(stage, "A", 12)
    assert [changes.set_quantity("A", 9, DEADLINE).version for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("old", [False, True], ids=["version", "no version"])
def test_a_setting_notices_a_change_of_the_version_alone(
    changes: StockChanges, stage: FakeStage, script: Scripted, old: bool
) -> None:
    (put_old_stock if old else put_stock)(stage, "A", 2)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 2, reserved=5, version=8)]
    assert changes.set_quantity("A", 9, DEADLINE) == Stock("A", 9, iso(NOW), reserved=5, version=9)


def test_a_setting_notices_a_change_by_version_1_1(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2, version=6)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 4, version=6)]
    changes.set_quantity("A", 9, DEADLINE)
    assert change_items(stage)[0]["delta"] == "5"


def test_stock_with_another_than_the_expected_quantity_is_not_set(
    changes: StockChanges, stage: FakeStage
) -> None:
    put_stock(stage, "A", 2)
    with pytest.raises(QuantityMismatch, match="2 in stock, not 3"):
        changes.set_quantity("A", 9, DEADLINE, 3, KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (2, [])


def test_an_expected_quantity_of_0_is_checked(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    with pytest.raises(QuantityMismatch):
        changes.set_quantity("A", 9, DEADLINE, 0)


def test_stock_that_changes_concurrently_is_read_again(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 4)]
    changes.set_quantity("A", 9, DEADLINE)
    assert (quantity_of(stage, "A"), change_items(stage)[0]["delta"]) == (9, "5")


def test_an_expectation_that_a_concurrent_change_breaks_is_a_mismatch(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 4)]
    with pytest.raises(QuantityMismatch):
        changes.set_quantity("A", 9, DEADLINE, 2)


def test_stock_that_changes_at_every_try_is_contention(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [
        concurrent_write(stage, "A", quantity) for quantity in range(3, 11)
    ]
    with pytest.raises(Contended):
        changes.set_quantity("A", 9, DEADLINE, key=KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (10, [])


@pytest.mark.parametrize("expected", [None, 2])
def test_a_repeated_setting_gets_the_first_result(
    changes: StockChanges, stage: FakeStage, expected: int | None
) -> None:
    put_stock(stage, "A", 2)
    first = changes.set_quantity("A", 9, DEADLINE, expected, KEY)
    put_stock(stage, "A", 50)
    assert changes.set_quantity("A", 9, at(NOW + timedelta(1)), expected, KEY) == first
    assert quantity_of(stage, "A") == 50


@pytest.mark.parametrize("other", [(8, None), (9, 2)])
def test_another_setting_under_the_same_key_is_refused(
    changes: StockChanges, stage: FakeStage, other: tuple[int, int | None]
) -> None:
    put_stock(stage, "A", 2)
    changes.set_quantity("A", 9, DEADLINE, key=KEY)
    with pytest.raises(IdempotencyKeyReused):
        changes.set_quantity("A", other[0], DEADLINE, other[1], KEY)


def test_a_concurrent_repeat_is_recognised(changes: StockChanges, stage: FakeStage, script: Scripted) -> None:
    put_stock(stage, "A", 2)
    answers: list[Stock] = []

    def concurrent_repeat(call: Call) -> Any:
        earlier = NOW - timedelta(seconds=1)
        answers.append(
            StockChanges(StockStore(stage.dynamodb, stage.tables)).set_quantity("A", 9, at(earlier), 2, KEY)
        )
        return call.proceed()

    script.by_operation["transact_write_items"] = [concurrent_repeat]
    assert [changes.set_quantity("A", 9, DEADLINE, 2, KEY)] == answers
    assert len(change_items(stage)) == 1


def test_a_setting_whose_response_is_lost_is_not_retried(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [faults.timed_out_after_effect]
    with pytest.raises(Unreachable):
        changes.set_quantity("A", 9, DEADLINE)
    assert len(change_items(stage)) == 1
