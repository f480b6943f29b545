from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.contracts import pagination
from chalicelib.contracts.requests import (
    AdjustStock,
    ChangeProduct,
    CheckAvailability,
    CountStock,
    CreateProduct,
    ListProducts,
    ListStock,
    OneOrder,
    OneSku,
    Request,
    SetReorderPoint,
    SetStock,
)
from chalicelib.contracts.validation import parse
from chalicelib.errors import InvalidInput, InvalidPageToken

PRODUCT = {"sku": "A", "name": "a", "price": 1}


def faults(model: type[Request], parts: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        parse(model, parts)
    return {fault.field: fault.message for fault in refused.value.errors}


@pytest.mark.parametrize("value", ["1", 1.0, Decimal("1.0"), True, None, 0, -1, 10**9 + 1, 10**40, [], {}])
def test_a_quantity_must_be_a_whole_number_within_bounds(value: Any) -> None:
    assert faults(CheckAvailability, {"body": {"items": [{"sku": "A", "quantity": value}]}}).keys() == {
        "items.0.quantity"
    }


@pytest.mark.parametrize("value", [1, 10**9])
def test_a_quantity_may_equal_its_bounds(value: int) -> None:
    asked = parse(CheckAvailability, {"body": {"items": [{"sku": "A", "quantity": value}]}})
    assert asked.body.items[0].quantity == value


@pytest.mark.parametrize(
    "sku",
    [
        "",
        " a",
        "a ",
        "a  b",
        "a\u00a0b",
        ".",
        "..",
        "a\n",
        "\ud800",
        "x" * 65,
        "check",
        "adjustments",
        1,
        ["A"],
    ],
)
def test_an_invalid_sku_is_refused(sku: Any) -> None:
    assert faults(OneSku, {"sku": sku}).keys() == {"sku"}


@pytest.mark.parametrize(
    "sku",
    ["A", "0", "a.b_c-d", "x" * 64, "Check", "TS 100 XL", "ABC/12", "#42", "Größe-3", "00012", "-", "..."],
)
def test_a_valid_sku_is_accepted(sku: str) -> None:
    assert parse(OneSku, {"sku": sku}).sku == sku


@pytest.mark.parametrize("order_id", ["", " a", "x" * 129, "adjustment#1", "a\n", "e\u0301"])
def test_an_invalid_order_id_is_refused(order_id: str) -> None:
    assert faults(OneOrder, {"order_id": order_id}).keys() == {"order_id"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 257),
        ("name", None),
        ("name", 1),
        ("name", "\ud800"),
        ("name", " "),
        ("name", "\u3000\t"),
        ("name", "a\x00b"),
        ("name", "a\nb"),
        ("name", "a\u2028b"),
        ("name", "\u200b\u3164"),
        ("description", "a\x00b"),
        ("description", "a\x0bb"),
        ("description", "x" * 4097),
        ("description", 1),
        ("image_url", "ftp://x/y"),
        ("image_url", "//x/y"),
        ("image_url", "http://"),
        ("image_url", "http://:80"),
        ("image_url", "http://["),
        ("image_url", "http:///x"),
        ("image_url", "http://x/\u200b"),
        ("image_url", "http://x/\ufffe"),
        ("image_url", "http://x/a b"),
        ("image_url", "http://x/a\n"),
        ("image_url", " http://x/"),
        ("image_url", "http://x/\u0000"),
        ("image_url", "javascript:alert(1)//http://x"),
        ("image_url", "https://x/" + "y" * 2040),
        ("image_url", ""),
        ("colour", "red"),
    ],
)
def test_an_invalid_field_of_a_product_is_named(field: str, value: Any) -> None:
    assert faults(CreateProduct, {"body": PRODUCT | {field: value}}).keys() == {field}
    assert faults(ChangeProduct, {"sku": "A", "body": {field: value}}).keys() == {field}


@pytest.mark.parametrize(
    "url", ["http://x", "HTTPS://shop.example/a?b=c#d", "https://[::1]:8080/x", "https://é.example/ü"]
)
def test_a_url_is_kept_unchanged(url: str) -> None:
    assert parse(CreateProduct, {"body": PRODUCT | {"image_url": url}}).body.image_url == url


def test_the_longest_texts_are_accepted() -> None:
    texts = {"name": "x" * 256, "description": "ä\t\r\n" * 1024, "image_url": "https://x/" + "y" * 2038}
    asked = parse(CreateProduct, {"body": PRODUCT | texts}).body
    assert {name: getattr(asked, name) for name in texts} == texts


