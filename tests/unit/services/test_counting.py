from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.domain.stock import (
    MAX_STOCK,
    Adjustment,
    Count,
    IdempotencyKey,
    Stock,
)
from chalicelib.domain.timestamps import iso
from chalicelib.errors import (
    BelowReserved,
    Contended,
    IdempotencyKeyReused,
    NotFound,
    Unreachable,
    VersionMismatch,
)
from chalicelib.services.stock_changes import Changed, StockChanges
from chalicelib.store.product_store import ProductStore
from chalicelib.store.stock_store import StockStore
from tests.support.deadlines import at
from tests.support.engines import Call, FakeStage, Scripted, faults
from tests.unit.builders import (
    NOW,
    change_items,
    concurrent_write,
    make_product,
    put_old_stock,
    put_stock,
    quantity_of,
    stock_item,
)

if TYPE_CHECKING:
    from local.stage import Stage

KEY = IdempotencyKey("alice", "k-1")
DEADLINE = at(NOW)


@pytest.fixture
def sku(stage: FakeStage | Stage) -> str:
    """The SKU of a new product, on either engine."""
    ProductStore(stage.dynamodb, stage.tables).create(make_product(), DEADLINE)
    return "A"


def test_counts_follow_the_stock(changes: StockChanges, sku: str) -> None:
    first = changes.count(sku, Count(7, 1), DEADLINE, KEY)
    assert first == Changed(Stock(sku, 7, iso(NOW), version=2), 7)
    assert changes.adjust(sku, Adjustment(2, "RECEIVED"), DEADLINE).version == 3
    with pytest.raises(VersionMismatch):
        changes.count(sku, Count(8, 2), DEADLINE)
    assert changes.count(sku, Count(8, 3), DEADLINE) == Changed(Stock(sku, 8, iso(NOW), version=4), -1)
    assert changes.count(sku, Count(7, 1), DEADLINE, KEY) == first
    assert changes.set_quantity(sku, 0, DEADLINE).version == 5
    assert changes.store.get(sku, DEADLINE) == Stock(sku, 0, iso(NOW), version=5)


@pytest.mark.parametrize(
    ("counted", "quantity", "difference"),
    [(10, 7, 0), (12, 9, 2), (4, 1, -6), (3, 0, -7), (MAX_STOCK, MAX_STOCK - 3, MAX_STOCK - 10)],
)
def test_a_count_is_of_all_units_and_leaves_the_reserved_ones(
    changes: StockChanges, stage: FakeStage, counted: int, quantity: int, difference: int
) -> None:
    put_stock(stage, "A", 7, reserved=3, version=6)
    stage.dynamodb.counts.clear()
    result = changes.count("A", Count(counted), DEADLINE)
    assert result == Changed(Stock("A", quantity, iso(NOW), 3, 7), difference)
    assert result.stock.on_hand == counted
    assert stage.dynamodb.counts == {"get_item": 1, "transact_write_items": 1}
    assert StockStore(stage.dynamodb, stage.tables).find("A", DEADLINE) == result.stock


def test_a_count_is_recorded(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 7, reserved=3, version=6)
    changes.count("A", Count(4, reference="shelf 9"), DEADLINE)
    (record,) = change_items(stage)
    assert (record["delta"], record["reason"], record["reference"]) == ("-6", "COUNTED", "shelf 9")
    assert record["change"] == stock_item(stage, "A")["change"]


def test_fewer_than_are_reserved_cannot_be_booked(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 7, reserved=3)
    with pytest.raises(BelowReserved, match="3 reserved, more than the 2 counted") as refused:
        changes.count("A", Count(2), DEADLINE, KEY)
    assert refused.value.reserved == 3
    assert (quantity_of(stage, "A"), change_items(stage)) == (7, [])
    assert changes.count("A", Count(3), DEADLINE, KEY).stock.quantity == 0


@pytest.mark.parametrize("expected", [0, 5, 7])
def test_a_count_of_another_version_is_refused(
    changes: StockChanges, stage: FakeStage, expected: int
) -> None:
    put_stock(stage, "A", 7, reserved=3, version=6)
    with pytest.raises(VersionMismatch, match=f"version 6, not {expected}"):
        changes.count("A", Count(0, expected), DEADLINE, KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (7, [])


def test_stock_of_version_1_1_has_version_0(changes: StockChanges, stage: FakeStage) -> None:
    put_old_stock(stage, "A", 7)
    with pytest.raises(VersionMismatch):
        changes.count("A", Count(5, 1), DEADLINE)
    assert changes.count("A", Count(5, 0), DEADLINE) == Changed(Stock("A", 5, iso(NOW), version=1), -2)
    with pytest.raises(VersionMismatch):
        changes.count("A", Count(5, 0), DEADLINE)


def test_an_unknown_sku_cannot_be_counted(changes: StockChanges, stage: FakeStage) -> None:
    with pytest.raises(NotFound):
        changes.count("A", Count(0), DEADLINE, KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (None, [])


def test_a_reservation_under_way_changes_what_a_count_leaves(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 7, version=6)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 5, reserved=2, version=7)]
    assert changes.count("A", Count(9), DEADLINE) == Changed(Stock("A", 7, iso(NOW), 2, 8), 2)


