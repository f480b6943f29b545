from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.stock import MAX_STOCK, Stock
from chalicelib.domain.timestamps import iso
from chalicelib.errors import NotFound, Throttled, Unreachable
from chalicelib.store.product_store import ProductStore
from chalicelib.store.stock_store import StockStore
from tests.support.deadlines import at
from tests.support.engines import FakeStage, Scripted, faults
from tests.unit.builders import NOW, make_product, make_stock, put_old_stock, put_stock, stock_item

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from local.stage import Stage


DEADLINE = at(NOW)


@pytest.fixture
def store(client: DynamoDBClient, stage: FakeStage | Stage) -> StockStore:
    return StockStore(client, stage.tables)


@pytest.fixture
def products(client: DynamoDBClient, stage: FakeStage | Stage) -> ProductStore:
    return ProductStore(client, stage.tables)


def test_stock_is_found_by_its_sku(store: StockStore, stage: FakeStage) -> None:
    put_stock(stage, "A", 7)
    assert store.get("A", DEADLINE) == store.find("A", DEADLINE) == make_stock("A", 7)


def test_an_unknown_sku_is_not_found(store: StockStore) -> None:
    assert store.find("A", DEADLINE) is None
    with pytest.raises(NotFound):
        store.get("A", DEADLINE)


def test_only_existing_levels_are_returned(store: StockStore, stage: FakeStage) -> None:
    put_stock(stage, "A", 1)
    put_stock(stage, "B", 2)
    assert store.levels(["B", "C", "A"], DEADLINE) == {"A": make_stock("A", 1), "B": make_stock("B", 2)}


def test_no_skus_make_no_call(store: StockStore, stage: FakeStage) -> None:
    assert store.levels([], DEADLINE) == {}
    assert not stage.dynamodb.calls


def test_levels_of_100_skus_take_one_call(store: StockStore, stage: FakeStage) -> None:
    skus = [f"S{number}" for number in range(100)]
    for sku in skus:
        put_stock(stage, sku, 1)
    stage.dynamodb.counts.clear()
    assert store.levels(skus, DEADLINE).keys() == set(skus)
    assert stage.dynamodb.counts == {"batch_get_item": 1}


def test_unprocessed_keys_are_read_again(store: StockStore, stage: FakeStage, script: Scripted) -> None:
    for sku in "ABCD":
        put_stock(stage, sku, 1)
    script.by_operation["batch_get_item"] = [faults.Partial([0, 1, 2]), faults.Partial([0, 1])]
    assert store.levels("ABCD", DEADLINE).keys() == set("ABCD")


def test_keys_that_stay_unprocessed_are_throttled(store: StockStore, script: Scripted) -> None:
    script.by_operation["batch_get_item"] = [faults.Partial([0])] * 10
    with pytest.raises(Throttled):
        store.levels(["A"], DEADLINE)


def test_every_read_is_consistent(store: StockStore, stage: FakeStage) -> None:
    store.find("A", DEADLINE)
    store.levels(["A"], DEADLINE)
    store.page(1, None, DEADLINE)
    reads = [call.parameters for call in stage.dynamodb.calls]
    batch = reads[1]["RequestItems"][stage.tables.inventory_table]
    assert [reads[0]["ConsistentRead"], batch["ConsistentRead"], reads[2]["ConsistentRead"]] == [True] * 3


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
def test_pages_show_every_level_once(store: StockStore, stage: FakeStage, limit: int) -> None:
    skus = [f"S{number}" for number in range(10)]
    for sku in skus:
        put_stock(stage, sku, 1)
    seen: list[str] = []
    page, last = store.page(limit, None, DEADLINE)
    while True:
        assert len(page) <= limit
        seen += [stock.sku for stock in page]
        if last is None:
            break
        page, last = store.page(limit, last, DEADLINE)
    assert sorted(seen) == skus


@pytest.mark.parametrize("point", [0, 5, MAX_STOCK])
def test_a_reorder_point_is_set_and_cleared(store: StockStore, products: ProductStore, point: int) -> None:
    products.create(make_product(), DEADLINE)
    later = at(NOW + timedelta(1))
    assert store.set_reorder_point("A", point, later) == Stock("A", 0, iso(later.now()), 0, 2, point)
    assert store.find("A", DEADLINE) == Stock("A", 0, iso(later.now()), 0, 2, point)
    assert store.set_reorder_point("A", None, DEADLINE) == Stock("A", 0, iso(NOW), 0, 3, None)
    assert store.find("A", DEADLINE) == Stock("A", 0, iso(NOW), 0, 3, None)


def test_an_unknown_sku_gets_no_reorder_point(store: StockStore) -> None:
    for point in (5, None):
        with pytest.raises(NotFound):
            store.set_reorder_point("A", point, DEADLINE)
    assert store.find("A", DEADLINE) is None


def test_a_reorder_point_is_one_call_and_a_commit_that_leaves_the_units(
    store: StockStore, stage: FakeStage
) -> None:
    put_stock(stage, "A", 7, reserved=3, version=6)
    stage.dynamodb.counts.clear()
    assert store.set_reorder_point("A", 9, DEADLINE) == Stock("A", 7, iso(NOW), 3, 7, 9)
    assert stage.dynamodb.counts == {"update_item": 1}
    first = stock_item(stage, "A")["change"]
    store.set_reorder_point("A", 9, DEADLINE)
    assert len({"earlier", first, stock_item(stage, "A")["change"]}) == 3


def test_stock_of_version_1_1_may_get_a_reorder_point(store: StockStore, stage: FakeStage) -> None:
    put_old_stock(stage, "A", 7)
    assert store.set_reorder_point("A", 5, DEADLINE) == Stock("A", 7, iso(NOW), 0, 1, 5)


def test_a_reorder_point_may_be_set_again_after_a_lost_response(
    store: StockStore, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 7)
    script.by_operation["update_item"] = [faults.timed_out_after_effect]
    with pytest.raises(Unreachable):
        store.set_reorder_point("A", 5, DEADLINE)
    assert store.set_reorder_point("A", 5, DEADLINE) == Stock("A", 7, iso(NOW), 0, 3, 5)


def test_a_reorder_point_waits_for_transactions_on_its_sku(
    store: StockStore, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 7)
    script.by_operation["update_item"] = [faults.Conflict(), faults.throttled, faults.Conflict()]
    assert store.set_reorder_point("A", 5, DEADLINE) == Stock("A", 7, iso(NOW), 0, 2, 5)


def test_endless_conflicts_of_a_reorder_point_are_throttled(
    store: StockStore, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 7)
    script.by_operation["update_item"] = [faults.Conflict()] * 4
    with pytest.raises(Throttled):
        store.set_reorder_point("A", 5, DEADLINE)
    assert store.get("A", DEADLINE) == make_stock("A", 7)
    assert script.by_operation["update_item"] == []


def test_a_product_that_is_created_again_has_no_reorder_point(
    store: StockStore, products: ProductStore
) -> None:
    products.create(make_product(), DEADLINE)
    store.set_reorder_point("A", 5, DEADLINE)
    products.delete("A", DEADLINE)
    assert products.create(make_product(), DEADLINE).reorder_point is None
    assert store.get("A", DEADLINE).reorder_point is None
