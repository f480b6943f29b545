from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.domain.stock import Stock
from chalicelib.domain.timestamps import iso
from chalicelib.errors import AlreadyExists, Contended, HasStock, NotFound, Refused
from chalicelib.store.product_store import ProductStore
from tests.support.deadlines import at
from tests.support.engines import Call, FakeStage, Scripted, faults
from tests.support.engines.errors import Refusal
from tests.unit.builders import NOW, THEN, make_product, put_product, put_stock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


DEADLINE = at(NOW)


@pytest.fixture
def products(client: DynamoDBClient, stage: FakeStage) -> ProductStore:
    return ProductStore(client, stage.tables)


def test_a_new_product_has_no_stock(products: ProductStore) -> None:
    assert products.create(make_product(), DEADLINE) == Stock("A", 0, THEN)
    assert products.get("A", DEADLINE) == (make_product(), Stock("A", 0, THEN))


def test_a_product_is_created_and_read_in_one_call_each(products: ProductStore, stage: FakeStage) -> None:
    products.create(make_product(), DEADLINE)
    products.get("A", DEADLINE)
    assert stage.dynamodb.counts == {"transact_write_items": 1, "batch_get_item": 1}


def test_a_taken_sku_is_refused_and_unchanged(products: ProductStore, stage: FakeStage) -> None:
    products.create(make_product(), DEADLINE)
    before = stage.dynamodb.snapshot()
    with pytest.raises(AlreadyExists):
        products.create(make_product(name="other"), DEADLINE)
    assert stage.dynamodb.snapshot() == before


@pytest.mark.parametrize("half", ["product", "stock"])
def test_half_a_product_is_read_again_and_then_contention(
    products: ProductStore, stage: FakeStage, half: str
) -> None:
    if half == "product":
        put_product(stage, make_product())
    else:
        put_stock(stage, "A", 0)
    with pytest.raises(Contended):
        products.get("A", DEADLINE)
    assert stage.dynamodb.counts["batch_get_item"] == 8


def test_a_product_that_is_being_created_is_found(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_product(stage, make_product())

    def arrives(call: Call) -> Any:
        answer = call.proceed()
        put_stock(stage, "A", 0)
        return answer

    script.by_operation["batch_get_item"] = [arrives]
    assert products.get("A", DEADLINE)[1].quantity == 0


def test_an_unknown_product_is_not_found(products: ProductStore) -> None:
    with pytest.raises(NotFound):
        products.get("A", DEADLINE)
    with pytest.raises(NotFound):
        products.change("A", {"name": "b"}, DEADLINE)
    with pytest.raises(NotFound):
        products.delete("A", DEADLINE)


def test_a_change_touches_only_what_it_names(products: ProductStore) -> None:
    products.create(make_product(description="d", image_url="http://x"), DEADLINE)
    changed = products.change("A", {"price": Decimal("2.25"), "description": None}, DEADLINE)
    assert changed == make_product(price=Decimal("2.25"), image_url="http://x", updated_at=iso(NOW))
    assert products.get("A", DEADLINE)[0] == changed


def test_a_missing_text_may_be_cleared(products: ProductStore) -> None:
    products.create(make_product(), DEADLINE)
    assert products.change("A", {"image_url": None}, DEADLINE).image_url is None


def test_another_error_of_a_change_is_no_404(products: ProductStore, script: Scripted) -> None:
    def denied(call: Call) -> Any:
        raise call.refuse(Refusal("AccessDeniedException", "no"))

    script.by_operation["update_item"] = [denied]
    with pytest.raises(Refused):
        products.change("A", {"name": "b"}, DEADLINE)


def test_a_product_without_stock_is_deleted_completely(products: ProductStore, stage: FakeStage) -> None:
    products.create(make_product(), DEADLINE)
    products.delete("A", DEADLINE)
    assert stage.dynamodb.snapshot() == {table: {} for table in stage.dynamodb.tables}


def test_a_product_with_stock_cannot_be_deleted(products: ProductStore, stage: FakeStage) -> None:
    put_product(stage, make_product())
    put_stock(stage, "A", 3)
    with pytest.raises(HasStock, match="3 in stock"):
        products.delete("A", DEADLINE)
    assert products.get("A", DEADLINE)[1].quantity == 3


def test_a_deletion_succeeds_after_conflicts(products: ProductStore, script: Scripted) -> None:
    products.create(make_product(), DEADLINE)
    script.by_operation["transact_write_items"] = [faults.Conflict(), faults.Conflict([1])]
    products.delete("A", DEADLINE)
    with pytest.raises(NotFound):
        products.get("A", DEADLINE)


def test_pages_show_every_product_once(products: ProductStore) -> None:
    skus = [f"S{number}" for number in range(7)]
    for sku in skus:
        products.create(make_product(sku), DEADLINE)
    first, last = products.page(4, None, DEADLINE)
    second, end = products.page(4, last, DEADLINE)
    assert sorted(product.sku for product in first + second) == skus
    assert end is None
