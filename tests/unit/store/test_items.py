from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.stock import Product, Stock, StoredChange
from chalicelib.store.items import (
    product_from_item,
    product_to_item,
    stock_from_item,
    stock_from_text,
    stock_to_item,
    stock_to_text,
    stored_change_from_item,
)
from tests.support.engines.values import size
from tests.unit.builders import make_product

texts = st.text(st.characters(exclude_categories=["Cs"]))
prices = st.integers(0, 10**12 - 1).map(lambda cents: Decimal(cents).scaleb(-2))

units = st.integers(0, 10**12)
stocks = st.builds(Stock, texts, units, texts, reserved=units, version=units, reorder_point=st.none() | units)


@given(st.builds(Product, texts, texts, prices, st.none() | texts, st.none() | texts, texts, texts))
def test_a_product_round_trips(product: Product) -> None:
    assert product_from_item(product_to_item(product)) == product


@given(stocks)
def test_stock_round_trips(stock: Stock) -> None:
    assert stock_from_item(stock_to_item(stock, "c")) == stock


def test_missing_fields_of_a_product_are_not_stored() -> None:
    assert product_to_item(make_product()).keys() == {"sku", "name", "price", "created_at", "updated_at"}


def test_the_largest_product_is_far_below_the_limit_of_an_item() -> None:
    text = "\U0001f600"
    largest = make_product(
        "x" * 64, name=text * 256, description=text * 4096, image_url="https://" + text * 2040
    )
    assert size(product_to_item(largest)) < 30_000


@given(stocks)
def test_a_stored_answer_is_read_as_it_was_written(stock: Stock) -> None:
    assert stock_from_text(stock_to_text(stock)) == stock


def test_an_answer_that_version_1_0_stored_is_read() -> None:
    stored = '{"sku": "A", "quantity": 7, "updated_at": "2026-01-02T03:04:05.000Z"}'
    assert stock_from_text(stored) == Stock("A", 7, "2026-01-02T03:04:05.000Z")


def test_a_field_that_a_later_version_stores_is_ignored() -> None:
    stored = '{"sku": "A", "quantity": 7, "updated_at": "now", "reserved": 2, "version": 9, "new": 1}'
    assert stock_from_text(stored) == Stock("A", 7, "now", 2, 9)


def test_an_answer_stored_before_there_were_reorder_points_has_none() -> None:
    stored = '{"sku": "A", "quantity": 7, "updated_at": "now", "reserved": 2, "version": 9}'
    assert stock_from_text(stored).reorder_point is None


def test_stock_that_version_1_1_stored_has_nothing_reserved_and_version_0() -> None:
    item = {"sku": {"S": "A"}, "quantity": {"N": "7"}, "updated_at": {"S": "then"}}
    assert stock_from_item(item) == Stock("A", 7, "then", reserved=0, version=0)


def test_a_reorder_point_of_0_is_stored_and_none_is_not() -> None:
    assert stock_to_item(Stock("A", 7, "then", reorder_point=0), "c")["reorder_point"] == {"N": "0"}
    assert "reorder_point" not in stock_to_item(Stock("A", 7, "then"), "c")


def test_a_change_that_version_1_1_stored_is_read() -> None:
    item = {"fingerprint": {"S": "f"}, "delta": {"N": "-3"}}
    assert stored_change_from_item(item) == StoredChange("f", -3, None)


def test_stock_is_stored_with_the_commit_that_made_it() -> None:
    assert stock_to_item(Stock("A", 7, "then", 2, 9), "c") == {
        "sku": {"S": "A"},
        "quantity": {"N": "7"},
        "reserved": {"N": "2"},
        "version": {"N": "9"},
        "change": {"S": "c"},
        "updated_at": {"S": "then"},
    }