def test_a_shipment_under_way_makes_a_difference_though_the_quantity_stays(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 7, reserved=3, version=6)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 7, reserved=1, version=7)]
    assert changes.count("A", Count(10), DEADLINE) == Changed(Stock("A", 9, iso(NOW), 1, 8), 2)


@pytest.mark.parametrize(
    ("count", "error"), [(Count(9, expected_version=6), VersionMismatch), (Count(3), BelowReserved)]
)
def test_a_change_under_way_may_forbid_a_count(
    changes: StockChanges, stage: FakeStage, script: Scripted, count: Count, error: type[Exception]
) -> None:
    put_stock(stage, "A", 7, version=6)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 3, reserved=4, version=7)]
    with pytest.raises(error):
        changes.count("A", count, DEADLINE, KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (3, [])


def test_a_change_by_version_1_1_under_way_is_not_lost(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 7, version=6)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 4, version=6)]
    assert changes.count("A", Count(7), DEADLINE).delta == 3


def test_stock_that_changes_at_every_try_is_contention(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [
        concurrent_write(stage, "A", 2, version=version) for version in range(2, 10)
    ]
    with pytest.raises(Contended):
        changes.count("A", Count(9), DEADLINE, KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (2, [])


@pytest.mark.parametrize("expected", [None, 1])
def test_a_repeated_count_gets_the_first_result_and_difference(
    changes: StockChanges, stage: FakeStage, expected: int | None
) -> None:
    put_stock(stage, "A", 2)
    first = changes.count("A", Count(9, expected), DEADLINE, KEY)
    put_stock(stage, "A", 50, reserved=10, version=5)
    assert changes.count("A", Count(9, expected), at(NOW + timedelta(1)), KEY) == first
    assert (first.delta, quantity_of(stage, "A"), len(change_items(stage))) == (7, 50, 1)


@pytest.mark.parametrize("other", [Count(8), Count(9, 1), Count(9, reference="shelf 9")])
def test_another_count_under_the_same_key_is_refused(
    changes: StockChanges, stage: FakeStage, other: Count
) -> None:
    put_stock(stage, "A", 2)
    changes.count("A", Count(9), DEADLINE, KEY)
    with pytest.raises(IdempotencyKeyReused):
        changes.count("A", other, DEADLINE, KEY)
    with pytest.raises(IdempotencyKeyReused):
        changes.set_quantity("A", 9, DEADLINE, key=KEY)
    assert quantity_of(stage, "A") == 9


def test_a_concurrent_repeat_is_recognised(changes: StockChanges, stage: FakeStage, script: Scripted) -> None:
    put_stock(stage, "A", 2)
    results: list[Changed] = []

    def concurrent_repeat(call: Call) -> Any:
        earlier = at(NOW - timedelta(seconds=1))
        results.append(
            StockChanges(StockStore(stage.dynamodb, stage.tables)).count("A", Count(9), earlier, KEY)
        )
        return call.proceed()

    script.by_operation["transact_write_items"] = [concurrent_repeat]
    assert [changes.count("A", Count(9), DEADLINE, KEY)] == results
    assert len(change_items(stage)) == 1


def test_a_repeat_after_a_lost_response_books_nothing_more(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [faults.timed_out_after_effect]
    with pytest.raises(Unreachable):
        changes.count("A", Count(9, 1), DEADLINE, KEY)
    assert changes.count("A", Count(9, 1), DEADLINE, KEY) == Changed(Stock("A", 9, iso(NOW), version=2), 7)
    assert len(change_items(stage)) == 1


def test_a_reorder_point_set_meanwhile_is_in_the_result_of_a_count(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 7, version=6, reorder_point=4)
    set_meanwhile = concurrent_write(stage, "A", 7, version=7, reorder_point=5)
    script.by_operation["transact_write_items"] = [set_meanwhile]
    result = changes.count("A", Count(9), DEADLINE).stock
    assert result == Stock("A", 9, iso(NOW), 0, 8, reorder_point=5) == changes.store.get("A", DEADLINE)
