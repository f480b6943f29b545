"""Ids of any script make the whole round trip: paths, keys, pages, messages, answers."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from local.stage import Stage
from tests.integration.consumers import invoke, put_stock
from tests.support.ids import ID_CATEGORIES, ids_of
from tests.support.invariants import drain
from tests.support.messages import release, reserve
from tests.support.rest import RestClient, all_pages

SKUS = [
    "TS 100 XL",
    "ABC/12",
    "#42",
    "Größe-3",
    "00012",
    "a%2Fb",
    "a+b",
    "?x=1&y",
    "'\";--",
    "…",
    "漢字 カナ",
    "مرحبا",
    "हिन्दी",
    "😀" * 64,
    "\\",
    "..a",
]
ORDERS = ["#1001", "SO/2026/0007", "order 12", "Bestellung Nr. 5, Köln", "注文/1", "😀" * 128, "."]


def path(text: str) -> str:
    return quote(text, safe="")


@pytest.mark.parametrize("sku", SKUS)
def test_a_sku_can_be_created_read_changed_and_deleted(rest: RestClient, sku: str) -> None:
    created = rest.post("/products", {"sku": sku, "name": "x", "price": 1})
    assert (created.status, created.json["sku"]) == (201, sku)
    assert created.headers["location"] == f"/api/products/{path(sku)}"
    adjusted = rest.post(f"/inventory/{path(sku)}/adjustments", {"delta": 2, "reason": "RECEIVED"})
    assert adjusted.json["quantity"] == 2
    assert rest.get(f"/products/{path(sku)}").json["quantity"] == 2
    checked = rest.post("/inventory/check", {"items": [{"sku": sku, "quantity": 2}]})
    assert checked.json["items"][sku]["status"] == "AVAILABLE"
    assert rest.put(f"/inventory/{path(sku)}", {"quantity": 0}).status == 200
    assert rest.delete(f"/products/{path(sku)}").status == 204
    assert rest.get(f"/inventory/{path(sku)}").status == 404


def test_pages_continue_after_any_sku(rest: RestClient) -> None:
    for sku in SKUS:
        assert rest.post("/products", {"sku": sku, "name": "x", "price": 1}).status == 201
    for listing in ("/products", "/inventory"):
        assert sorted(item["sku"] for item in all_pages(rest, listing, limit=1)) == sorted(SKUS)


@pytest.mark.parametrize("order_id", ORDERS)
def test_an_order_is_reserved_read_and_released(rest: RestClient, stage: Stage, order_id: str) -> None:
    sku = "Größe/3 #1"
    rest.post("/products", {"sku": sku, "name": "x", "price": 1})
    rest.put(f"/inventory/{path(sku)}", {"quantity": 5})
    customer = "Größe & Söhne, 2. OG"
    assert invoke(reserve(order_id, {sku: 2}, customer_id=customer)) == []
    reservation = rest.get(f"/reservations/{path(order_id)}")
    assert reservation.json["order_id"] == order_id
    assert reservation.json["outcome"] == "RESERVED"
    assert reservation.json["items"] == [{"sku": sku, "quantity": 2}]
    assert invoke(release(order_id)) == []
    answers = [json.loads(body) for body in drain(stage, stage.oms_queue_url)]
    assert [(answer["type"], answer["order_id"]) for answer in answers] == [
        ("InventoryReserved", order_id),
        ("InventoryReleased", order_id),
    ]
    assert answers[0]["customer_id"] == customer
    assert rest.get(f"/inventory/{path(sku)}").json["quantity"] == 5


@pytest.mark.parametrize("category", ID_CATEGORIES)
def test_skus_of_each_category_make_the_round_trip(rest: RestClient, category: str) -> None:
    skus = ids_of(category, 10)
    for sku in skus:
        assert rest.post("/products", {"sku": sku, "name": "x", "price": 1}).json["sku"] == sku
        adjustment = {"delta": 5, "reason": "RECEIVED"}
        for _ in range(2):
            adjusted = rest.post(f"/inventory/{path(sku)}/adjustments", adjustment, Idempotency_Key="k")
            assert adjusted.json == rest.get(f"/inventory/{path(sku)}").json
            assert (adjusted.json["sku"], adjusted.json["quantity"]) == (sku, 5)
        changed = rest.patch(f"/products/{path(sku)}", {"name": f"x{sku}"})
        assert changed.json == rest.get(f"/products/{path(sku)}").json
        assert (changed.json["sku"], changed.json["name"], changed.json["quantity"]) == (sku, f"x{sku}", 5)
    answer = rest.post("/inventory/check", {"items": [{"sku": sku, "quantity": 5} for sku in skus]}).json
    assert (answer["status"], sorted(answer["items"])) == ("AVAILABLE", sorted(skus))
    for listing in ("/products", "/inventory"):
        assert sorted(item["sku"] for item in all_pages(rest, listing, limit=4)) == sorted(skus)
    for sku in skus:
        assert rest.put(f"/inventory/{path(sku)}", {"quantity": 0}).json["sku"] == sku
        assert rest.delete(f"/products/{path(sku)}").status == 204
    for listing in ("/products", "/inventory"):
        assert rest.get(listing).json["items"] == []


@pytest.mark.parametrize("category", ID_CATEGORIES)
def test_orders_of_each_category_make_the_round_trip(rest: RestClient, stage: Stage, category: str) -> None:
    """Each text is the id of an order, of its customer and of the SKU that it asks for."""
    texts = ids_of(category, 25)
    put_stock(stage, dict.fromkeys(texts, 5))
    assert invoke(*(reserve(text, {text: 2}, customer_id=text) for text in texts)) == []
    first = answers_by_order(stage)
    assert sorted(first) == sorted(texts)
    for text in texts:
        assert rest.get(f"/inventory/{path(text)}").json["quantity"] == 3
    assert invoke(*(release(text) for text in texts)) == []
    second = answers_by_order(stage)
    for text in texts:
        lines = [{"sku": text, "quantity": 2}]
        assert (first[text]["customer_id"], first[text]["items"], second[text]["items"]) == (
            text,
            lines,
            lines,
        )
        reservation = rest.get(f"/reservations/{path(text)}").json
        assert (reservation["outcome"], reservation["order_id"]) == ("RELEASED", text)
        assert (reservation["customer_id"], reservation["ordered"]) == (text, lines)
        assert (reservation["answer"], reservation["operations"][0]["answer"]) == (first[text], second[text])
        assert rest.get(f"/inventory/{path(text)}").json["quantity"] == 5


def answers_by_order(stage: Stage) -> dict[str, Any]:
    """The answers that the OMS has got since the last time, one for each order."""
    answers = [json.loads(body) for body in drain(stage, stage.oms_queue_url)]
    found = {answer["order_id"]: answer for answer in answers}
    assert len(found) == len(answers)
    return found


def test_each_visible_ascii_character_is_an_idempotency_key_of_its_own(rest: RestClient) -> None:
    rest.post("/products", {"sku": "A", "name": "x", "price": 1})
    keys = [chr(code) for code in range(0x21, 0x7F)]
    body = {"delta": 1, "reason": "RECEIVED"}
    first = [rest.post("/inventory/A/adjustments", body, Idempotency_Key=key).json for key in keys]
    again = [rest.post("/inventory/A/adjustments", body, Idempotency_Key=key).json for key in keys]
    assert first == again
    assert [stock["quantity"] for stock in first] == list(range(1, 95))
