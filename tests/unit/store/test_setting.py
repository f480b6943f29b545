from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core.adjustments import Adjustment, IdempotencyKey
from chalicelib.core.catalogue import Stock
from chalicelib.core.moments import iso
from chalicelib.errors import Contended, IdempotencyKeyReused, QuantityMismatch, Unreachable
from chalicelib.store.adjustments import Adjustments
from tests.support.engines import Call, FakeStage, Scripted, faults
from tests.unit.store.builders import NOW, change_items, concurrent_write, put_stock, quantity_of

KEY = IdempotencyKey("alice", "k-1")
RECEIVED = Adjustment(5, "RECEIVED", "po-7")


@pytest.mark.parametrize("expected", [None, 2])
def test_stock_is_set(adjustments: Adjustments, stage: FakeStage, expected: int | None) -> None:
    put_stock(stage, "A", 2)
    stage.dynamodb.counts.clear()
    assert adjustments.set_quantity("A", 9, NOW, expected) == Stock("A", 9, iso(NOW))
    assert quantity_of(stage, "A") == 9
    assert stage.dynamodb.counts == {"get_item": 1, "transact_write_items": 1}


def test_a_setting_is_recorded_with_its_result(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 12)
    adjustments.set_quantity("A", 9, NOW)
    (record,) = change_items(stage)
    assert (record["delta"], record["reason"], record["sku"]) == ("-3", "SET", "A")
    assert record["answer"] == f'{{"sku": "A", "quantity": 9, "updated_at": "{iso(NOW)}"}}'


def test_stock_with_another_than_the_expected_quantity_is_not_set(
    adjustments: Adjustments, stage: FakeStage
) -> None:
    put_stock(stage, "A", 2)
    with pytest.raises(QuantityMismatch, match="2 in stock, not 3"):
        adjustments.set_quantity("A", 9, NOW, 3, KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (2, [])


def test_an_expected_quantity_of_0_is_checked(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    with pytest.raises(QuantityMismatch):
        adjustments.set_quantity("A", 9, NOW, 0)


def test_stock_that_changes_concurrently_is_read_again(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 4)]
    adjustments.set_quantity("A", 9, NOW)
    assert (quantity_of(stage, "A"), change_items(stage)[0]["delta"]) == (9, "5")


def test_an_expectation_that_a_concurrent_change_breaks_is_a_mismatch(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 4)]
    with pytest.raises(QuantityMismatch):
        adjustments.set_quantity("A", 9, NOW, 2)


def test_stock_that_changes_at_every_try_is_contention(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [
        concurrent_write(stage, "A", quantity) for quantity in (3, 4, 5)
    ]
    with pytest.raises(Contended):
        adjustments.set_quantity("A", 9, NOW, key=KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (5, [])


@pytest.mark.parametrize("expected", [None, 2])
def test_a_repeated_setting_gets_the_first_result(
    adjustments: Adjustments, stage: FakeStage, expected: int | None
) -> None:
    put_stock(stage, "A", 2)
    first = adjustments.set_quantity("A", 9, NOW, expected, KEY)
    put_stock(stage, "A", 50)
    assert adjustments.set_quantity("A", 9, NOW + timedelta(1), expected, KEY) == first
    assert quantity_of(stage, "A") == 50


@pytest.mark.parametrize("other", [(8, None), (9, 2)])
def test_another_setting_under_the_same_key_is_refused(
    adjustments: Adjustments, stage: FakeStage, other: tuple[int, int | None]
) -> None:
    put_stock(stage, "A", 2)
    adjustments.set_quantity("A", 9, NOW, key=KEY)
    with pytest.raises(IdempotencyKeyReused):
        adjustments.set_quantity("A", other[0], NOW, other[1], KEY)


def test_a_concurrent_repeat_is_recognised(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    answers: list[Stock] = []

    def concurrent_repeat(call: Call) -> Any:
        earlier = NOW - timedelta(seconds=1)
        answers.append(Adjustments(stage.dynamodb, stage.tables).set_quantity("A", 9, earlier, 2, KEY))
        return call.proceed()

    script.by_operation["transact_write_items"] = [concurrent_repeat]
    assert [adjustments.set_quantity("A", 9, NOW, 2, KEY)] == answers
    assert len(change_items(stage)) == 1


def test_a_setting_whose_response_is_lost_is_not_retried(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [faults.timed_out_after_effect]
    with pytest.raises(Unreachable):
        adjustments.set_quantity("A", 9, NOW)
    assert len(change_items(stage)) == 1
