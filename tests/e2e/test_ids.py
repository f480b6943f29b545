"""Ids of any script, over real HTTP and through real queues."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest

from local.client import Api
from local.oms import Oms, new_id, release, reserve
from tests.support.ids import ID_CATEGORIES, ids_of

SECONDS = 30
TEXTS = [
    *("#1001", "SO/2026/0007", "TS 100 XL", "100%", "a%2Fb", "?x=1&y=2", "a+b", "c:d;e=f@g,h", "..", "a\\b"),
    *("Größe-3", "'\"<>", "[x]{y}|^`~", "漢字 カナ", "مرحبا", "हिन्दी", "👩🏽", "//", "/./a/../b"),
]
"""Texts of real shops, and all that is special in a URL."""


def path(text: str) -> str:
    return quote(text, safe="")


@pytest.fixture(scope="module")
def skus(clients: Any) -> Iterator[list[str]]:
    """Products with 5 units each, whose SKUs have these texts, and two of each general category."""
    mark = new_id("E2E")
    made = [f"{mark} {text}" for text in TEXTS] + [
        f"{mark} {text}" for category in ID_CATEGORIES for text in ids_of(category, 2)
    ]
    api: Api = clients.writer
    for sku in made:
        created = api.call("POST", "/products", {"sku": sku, "name": sku, "price": 1})
        assert (created.status, created.body["sku"]) == (201, sku)
        location = urlsplit(urljoin(api.url, created.headers["Location"]))
        assert location.path.removeprefix(urlsplit(api.url).path) == f"/products/{path(sku)}"
        adjustment = {"delta": 5, "reason": "RECEIVED", "reference": sku}
        adjusted = api.call("POST", f"/inventory/{path(sku)}/adjustments", adjustment)
        assert (adjusted.status, adjusted.body["sku"], adjusted.body["quantity"]) == (200, sku, 5)
    yield made
    for sku in made:
        assert api.call("PUT", f"/inventory/{path(sku)}", {"quantity": 0}).status == 200
        assert api.call("DELETE", f"/products/{path(sku)}").status == 204
        assert api.call("GET", f"/products/{path(sku)}").status == 404


def test_a_product_is_read_and_changed_whatever_its_sku(writer: Api, skus: list[str]) -> None:
    for sku in skus:
        changed = writer.call("PATCH", f"/products/{path(sku)}", {"price": 2})
        assert (changed.status, changed.body["sku"], changed.body["name"]) == (200, sku, sku)
        assert writer.call("GET", f"/products/{path(sku)}").body == changed.body
        assert writer.call("GET", f"/inventory/{path(sku)}").body["sku"] == sku


def test_a_path_is_decoded_once_however_it_is_encoded(reader: Api, skus: list[str]) -> None:
    for sku in skus:
        all_encoded = "".join(f"%{byte:02x}" for byte in sku.encode())
        little_encoded = quote(sku, safe="!$&'()*+,:;=@~")
        for encoded in (all_encoded, little_encoded):
            assert reader.call("GET", f"/inventory/{encoded}").body["sku"] == sku


def test_a_check_and_the_pages_find_every_sku_once(reader: Api, skus: list[str]) -> None:
    checked = reader.call(
        "POST", "/inventory/check", {"items": [{"sku": sku, "quantity": 1} for sku in skus]}
    )
    assert (checked.body["status"], sorted(checked.body["items"])) == ("AVAILABLE", sorted(skus))
    for listing in ("/products", "/inventory"):
        found, token = list[str](), ""
        while True:
            page = reader.call("GET", f"{listing}?limit=7" + (f"&next_token={quote(token)}" if token else ""))
            found += [item["sku"] for item in page.body["items"]]
            if not (token := page.body["next_token"]):
                break
        assert sorted(sku for sku in found if sku in skus) == sorted(skus)


def test_an_order_is_answered_and_read_whatever_its_id(reader: Api, oms: Oms, skus: list[str]) -> None:
    """Each SKU is the id of an order as well, and of its customer."""
    for sku in skus:
        oms.send(reserve(sku, {sku: 2}, customer_id=sku))
    reserved = {answer["order_id"]: answer for answer in oms.answers(set(skus), len(skus), SECONDS)}
    assert sorted(reserved) == sorted(skus)
    for sku in skus:
        oms.send(release(sku))
    released = {answer["order_id"]: answer for answer in oms.answers(set(skus), len(skus), SECONDS)}
    assert sorted(released) == sorted(skus)
    for sku in skus:
        reservation = reader.call("GET", f"/reservations/{path(sku)}").body
        assert (reservation["outcome"], reservation["order_id"]) == ("RELEASED", sku)
        assert (reservation["customer_id"], reservation["ordered"]) == (sku, [{"sku": sku, "quantity": 2}])
        assert reservation["answer"] == reserved[sku]
        assert reservation["operations"][0]["answer"] == released[sku]
