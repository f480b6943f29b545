from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from local.client import Api, Reply
from local.oms import new_id
from tests.e2e.assertions import assert_problem

Make = Callable[..., str]


def adjust(writer: Api, sku: str, delta: Any, key: str = "", **body: Any) -> Reply:
    sent = {"delta": delta, "reason": "CORRECTION", **body}
    headers = {"Idempotency_Key": key} if key else {}
    return writer.call("POST", f"/inventory/{sku}/adjustments", sent, **headers)


def quantity(reader: Api, sku: str) -> int:
    reply = reader.call("GET", f"/inventory/{sku}")
    assert reply.status == 200
    fields = {"sku", "quantity", "reserved", "on_hand", "version", "reorder_point", "updated_at"}
    assert set(reply.body) == fields
    return int(reply.body["quantity"])


def test_stock_is_adjusted_within_its_bounds(writer: Api, product: Make) -> None:
    sku = product()
    assert adjust(writer, sku, 5).body["quantity"] == 5
    assert adjust(writer, sku, -2, reference="broken in transit").body["quantity"] == 3
    assert_problem(adjust(writer, sku, -4), 409, "INSUFFICIENT_STOCK")
    assert writer.call("PUT", f"/inventory/{sku}", {"quantity": 10**12}).status == 200
    assert_problem(adjust(writer, sku, 1), 409, "STOCK_LIMIT")
    assert quantity(writer, sku) == 10**12


def test_the_same_key_changes_the_stock_once(writer: Api, product: Make) -> None:
    sku, key = product(), new_id("key")
    with ThreadPoolExecutor(5) as threads:
        replies = list(threads.map(lambda _: adjust(writer, sku, 5, key), range(5)))
    assert {reply.status for reply in replies} == {200}
    assert len({str(reply.body) for reply in replies}) == 1
    assert quantity(writer, sku) == 5
    assert_problem(adjust(writer, sku, 6, key), 409, "IDEMPOTENCY_KEY_REUSED")
    assert quantity(writer, sku) == 5


def test_concurrent_adjustments_all_count(writer: Api, product: Make) -> None:
    sku = product(100)
    deltas = [3, -2] * 10
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda delta: adjust(writer, sku, delta), deltas))
    assert {reply.status for reply in replies} == {200}
    assert quantity(writer, sku) == 100 + sum(deltas)


def test_stock_is_set_if_it_has_the_expected_quantity(writer: Api, product: Make) -> None:
    sku = product(7)
    changed = writer.call("PUT", f"/inventory/{sku}", {"quantity": 9, "expected_quantity": 7})
    assert (changed.status, changed.body["quantity"]) == (200, 9)
    again = writer.call("PUT", f"/inventory/{sku}", {"quantity": 9, "expected_quantity": 7})
    assert_problem(again, 409, "QUANTITY_MISMATCH")


def test_a_count_sets_what_is_on_hand(writer: Api, product: Make) -> None:
    sku = product(7)
    version = writer.call("GET", f"/inventory/{sku}").body["version"]
    body = {"counted": 9, "expected_version": version}
    counted = writer.call("POST", f"/inventory/{sku}/counts", body)
    assert (counted.status, counted.body["difference"], counted.body["on_hand"]) == (200, 2, 9)
    again = writer.call("POST", f"/inventory/{sku}/counts", body)
    assert_problem(again, 409, "VERSION_MISMATCH")


def test_a_reorder_point_is_set_and_cleared(writer: Api, product: Make) -> None:
    path = f"/inventory/{product(7)}"
    for point in (9, None):
        changed = writer.call("PATCH", path, {"reorder_point": point})
        assert (changed.status, changed.body["reorder_point"], changed.body["quantity"]) == (200, point, 7)
        assert writer.call("GET", path).body == changed.body


@pytest.mark.parametrize("bad", [1.0, "1", True, None, -1, 10**12 + 1])
def test_a_quantity_is_a_whole_number(writer: Api, product: Make, bad: Any) -> None:
    sku = product()
    refused = writer.call("PUT", f"/inventory/{sku}", {"quantity": bad})
    assert_problem(refused, 400, "VALIDATION_ERROR")
    assert [error["field"] for error in refused.body["errors"]] == ["quantity"]


@pytest.mark.parametrize("bad", [0, 1.5, "1", True, 10**9 + 1])
def test_a_delta_is_a_whole_number_other_than_zero(writer: Api, product: Make, bad: Any) -> None:
    assert_problem(adjust(writer, product(), bad), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("key", ["ü", "a" * 129, "two words"])
def test_an_idempotency_key_is_visible_ascii(writer: Api, product: Make, key: str) -> None:
    assert_problem(adjust(writer, product(), 1, key), 400, "VALIDATION_ERROR")


def test_an_unknown_sku_is_404(writer: Api) -> None:
    sku = new_id("E2E")
    assert_problem(writer.call("GET", f"/inventory/{sku}"), 404, "NOT_FOUND")
    assert_problem(writer.call("PUT", f"/inventory/{sku}", {"quantity": 1}), 404, "NOT_FOUND")
    assert_problem(adjust(writer, sku, 1), 404, "NOT_FOUND")
    assert_problem(writer.call("GET", f"/reservations/{new_id('order')}"), 404, "NOT_FOUND")


def test_a_check_says_what_is_available_of_each_item(reader: Api, product: Make) -> None:
    plenty, few, unknown = product(5), product(1), new_id("E2E")
    items = [
        {"sku": plenty, "quantity": 1},
        {"sku": few, "quantity": 1},
        {"sku": unknown, "quantity": 1},
        {"sku": few, "quantity": 1},
    ]
    checked = reader.call("POST", "/inventory/check", {"items": items})
    assert checked.status == 200
    assert checked.body == {
        "status": "UNAVAILABLE",
        "items": {
            plenty: {"status": "AVAILABLE", "requested": 1, "quantity": 5},
            few: {"status": "UNAVAILABLE", "requested": 2, "quantity": 1, "reason": "INSUFFICIENT_STOCK"},
            unknown: {"status": "UNAVAILABLE", "requested": 1, "quantity": 0, "reason": "SKU_NOT_FOUND"},
        },
    }
    good = reader.call("POST", "/inventory/check", {"items": [{"sku": plenty, "quantity": 5}]})
    assert good.body["status"] == "AVAILABLE"


def test_a_check_names_the_invalid_entry(reader: Api) -> None:
    items = [{"sku": "A", "quantity": 1}, {"sku": "check", "quantity": 0}]
    refused = reader.call("POST", "/inventory/check", {"items": items})
    assert_problem(refused, 400, "VALIDATION_ERROR")
    assert {error["field"] for error in refused.body["errors"]} == {"items.1.sku", "items.1.quantity"}
    for wrong in ([], [{"sku": "A", "quantity": 1}] * 101):
        assert_problem(reader.call("POST", "/inventory/check", {"items": wrong}), 400, "VALIDATION_ERROR")


def test_stock_levels_are_listed_page_by_page(reader: Api, product: Make) -> None:
    mine = {product(quantity): quantity for quantity in (4, 5)}
    found: dict[str, int] = {}
    token = None
    while token != "":
        page = reader.call("GET", "/inventory?limit=9" + (f"&next_token={quote(token)}" if token else ""))
        assert page.status == 200
        found |= {item["sku"]: item["quantity"] for item in page.body["items"]}
        token = page.body["next_token"] or ""
    assert mine.items() <= found.items()
    other = reader.call("GET", "/products?limit=1").body["next_token"]
    assert_problem(reader.call("GET", f"/inventory?next_token={quote(other)}"), 400, "INVALID_TOKEN")
