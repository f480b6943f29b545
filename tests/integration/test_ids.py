"""Ids of any script make the whole round trip: paths, keys, pages, messages, answers."""

from __future__ import annotations

import json
import sys
import unicodedata
from functools import cache
from random import Random
from urllib.parse import quote

import pytest

from local.stage import Stage
from tests.integration.consumers import invoke
from tests.support.ids import CATEGORIES
from tests.support.invariants import drain
from tests.support.messages import release, reserve
from tests.support.rest import RestClient

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
    seen: list[str] = []
    token = None
    while True:
        page = rest.get("/inventory", limit=3, **({"next_token": token} if token else {})).json
        seen += [item["sku"] for item in page["items"]]
        token = page["next_token"]
        if token is None:
            break
    assert sorted(seen) == sorted(SKUS)


@pytest.fixture
def consumer_stage(rest: RestClient, stage: Stage) -> Stage:
    return stage


@pytest.mark.parametrize("order_id", ORDERS)
def test_an_order_is_reserved_read_and_released(
    consumer_stage: Stage, rest: RestClient, order_id: str
) -> None:
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
    answers = [json.loads(body) for body in drain(consumer_stage, consumer_stage.oms_queue_url)]
    assert [(answer["type"], answer["order_id"]) for answer in answers] == [
        ("InventoryReserved", order_id),
        ("InventoryReleased", order_id),
    ]
    assert answers[0]["customer_id"] == customer
    assert rest.get(f"/inventory/{path(sku)}").json["quantity"] == 5


@cache
def characters() -> dict[str, list[str]]:
    """All characters of ids by general category, in the normal form NFC between two letters."""
    found: dict[str, list[str]] = {}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category[0] in CATEGORIES and unicodedata.is_normalized("NFC", f"a{chr(code)}b"):
            found.setdefault(category, []).append(chr(code))
    return found


@pytest.mark.parametrize("category", sorted(characters()))
def test_texts_of_each_category_make_the_round_trip(
    consumer_stage: Stage, rest: RestClient, category: str
) -> None:
    known = characters()[category]
    some = Random(category).sample(known, min(len(known), 25))
    texts = [f"a{character}b" for character in some]
    for text in texts:
        product = {"sku": text, "name": text, "description": f"{text}\n", "price": 1}
        assert rest.post("/products", product).status == 201
        adjustment = {"delta": 5, "reason": "RECEIVED", "reference": text}
        assert rest.post(f"/inventory/{path(text)}/adjustments", adjustment).json["quantity"] == 5
        assert product.items() <= rest.get(f"/products/{path(text)}").json.items()
    assert invoke(*(reserve(text, {text: 2}, customer_id=text) for text in texts)) == []
    for text in texts:
        assert rest.get(f"/reservations/{path(text)}").json["items"] == [{"sku": text, "quantity": 2}]
        assert rest.get(f"/inventory/{path(text)}").json["quantity"] == 3
    answers = [json.loads(body) for body in drain(consumer_stage, consumer_stage.oms_queue_url)]
    assert sorted(answer["order_id"] for answer in answers) == sorted(texts)
    assert all(answer["customer_id"] == answer["order_id"] for answer in answers)
