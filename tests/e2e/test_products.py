import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest

from local.client import Api, Reply
from local.oms import new_id
from tests.e2e.assertions import assert_problem

Make = Callable[..., str]


def fields(reply: Reply) -> set[str]:
    return {error["field"] for error in reply.body["errors"]}


def test_a_product_is_created_read_changed_and_deleted(writer: Api) -> None:
    sku = new_id("E2E")
    body = {
        "sku": sku,
        "name": "Lamp",
        "description": "Warm",
        "price": 10.99,
        "image_url": "https://example.com/a",
    }
    created = writer.call("POST", "/products", body)
    assert created.status == 201
    assert created.body["quantity"] == 0
    assert body.items() <= created.body.items()
    location = urlsplit(urljoin(writer.url, created.headers["Location"]))
    assert location.path.removeprefix(urlsplit(writer.url).path) == f"/products/{sku}"
    assert writer.call("GET", f"/products/{sku}").body == created.body

    changed = writer.call("PATCH", f"/products/{sku}", {"price": 0.1, "description": None})
    assert changed.status == 200
    assert (changed.body["price"], changed.body["description"], changed.body["name"]) == (0.1, None, "Lamp")

    gone = writer.call("DELETE", f"/products/{sku}")
    assert (gone.status, gone.body) == (204, None)
    assert_problem(writer.call("GET", f"/products/{sku}"), 404, "NOT_FOUND")
    assert_problem(writer.call("PATCH", f"/products/{sku}", {"name": "x"}), 404, "NOT_FOUND")
    assert_problem(writer.call("DELETE", f"/products/{sku}"), 404, "NOT_FOUND")


def test_a_price_is_returned_as_it_was_sent(writer: Api, product: Make) -> None:
    sku = product()
    for price in ("10.99", "0", "0.07", "9999999999.99", "1e2"):
        changed = writer.call("PATCH", f"/products/{sku}", f'{{"price": {price}}}'.encode())
        assert changed.status == 200
        assert changed.body["price"] == json.loads(price)


def test_one_of_many_concurrent_creations_of_a_sku_succeeds(writer: Api, product: Make) -> None:
    sku = new_id("E2E")
    body = {"sku": sku, "name": "Contested", "price": 1}
    with ThreadPoolExecutor(6) as threads:
        replies = list(threads.map(lambda _: writer.call("POST", "/products", body), range(6)))
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409, 409, 409]
    assert {reply.body.get("code") for reply in replies if reply.status == 409} == {"ALREADY_EXISTS"}
    assert writer.call("DELETE", f"/products/{sku}").status == 204


def test_a_product_with_stock_cannot_be_deleted(writer: Api, product: Make) -> None:
    sku = product(1)
    assert_problem(writer.call("DELETE", f"/products/{sku}"), 409, "HAS_STOCK")
    assert writer.call("GET", f"/products/{sku}").body["quantity"] == 1


def test_every_invalid_field_is_named(writer: Api) -> None:
    bad = {"sku": " ", "name": " ", "price": -1, "image_url": "ftp://x", "colour": "red"}
    reply = writer.call("POST", "/products", bad)
    assert_problem(reply, 400, "VALIDATION_ERROR")
    assert fields(reply) == set(bad)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "INVALID_JSON"),
        (b"{", "INVALID_JSON"),
        (b"\xff", "INVALID_JSON"),
        (b'{"name": "\xff"}', "INVALID_JSON"),
        (b'{"price": NaN}', "INVALID_JSON"),
        (b"[" * 100_000, "INVALID_JSON"),
        (b"[]", "VALIDATION_ERROR"),
        (b'"text"', "VALIDATION_ERROR"),
        (b"null", "VALIDATION_ERROR"),
    ],
    ids=range(9),
)
def test_a_body_that_is_no_json_object_is_400(writer: Api, body: bytes, code: str) -> None:
    assert_problem(writer.call("POST", "/products", body), 400, code)


def test_a_body_needs_the_json_content_type(writer: Api) -> None:
    body = b'{"sku": "x"}'
    other = writer.call("POST", "/products", body, Content_Type="text/plain")
    assert_problem(other, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_the_pages_of_a_listing_show_every_product_once(reader: Api, product: Make) -> None:
    mine = {product(quantity): quantity for quantity in (1, 2, 3)}
    seen: list[dict[str, Any]] = []
    token = ""
    while True:
        path = "/products?include_inventory=true&limit=7&ignored=1"
        page = reader.call("GET", path + (f"&next_token={quote(token)}" if token else ""))
        assert page.status == 200
        assert len(page.body["items"]) <= 7
        seen += page.body["items"]
        if not (token := page.body["next_token"]):
            break
    found = {item["sku"]: item["quantity"] for item in seen}
    assert len(found) == len(seen)
    assert mine.items() <= found.items()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "VALIDATION_ERROR"),
        ("limit=101", "VALIDATION_ERROR"),
        ("limit=many", "VALIDATION_ERROR"),
        ("include_inventory=perhaps", "VALIDATION_ERROR"),
        ("next_token=tampered", "INVALID_TOKEN"),
    ],
)
def test_an_invalid_query_parameter_is_400(reader: Api, query: str, code: str) -> None:
    assert_problem(reader.call("GET", f"/products?{query}"), 400, code)


def test_path_parameters_are_decoded_once(reader: Api, product: Make) -> None:
    sku = product()
    encoded = "".join(f"%{ord(letter):02X}" for letter in sku)
    assert reader.call("GET", f"/products/{encoded}").body["sku"] == sku
    assert_problem(reader.call("GET", f"/products/{quote(sku.replace('-', '%2D'))}"), 404, "NOT_FOUND")
    assert_problem(reader.call("GET", "/products/%FF"), 400, "VALIDATION_ERROR")


def test_a_sku_of_any_script_and_punctuation_is_found_by_its_encoded_path(writer: Api) -> None:
    sku = f"Größe 3/4 #{new_id('E2E')} 100% 大"
    made = writer.call("POST", "/products", {"sku": sku, "name": "Any", "price": 1})
    assert (made.status, made.body["sku"]) == (201, sku)
    path = quote(sku, safe="")
    assert writer.call("GET", f"/products/{path}").body["sku"] == sku
    assert writer.call("PUT", f"/inventory/{path}", {"quantity": 2}).body["sku"] == sku
    assert writer.call("GET", f"/inventory/{path}").body["quantity"] == 2
    assert writer.call("PUT", f"/inventory/{path}", {"quantity": 0}).status == 200
    assert writer.call("DELETE", f"/products/{path}").status == 204


def test_a_call_without_a_body_is_400(writer: Api) -> None:
    assert_problem(writer.call("POST", "/products", Content_Type="application/json"), 400, "INVALID_JSON")
    assert_problem(writer.call("POST", "/products"), 400, "VALIDATION_ERROR")
