from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.core.catalogue import Stock
from chalicelib.errors import NotFound, Throttled
from chalicelib.store.inventory import Inventory
from tests.support.engines import FakeStage, Scripted, faults
from tests.unit.store.builders import THEN, put_stock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def inventory(client: DynamoDBClient, stage: FakeStage) -> Inventory:
    return Inventory(client, stage.tables)


def test_stock_is_found_by_its_sku(inventory: Inventory, stage: FakeStage) -> None:
    put_stock(stage, "A", 7)
    assert inventory.get("A") == inventory.find("A") == Stock("A", 7, THEN)


def test_an_unknown_sku_is_not_found(inventory: Inventory) -> None:
    assert inventory.find("A") is None
    with pytest.raises(NotFound):
        inventory.get("A")


def test_only_existing_levels_are_returned(inventory: Inventory, stage: FakeStage) -> None:
    put_stock(stage, "A", 1)
    put_stock(stage, "B", 2)
    assert inventory.levels(["B", "C", "A"]) == {"A": Stock("A", 1, THEN), "B": Stock("B", 2, THEN)}


def test_no_skus_make_no_call(inventory: Inventory, stage: FakeStage) -> None:
    assert inventory.levels([]) == {}
    assert not stage.dynamodb.calls


def test_levels_of_100_skus_take_one_call(inventory: Inventory, stage: FakeStage) -> None:
    skus = [f"S{number}" for number in range(100)]
    for sku in skus:
        put_stock(stage, sku, 1)
    stage.dynamodb.counts.clear()
    assert inventory.levels(skus).keys() == set(skus)
    assert stage.dynamodb.counts == {"batch_get_item": 1}


def test_unprocessed_keys_are_read_again(inventory: Inventory, stage: FakeStage, script: Scripted) -> None:
    for sku in "ABCD":
        put_stock(stage, sku, 1)
    script.by_operation["batch_get_item"] = [faults.Partial([0, 1, 2]), faults.Partial([0, 1])]
    assert inventory.levels("ABCD").keys() == set("ABCD")


def test_keys_that_stay_unprocessed_are_throttled(inventory: Inventory, script: Scripted) -> None:
    script.by_operation["batch_get_item"] = [faults.Partial([0])] * 10
    with pytest.raises(Throttled):
        inventory.levels(["A"])


def test_every_read_is_consistent(inventory: Inventory, stage: FakeStage) -> None:
    inventory.find("A")
    inventory.levels(["A"])
    inventory.page(1, None)
    reads = [call.parameters for call in stage.dynamodb.calls]
    batch = reads[1]["RequestItems"][stage.tables.inventory_table]
    assert [reads[0]["ConsistentRead"], batch["ConsistentRead"], reads[2]["ConsistentRead"]] == [True] * 3


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
def test_pages_show_every_level_once(inventory: Inventory, stage: FakeStage, limit: int) -> None:
    skus = [f"S{number}" for number in range(10)]
    for sku in skus:
        put_stock(stage, sku, 1)
    seen: list[str] = []
    page, last = inventory.page(limit, None)
    while True:
        assert len(page) <= limit
        seen += [stock.sku for stock in page]
        if last is None:
            break
        page, last = inventory.page(limit, last)
    assert sorted(seen) == skus
