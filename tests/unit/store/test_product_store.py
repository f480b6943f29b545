from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.domain.stock import Product, Stock
from chalicelib.domain.timestamps import iso
from chalicelib.errors import (
    AlreadyExists,
    Contended,
    HasReservations,
    HasStock,
    NotFound,
    Refused,
    TransactionCancelled,
)
from chalicelib.store.product_store import ProductStore
from tests.support.deadlines import at
from tests.support.engines import Call, FakeStage, Scripted, faults
from tests.support.engines.errors import Refusal
from tests.unit.builders import (
    NOW,
    concurrent_write,
    make_product,
    make_stock,
    put_old_stock,
    put_product,
    put_stock,
    quantity_of,
    stock_item,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


DEADLINE = at(NOW)


def writes(stage: FakeStage, *, product: Product | None) -> Any:
    """A fault: another caller stores `product` (None: deletes it), without stock, right before the call."""

    def fault(call: Call) -> Any:
        if product is None:
            stage.dynamodb.delete_item(TableName=stage.tables.product_table, Key={"sku": {"S": "A"}})
        else:
            put_product(stage, product)
        return call.proceed()

    return fault


def put_halves(stage: FakeStage, *skus: str) -> None:
    """Store products that lost their stock; the stage's counts start anew."""
    for sku in skus:
        put_product(stage, make_product(sku))
    stage.dynamodb.counts.clear()


@pytest.fixture
def products(client: DynamoDBClient, stage: FakeStage) -> ProductStore:
    return ProductStore(client, stage.tables)


def test_a_new_product_has_no_stock(products: ProductStore) -> None:
    assert products.create(make_product(), DEADLINE) == make_stock("A", 0)
    assert products.get("A", DEADLINE) == (make_product(), make_stock("A", 0))


def test_stock_of_0_says_which_commit_made_it(products: ProductStore, stage: FakeStage) -> None:
    products.create(make_product(), DEADLINE)
    put_halves(stage, "B", "C")
    products.complete(["B", "C"], DEADLINE)
    stored = [stock_item(stage, sku) for sku in "ABC"]
    assert {(item["quantity"], item["reserved"], item["version"]) for item in stored} == {("0", "0", "1")}
    changed = [item["change"] for item in stored]
    assert changed[1] == changed[2] != changed[0]


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


def test_a_product_that_lost_its_stock_is_read_with_a_stock_of_0(
    products: ProductStore, stage: FakeStage
) -> None:
    put_halves(stage, "A")
    assert products.get("A", DEADLINE) == (make_product(), Stock("A", 0, iso(NOW), version=1))
    # A half is mostly one of a creation or deletion under way, so it is read again first. The transaction
    # proves that it is a half.
    assert stage.dynamodb.counts == {"batch_get_item": 2, "transact_write_items": 1}
    assert quantity_of(stage, "A") == 0
    stage.dynamodb.counts.clear()
    products.get("A", DEADLINE)
    assert stage.dynamodb.counts == {"batch_get_item": 1}


def test_stock_that_lost_its_product_is_no_product(products: ProductStore, stage: FakeStage) -> None:
    put_stock(stage, "A", 3)
    with pytest.raises(NotFound):
        products.get("A", DEADLINE)
    with pytest.raises(NotFound):
        products.change("A", {"name": "b"}, DEADLINE)
    assert products.complete(["A"], DEADLINE) == {}
    assert (quantity_of(stage, "A"), stage.dynamodb.counts["batch_get_item"]) == (3, 2)


def test_an_unknown_product_costs_one_read(products: ProductStore, stage: FakeStage) -> None:
    with pytest.raises(NotFound):
        products.get("A", DEADLINE)
    assert stage.dynamodb.counts == {"batch_get_item": 1}


def test_a_product_that_is_deleted_while_it_is_read_is_not_found(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_product(stage, make_product())
    script.by_operation["batch_get_item"] = [Call.proceed, writes(stage, product=None)]
    with pytest.raises(NotFound):
        products.get("A", DEADLINE)
    assert quantity_of(stage, "A") is None


def test_a_refusal_that_no_retry_cures_is_an_error_and_no_half(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_product(stage, make_product())
    script.by_operation["transact_write_items"] = [faults.Conflict(code="ValidationError")]
    with pytest.raises(TransactionCancelled, match="ValidationError"):
        products.get("A", DEADLINE)


def test_many_products_without_stock_get_it_in_one_transaction(
    products: ProductStore, stage: FakeStage
) -> None:
    skus = [f"S{number}" for number in range(50)]
    put_halves(stage, *skus)
    assert products.complete(skus, DEADLINE) == {sku: Stock(sku, 0, iso(NOW), version=1) for sku in skus}
    assert stage.dynamodb.counts == {"transact_write_items": 1}
    assert {quantity_of(stage, sku) for sku in skus} == {0}


def test_what_is_no_half_does_not_keep_the_halves_from_their_stock(
    products: ProductStore, stage: FakeStage
) -> None:
    for sku in ("half", "whole"):
        put_product(stage, make_product(sku))
    for sku in ("whole", "stock"):
        put_stock(stage, sku, 7)
    held = products.complete(["absent", "half", "stock", "whole"], DEADLINE)
    assert {sku: stock.quantity for sku, stock in held.items()} == {"half": 0, "whole": 7}
    assert {sku: quantity_of(stage, sku) for sku in ("absent", "half")} == {"absent": None, "half": 0}


def test_halves_that_keep_getting_stock_from_others_are_contention(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    skus = [f"S{number}" for number in range(5)]
    put_halves(stage, *skus)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, sku, 7) for sku in skus[:4]]
    with pytest.raises(Contended, match="S4"):
        products.complete(skus, DEADLINE)
    assert [quantity_of(stage, sku) for sku in skus] == [7, 7, 7, 7, None]


def test_a_page_of_halves_is_read_again_and_completed_in_four_calls(
    products: ProductStore, stage: FakeStage
) -> None:
    skus = [f"S{number:02}" for number in range(100)]
    put_halves(stage, *skus)
    assert {stock.quantity for stock in products.stocks(skus, DEADLINE).values()} == {0}
    assert stage.dynamodb.counts == {"batch_get_item": 2, "transact_write_items": 2}
    assert {quantity_of(stage, sku) for sku in skus} == {0}


def test_stocks_that_arrived_are_shown_and_products_that_are_gone_are_not(
    products: ProductStore, stage: FakeStage
) -> None:
    put_product(stage, make_product("A"))
    put_stock(stage, "A", 7)
    stage.dynamodb.counts.clear()
    assert products.stocks(["A", "B"], DEADLINE) == {"A": make_stock("A", 7)}
    assert stage.dynamodb.counts == {"batch_get_item": 1}


@pytest.mark.parametrize(
    "fault",
    [faults.Conflict(), faults.Conflict(code="ThrottlingError"), faults.throttled, faults.unreachable],
)
def test_a_stock_of_0_is_shown_even_if_it_cannot_be_stored(
    products: ProductStore, stage: FakeStage, script: Scripted, fault: Any
) -> None:
    put_halves(stage, "A", "B")
    script.by_operation["transact_write_items"] = [fault] * 8
    assert {sku: stock.quantity for sku, stock in products.stocks(["A", "B"], DEADLINE).items()} == {
        "A": 0,
        "B": 0,
    }
    assert quantity_of(stage, "A") is None
    script.by_operation.clear()
    products.stocks(["A", "B"], DEADLINE)
    assert quantity_of(stage, "A") == 0


def test_a_page_of_halves_is_shown_although_there_is_no_time_to_complete_it(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_halves(stage, "A", "B")
    seconds = [1.0]
    deadline = replace(DEADLINE, remaining=lambda: seconds[0])

    def late(call: Call) -> Any:
        seconds[0] = 0
        return call.proceed()

    script.by_operation["batch_get_item"] = [late]
    assert [stock.quantity for stock in products.stocks(["A", "B"], deadline).values()] == [0, 0]
    assert stage.dynamodb.counts == {"batch_get_item": 1}


def test_a_product_that_is_deleted_while_it_is_completed_is_not_found(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_product(stage, make_product())
    script.by_operation["transact_write_items"] = [writes(stage, product=None)]
    with pytest.raises(NotFound):
        products.get("A", DEADLINE)
    assert quantity_of(stage, "A") is None


def test_stock_that_arrives_while_a_product_is_completed_is_kept(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_product(stage, make_product())
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 7)]
    assert products.get("A", DEADLINE)[1].quantity == 7
    assert quantity_of(stage, "A") == 7


def test_stock_that_lost_its_product_gets_a_new_one_and_keeps_its_units(
    products: ProductStore, stage: FakeStage
) -> None:
    put_stock(stage, "A", 3)
    assert products.create(make_product(), DEADLINE).quantity == 3
    assert products.get("A", DEADLINE) == (make_product(), make_stock("A", 3))
    with pytest.raises(AlreadyExists):
        products.create(make_product(), DEADLINE)


def test_a_product_that_lost_its_stock_exists(products: ProductStore, stage: FakeStage) -> None:
    put_product(stage, make_product())
    with pytest.raises(AlreadyExists):
        products.create(make_product(name="other"), DEADLINE)
    assert products.get("A", DEADLINE)[0] == make_product()


def test_a_product_whose_lost_half_is_deleted_meanwhile_is_created_anew(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 0)
    script.by_operation["transact_write_items"] = [Call.proceed, concurrent_write(stage, "A", None)]
    assert products.create(make_product(), DEADLINE) == make_stock("A", 0)
    assert products.get("A", DEADLINE)[0] == make_product()


def test_a_product_that_is_created_by_another_call_meanwhile_exists(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 3)
    other = make_product(name="other")
    script.by_operation["transact_write_items"] = [Call.proceed, writes(stage, product=other)]
    with pytest.raises(AlreadyExists):
        products.create(make_product(), DEADLINE)
    assert products.get("A", DEADLINE) == (other, make_stock("A", 3))


@pytest.mark.parametrize("half", ["product", "stock"])
def test_half_a_product_without_units_is_deleted(products: ProductStore, stage: FakeStage, half: str) -> None:
    if half == "product":
        put_product(stage, make_product())
    else:
        put_stock(stage, "A", 0)
    products.delete("A", DEADLINE)
    assert stage.dynamodb.snapshot() == {table: {} for table in stage.dynamodb.tables}
    with pytest.raises(NotFound):
        products.delete("A", DEADLINE)


def test_units_that_lost_their_product_are_not_deleted(products: ProductStore, stage: FakeStage) -> None:
    put_stock(stage, "A", 3)
    with pytest.raises(HasStock, match="3 in stock"):
        products.delete("A", DEADLINE)
    assert quantity_of(stage, "A") == 3


def test_units_that_arrive_while_half_a_product_is_deleted_are_kept(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_product(stage, make_product())
    script.by_operation["transact_write_items"] = [Call.proceed, concurrent_write(stage, "A", 4)]
    with pytest.raises(HasStock, match="4 in stock"):
        products.delete("A", DEADLINE)
    assert products.get("A", DEADLINE) == (make_product(), make_stock("A", 4, version=2))


def test_stock_that_comes_and_goes_while_its_product_is_created_is_contention(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    turns = [concurrent_write(stage, "A", 3), concurrent_write(stage, "A", None)]
    script.by_operation["transact_write_items"] = turns * 4
    with pytest.raises(Contended):
        products.create(make_product(), DEADLINE)
    assert stage.dynamodb.snapshot()[stage.tables.product_table] == {}


def test_halves_that_keep_changing_are_contention(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_product(stage, make_product())
    turns = [concurrent_write(stage, "A", 0), concurrent_write(stage, "A", None)]
    script.by_operation["transact_write_items"] = [*turns[::-1], *turns[::-1]]
    with pytest.raises(Contended):
        products.delete("A", DEADLINE)


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


@pytest.mark.parametrize("half", [False, True])
def test_a_product_with_reserved_units_cannot_be_deleted(
    products: ProductStore, stage: FakeStage, half: bool
) -> None:
    if not half:
        put_product(stage, make_product())
    put_stock(stage, "A", 0, reserved=2)
    with pytest.raises(HasReservations, match="2 reserved"):
        products.delete("A", DEADLINE)
    assert stock_item(stage, "A")["reserved"] == "2"


def test_a_product_with_both_has_stock(products: ProductStore, stage: FakeStage) -> None:
    put_product(stage, make_product())
    put_stock(stage, "A", 1, reserved=2)
    with pytest.raises(HasStock):
        products.delete("A", DEADLINE)


def test_units_that_are_reserved_while_a_product_is_deleted_are_kept(
    products: ProductStore, stage: FakeStage, script: Scripted
) -> None:
    put_product(stage, make_product())
    put_stock(stage, "A", 0)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", 0, reserved=4)]
    with pytest.raises(HasReservations):
        products.delete("A", DEADLINE)
    assert products.get("A", DEADLINE)[1].reserved == 4


def test_a_product_whose_stock_version_1_1_stored_is_deleted(
    products: ProductStore, stage: FakeStage
) -> None:
    put_product(stage, make_product())
    put_old_stock(stage, "A", 0)
    products.delete("A", DEADLINE)
    assert stage.dynamodb.snapshot() == {table: {} for table in stage.dynamodb.tables}


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