def test_every_invalid_field_is_named_at_any_depth() -> None:
    parts = {"sku": "a  b", "Idempotency-Key": "k k", "body": {"delta": 0, "reason": "FUN", "x": 1}}
    assert faults(AdjustStock, parts) == {
        "sku": "must not begin or end with a space, or contain two spaces in a row",
        "Idempotency-Key": "String should match pattern '^[!-~]{1,128}$'",
        "delta": "must not be 0",
        "reason": "Input should be 'RECEIVED', 'RETURNED', 'DAMAGED', 'LOST' or 'CORRECTION'",
        "x": "Extra inputs are not permitted",
    }


@pytest.mark.parametrize("point", [None, 0, 10**12])
def test_a_reorder_point_is_null_or_within_the_bounds_of_stock(point: int | None) -> None:
    asked = parse(SetReorderPoint, {"sku": "A", "body": {"reorder_point": point}})
    assert asked.body.reorder_point == point


@pytest.mark.parametrize("value", ["1", 1.0, Decimal("1.0"), True, -1, 10**12 + 1, [], {}])
def test_an_invalid_reorder_point_is_named(value: Any) -> None:
    assert faults(SetReorderPoint, {"sku": "A", "body": {"reorder_point": value}}).keys() == {"reorder_point"}


def test_a_change_of_stock_must_name_the_reorder_point_and_nothing_else() -> None:
    assert faults(SetReorderPoint, {"sku": "A", "body": {"quantity": 1}}) == {
        "reorder_point": "Field required",
        "quantity": "Extra inputs are not permitted",
    }


@pytest.mark.parametrize("body", [[], "x", 1, None, True, Decimal(1)])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    assert faults(CreateProduct, {"body": body}) == {"body": "must be an object"}


def test_a_patch_without_fields_is_refused() -> None:
    assert faults(ChangeProduct, {"sku": "A", "body": {}}) == {"body": "must change something"}


def test_a_patch_holds_only_the_given_fields() -> None:
    asked = parse(ChangeProduct, {"sku": "A", "body": {"description": None, "price": 5}})
    assert asked.body.given() == {"description": None, "price": 5}


def test_a_price_cannot_be_cleared() -> None:
    assert faults(ChangeProduct, {"sku": "A", "body": {"price": None}}) == {"price": "must be a number"}


@pytest.mark.parametrize(
    ("body", "field"), [({"quantity": 1, "expected_quantity": None}, "expected_quantity")]
)
def test_an_expected_quantity_of_null_is_refused(body: Any, field: str) -> None:
    assert faults(SetStock, {"sku": "A", "body": body}) == {field: "must not be null"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", -1),
        ("quantity", 10**12 + 1),
        ("quantity", True),
        ("expected_quantity", -1),
        ("expected_quantity", "1"),
    ],
)
def test_stock_is_set_within_bounds(field: str, value: Any) -> None:
    assert faults(SetStock, {"sku": "A", "body": {"quantity": 1} | {field: value}}).keys() == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("delta", 10**9 + 1),
        ("delta", -(10**9) - 1),
        ("delta", Decimal("1.0")),
        ("reason", "SET"),
        ("reason", ["LOST"]),
        ("reference", ""),
        ("reference", "x" * 257),
        ("reference", None),
    ],
)
def test_an_invalid_adjustment_is_refused(field: str, value: Any) -> None:
    body = {"delta": 1, "reason": "LOST", "reference": "r"} | {field: value}
    assert faults(AdjustStock, {"sku": "A", "body": body}).keys() == {field}


@pytest.mark.parametrize("value", ["1", 1.0, Decimal("1.0"), True, None, -1, 10**12 + 1, 10**40, [], {}])
def test_what_was_counted_is_a_whole_number_within_bounds(value: Any) -> None:
    assert faults(CountStock, {"sku": "A", "body": {"counted": value}}).keys() == {"counted"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expected_version", -1),
        ("expected_version", "1"),
        ("expected_version", 1.0),
        ("expected_version", True),
        ("expected_version", None),
        ("reference", ""),
        ("reference", "a\nb"),
        ("reference", "x" * 257),
        ("reference", None),
        ("reason", "LOST"),
        ("quantity", 1),
    ],
)
def test_an_invalid_field_of_a_count_is_named(field: str, value: Any) -> None:
    assert faults(CountStock, {"sku": "A", "body": {"counted": 1, field: value}}).keys() == {field}


def test_a_count_names_what_was_counted() -> None:
    assert faults(CountStock, {"sku": "A", "body": {"expected_version": 1}}).keys() == {"counted"}


