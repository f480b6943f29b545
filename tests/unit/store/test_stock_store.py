from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.errors import NotFound, Throttled
from chalicelib.store.stock_store import StockStore
from tests.support.deadlines import at
from tests.support.engines import FakeStage, Scripted, faults
from tests.unit.builders import NOW, make_stock, put_stock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


DEADLINE = at(NOW)


@pytest.fixture
def store(client: DynamoDBClient, stage: FakeStage) -> StockStore:
    return StockStore(client, stage.tables)


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
