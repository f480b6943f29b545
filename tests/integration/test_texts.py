"""Texts for people make the round trip as they came, or are refused by name, by Unicode's categories."""

from __future__ import annotations

from typing import Any

import pytest

from local.stage import Stage
from tests.support.rest import RestClient, all_pages
from tests.support.texts import ALLOWED, by_category, some


def texts_with(character: str) -> tuple[dict[str, str], set[str]]:
    """The texts of a product that may have this character, and the fields that may not."""
    texts = {"name": f"a{character}b", "description": f"a{character}b", "image_url": f"http://x/{character}b"}
    refused = {field for field in texts if not ALLOWED[field](character)}
    return {field: text for field, text in texts.items() if field not in refused}, refused


@pytest.mark.parametrize("category", sorted(by_category()))
def test_texts_of_a_product_make_the_round_trip(rest: RestClient, category: str) -> None:
    made: list[Any] = []
    for number, character in enumerate(some(category, 8)):
        texts, _ = texts_with(character)
        created = rest.post("/products", {"sku": f"A{number}", "name": "x", "price": 1} | texts)
        assert created.status == 201
        assert texts.items() <= created.json.items()
        if texts:
            rest.post("/products", {"sku": f"B{number}", "name": "x", "price": 1})
            changed = rest.patch(f"/products/B{number}", texts)
            assert changed.status == 200
            assert texts.items() <= changed.json.items()
            made.append(changed.json)
        assert rest.get(f"/products/A{number}").json == created.json
        made.append(created.json)
    listed = all_pages(rest, "/products", include_inventory="true")
    assert sorted(listed, key=by_sku) == sorted(made, key=by_sku)


def by_sku(product: dict[str, Any]) -> str:
    return str(product["sku"])


@pytest.mark.parametrize("category", sorted(by_category()))
def test_a_text_of_a_product_is_refused_by_name(rest: RestClient, category: str) -> None:
    rest.post("/products", {"sku": "B", "name": "x", "price": 1})
    for character in some(category, 8):
        _, refused = texts_with(character)
        texts = dict.fromkeys(refused, f"http://x/{character}")
        if refused:
            created = rest.post("/products", {"sku": "A", "name": "x", "price": 1} | texts)
            assert (created.status, set(created.fields)) == (400, refused)
            changed = rest.patch("/products/B", texts)
            assert (changed.status, set(changed.fields)) == (400, refused)
    assert [product["name"] for product in rest.get("/products").json["items"]] == ["x"]


@pytest.mark.parametrize("category", sorted(by_category()))
def test_the_reference_of_an_adjustment_is_kept_in_its_record(
    rest: RestClient, stage: Stage, category: str
) -> None:
    rest.post("/products", {"sku": "A", "name": "x", "price": 1})
    kept: list[str] = []
    for character in some(category, 25):
        text = f"a{character}b"
        adjustment = {"delta": 1, "reason": "RECEIVED", "reference": text}
        response = rest.post("/inventory/A/adjustments", adjustment)
        if ALLOWED["reference"](character):
            assert response.status == 200
            kept.append(text)
        else:
            assert (response.status, response.fields) == (400, ["reference"])
    records = stage.dynamodb.scan(TableName=stage.tables.processed_events_table)["Items"]
    assert sorted(record["reference"]["S"] for record in records) == sorted(kept)