@pytest.mark.parametrize("counted", [0, 10**12])
@pytest.mark.parametrize("version", [0, 10**15])
def test_a_count_may_equal_its_bounds(counted: int, version: int) -> None:
    asked = parse(CountStock, {"sku": "A", "body": {"counted": counted, "expected_version": version}})
    assert (asked.body.counted, asked.body.expected_version) == (counted, version)
    assert asked.repeatable


@pytest.mark.parametrize("key", ["", " ", "k k", "x" * 129, "ä", "\x7f"])
def test_an_idempotency_key_is_visible_ascii(key: str) -> None:
    parts = {"sku": "A", "Idempotency-Key": key, "body": {"quantity": 1}}
    assert faults(SetStock, parts).keys() == {"Idempotency-Key"}


@pytest.mark.parametrize("items", [[], [{"sku": "A", "quantity": 1}] * 101, None, {}])
def test_a_check_has_1_to_100_entries(items: Any) -> None:
    assert faults(CheckAvailability, {"body": {"items": items}}).keys() == {"items"}


@pytest.mark.parametrize("limit", ["0", "101", "-1", "+1", "1.0", "1_0", " 1", "", "x", "٣", "9" * 5000])
def test_a_limit_is_a_whole_number_from_1_to_100(limit: str) -> None:
    assert faults(ListStock, {"limit": [limit]}).keys() == {"limit"}


@pytest.mark.parametrize(("limit", "taken"), [("1", 1), ("100", 100), ("025", 25)])
def test_a_valid_limit_is_accepted(limit: str, taken: int) -> None:
    assert parse(ListStock, {"limit": [limit]}).limit == taken


def test_a_listing_has_defaults_and_ignores_parameters_it_does_not_know() -> None:
    asked = parse(ListProducts, {"color": ["red", "blue"]})
    assert (asked.limit, asked.after, asked.include_inventory) == (25, None, "false")


@pytest.mark.parametrize("value", ["True", "1", "yes", ""])
def test_include_inventory_is_true_or_false(value: str) -> None:
    assert faults(ListProducts, {"include_inventory": [value]}).keys() == {"include_inventory"}


@pytest.mark.parametrize("name", ["limit", "next_token", "include_inventory"])
def test_a_parameter_given_twice_is_refused(name: str) -> None:
    assert faults(ListProducts, {name: ["1", "1"]}) == {name: "must be given once"}


def test_an_invalid_token_alone_is_the_error_invalid_token() -> None:
    with pytest.raises(InvalidPageToken) as refused:
        parse(ListProducts, {"next_token": ["x"]})
    assert [fault.field for fault in refused.value.errors] == ["next_token"]


def test_an_invalid_token_among_other_errors_is_one_of_them() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(ListProducts, {"next_token": ["x"], "limit": ["x"]})
    assert type(refused.value) is InvalidInput
    assert {fault.field for fault in refused.value.errors} == {"limit", "next_token"}


def test_each_listing_accepts_only_its_own_tokens() -> None:
    token = pagination.encode("products", "A")
    assert parse(ListProducts, {"next_token": [token]}).after == "A"
    with pytest.raises(InvalidPageToken):
        parse(ListStock, {"next_token": [token]})


def test_no_error_message_echoes_long_input() -> None:
    long = "secret" * 1000
    body = {"sku": long, "name": long, "price": long, "description": [long], "image_url": long, long: 1}
    assert all(
        len(field) <= 64 and "secret" not in why
        for field, why in faults(CreateProduct, {"body": body}).items()
    )


def test_a_long_list_of_errors_is_truncated() -> None:
    with pytest.raises(InvalidInput, match="and 1002 more") as refused:
        parse(CreateProduct, {"body": {str(number): 1 for number in range(1000)}})
    assert len(refused.value.errors) == 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=10,
)
names = st.sampled_from(
    [
        "sku",
        "name",
        "price",
        "description",
        "image_url",
        "items",
        "quantity",
        "expected_quantity",
        "counted",
        "expected_version",
        "delta",
        "reason",
    ]
)


@given(
    st.sampled_from([CreateProduct, ChangeProduct, SetStock, AdjustStock, CountStock, CheckAvailability]),
    json_values | st.dictionaries(names | st.text(), json_values),
    st.text(),
)
def test_arbitrary_json_is_accepted_or_refused(model: Any, body: Any, sku: str) -> None:
    outcome: Any
    try:
        outcome = parse(model, {"sku": sku, "body": body, "Idempotency-Key": sku})
    except InvalidInput as refused:
        outcome = refused.errors
    assert outcome
