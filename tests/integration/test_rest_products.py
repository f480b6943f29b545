from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from chalicelib.store.product_store import ProductStore
from local.stage import Stage
from tests.support.reserving import reserve
from tests.support.rest import Response, RestClient, all_pages

PRODUCT = {"sku": "A-1", "name": "Ä lamp 💡", "price": 10.99}
NO_STOCK = {"quantity": 0, "reserved": 0, "on_hand": 0, "version": 1}


def test_a_new_product_has_no_stock(rest: RestClient) -> None:
    made = rest.post("/products", PRODUCT)
    assert made.status == 201
    assert made.headers["location"] == "/api/products/A-1"
    assert made.json == PRODUCT | {
        "description": None,
        "image_url": None,
        **NO_STOCK,
        "created_at": made.json["created_at"],
        "updated_at": made.json["created_at"],
    }
    assert rest.get("/products/A-1").json == made.json
    assert rest.get("/inventory/A-1").json == {
        "sku": "A-1",
        **NO_STOCK,
        "reorder_point": None,
        "updated_at": made.json["created_at"],
    }


@pytest.mark.parametrize(
    "price", ["10.99", "0.1", "0.29", "9999999999.99", "1234567890.12", "0", "12", "999999999999"]
)
def test_a_price_is_exact_in_the_table_and_in_every_response(
    rest: RestClient, stage: Stage, price: str
) -> None:
    made = rest.call("POST", "/products", f'{{"sku": "A", "name": "a", "price": {price}}}')
    changed = rest.call("PATCH", "/products/A", f'{{"price": {price}}}')
    listed = rest.get("/products").json["items"][0]
    for response in (made.json, changed.json, rest.get("/products/A").json, listed):
        assert repr(response["price"]) == price
    item = stage.dynamodb.get_item(TableName=stage.tables.product_table, Key={"sku": {"S": "A"}})["Item"]
    assert Decimal(item["price"]["N"]) == Decimal(price)


def test_a_taken_sku_is_refused_and_its_product_unchanged(rest: RestClient) -> None:
    made = rest.post("/products", PRODUCT)
    again = rest.post("/products", PRODUCT | {"name": "other"})
    assert (again.status, again.code) == (409, "ALREADY_EXISTS")
    assert rest.get("/products/A-1").json == made.json


def test_one_of_many_concurrent_creations_of_a_sku_succeeds(rest: RestClient) -> None:
    def create(number: int) -> Response:
        return rest.post("/products", PRODUCT | {"name": f"from {number}"})

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(create, range(8)))
    assert sorted(response.status for response in responses) == [201] + [409] * 7
    winner = next(response for response in responses if response.status == 201)
    assert rest.get("/products/A-1").json == winner.json


def test_a_change_touches_only_the_fields_that_it_names(rest: RestClient) -> None:
    made = rest.post("/products", PRODUCT | {"description": "old", "image_url": "https://x/y"})
    rest.put("/inventory/A-1", {"quantity": 5})
    changed = rest.patch("/products/A-1", {"name": "new", "price": 3, "description": None})
    assert changed.status == 200
    assert changed.json == made.json | {
        "name": "new",
        "price": 3,
        "description": None,
        "quantity": 5,
        "on_hand": 5,
        "version": 2,
        "updated_at": changed.json["updated_at"],
    }
    assert changed.json["updated_at"] >= made.json["updated_at"]
    assert rest.get("/products/A-1").json == changed.json


def test_concurrent_changes_of_different_fields_are_all_kept(rest: RestClient) -> None:
    rest.post("/products", PRODUCT)
    changes: list[dict[str, Any]] = [
        {"name": "new"},
        {"price": 5},
        {"description": "d"},
        {"image_url": "https://x/y"},
    ]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda change: rest.patch("/products/A-1", change), changes))
    product = rest.get("/products/A-1").json
    assert all(product.items() >= change.items() for change in changes)


def test_a_product_without_stock_can_be_deleted_and_created_again(rest: RestClient) -> None:
    rest.post("/products", PRODUCT)
    gone = rest.delete("/products/A-1")
    assert (gone.status, gone.json) == (204, None)
    for path in ("/products/A-1", "/inventory/A-1"):
        assert rest.get(path).code == "NOT_FOUND"
    assert rest.delete("/products/A-1").status == 404
    assert rest.patch("/products/A-1", {"price": 1}).status == 404
    assert rest.post("/products", PRODUCT).status == 201


def test_a_product_with_stock_cannot_be_deleted(rest: RestClient) -> None:
    rest.post("/products", PRODUCT)
    rest.put("/inventory/A-1", {"quantity": 2})
    response = rest.delete("/products/A-1")
    assert (response.status, response.code) == (409, "HAS_STOCK")
    assert rest.get("/products/A-1").json["quantity"] == 2


@pytest.mark.parametrize("old", [" \x00", "\u200b\u3164", "a\u2028b", "\ufffe"])
def test_texts_that_were_stored_before_their_rules_are_read_as_they_are(
    rest: RestClient, stage: Stage, old: str
) -> None:
    texts = {"name": old, "description": f"{old}\x7f", "image_url": f"https://x/{old}"}
    rest.post("/products", PRODUCT)
    stage.dynamodb.update_item(
        TableName=stage.tables.product_table,
        Key={"sku": {"S": "A-1"}},
        AttributeUpdates={name: {"Value": {"S": text}} for name, text in texts.items()},
    )
    (listed,) = rest.get("/products").json["items"]
    assert texts.items() <= listed.items()
    changed = rest.patch("/products/A-1", {"price": 2})
    assert changed.status == 200
    assert texts.items() <= changed.json.items()


def lose(stage: Stage, table: str, sku: str = "A-1") -> None:
    """Delete one half of a product, as a restore of one table to an older moment does."""
    stage.dynamodb.delete_item(TableName=table, Key={"sku": {"S": sku}})


def test_a_product_that_lost_its_stock_is_read_changed_and_stocked_again(
    rest: RestClient, stage: Stage
) -> None:
    rest.post("/products", PRODUCT)
    lose(stage, stage.tables.inventory_table)
    assert rest.post("/products", PRODUCT).code == "ALREADY_EXISTS"
    assert (read := rest.get("/products/A-1")).status == 200
    assert (read.json["name"], read.json["quantity"]) == (PRODUCT["name"], 0)
    assert rest.put("/inventory/A-1", {"quantity": 5}).status == 200
    lose(stage, stage.tables.inventory_table)
    changed = rest.patch("/products/A-1", {"price": 3})
    assert (changed.status, changed.json["price"], changed.json["quantity"]) == (200, 3, 0)
    assert rest.get("/inventory/A-1").json["quantity"] == 0


@pytest.mark.parametrize(
    ("line", "body", "quantity"),
    [
        ("GET /products/A-1", None, 0),
        ("PATCH /products/A-1", {"price": 3}, 0),
        ("GET /inventory/A-1", None, 0),
        ("PUT /inventory/A-1", {"quantity": 5}, 5),
        ("POST /inventory/A-1/adjustments", {"delta": 2, "reason": "RECEIVED"}, 2),
        ("GET /products", None, 0),
    ],
)
def test_a_read_or_a_change_gives_a_product_without_stock_its_stock(
    rest: RestClient, stage: Stage, line: str, body: Any, quantity: int
) -> None:
    rest.post("/products", PRODUCT)
    lose(stage, stage.tables.inventory_table)
    method, path = line.split()
    answer = rest.call(method, path, body, query={"include_inventory": "true"})
    assert answer.status == 200
    shown = answer.json.get("items", [answer.json])[0]
    assert (shown["sku"], shown["quantity"]) == ("A-1", quantity)
    assert rest.get("/inventory/A-1").json["quantity"] == quantity


def test_reading_all_pages_gives_every_product_its_stock(rest: RestClient, stage: Stage) -> None:
    skus = {f"A-{number}" for number in range(5)}
    for sku in skus:
        rest.post("/products", PRODUCT | {"sku": sku})
        lose(stage, stage.tables.inventory_table, sku)
    page: dict[str, Any] = {"next_token": None}
    for _ in range(len(skus)):
        token = {"next_token": page["next_token"]} if page["next_token"] else {}
        page = rest.get("/products", include_inventory="true", limit=2, **token).json
        if page["next_token"] is None:
            break
    assert page["next_token"] is None
    assert {stock["sku"] for stock in rest.get("/inventory").json["items"]} == skus


def test_a_check_and_a_list_without_stock_leave_a_product_without_stock(
    rest: RestClient, stage: Stage
) -> None:
    rest.post("/products", PRODUCT)
    lose(stage, stage.tables.inventory_table)
    assert rest.get("/products").json["items"]
    checked = rest.post("/inventory/check", {"items": [{"sku": "A-1", "quantity": 1}]}).json
    assert checked["items"]["A-1"]["reason"] == "SKU_NOT_FOUND"
    assert rest.get("/inventory").json["items"] == []


def test_a_product_without_stock_has_no_units_to_take(rest: RestClient, stage: Stage) -> None:
    rest.post("/products", PRODUCT)
    lose(stage, stage.tables.inventory_table)
    refused = rest.post("/inventory/A-1/adjustments", {"delta": -1, "reason": "LOST"})
    assert (refused.status, refused.code) == (409, "INSUFFICIENT_STOCK")


def test_stock_that_lost_its_product_gets_a_new_one(rest: RestClient, stage: Stage) -> None:
    rest.post("/products", PRODUCT)
    rest.put("/inventory/A-1", {"quantity": 5})
    lose(stage, stage.tables.product_table)
    assert rest.get("/products/A-1").status == 404
    assert rest.patch("/products/A-1", {"price": 3}).status == 404
    assert rest.delete("/products/A-1").code == "HAS_STOCK"
    assert rest.get("/inventory/A-1").json["quantity"] == 5
    made = rest.post("/products", PRODUCT)
    assert (made.status, made.json["quantity"]) == (201, 5)
    assert rest.get("/products/A-1").json == made.json


def test_stock_of_version_1_1_is_shown_as_what_it_means(rest: RestClient, stage: Stage) -> None:
    rest.post("/products", PRODUCT)
    item = {"sku": {"S": "A-1"}, "quantity": {"N": "4"}, "updated_at": {"S": "then"}}
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item)
    level = {"sku": "A-1", "quantity": 4, "reserved": 0, "on_hand": 4, "version": 0}
    level |= {"reorder_point": None, "updated_at": "then"}
    assert rest.get("/inventory/A-1").json == level
    assert rest.get("/inventory").json["items"] == [level]
    assert rest.get("/products/A-1").json["version"] == 0
    assert rest.put("/inventory/A-1", {"quantity": 0}).json["version"] == 1
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item | {"quantity": {"N": "0"}})
    assert rest.delete("/products/A-1").status == 204


def test_reserved_units_are_shown_and_kept_from_deletion(rest: RestClient, stage: Stage) -> None:
    rest.post("/products", PRODUCT)
    rest.put("/inventory/A-1", {"quantity": 3})
    assert reserve(stage, "A-1", 3)
    shown = {"quantity": 0, "reserved": 3, "on_hand": 3, "version": 3}
    (listed,) = rest.get("/products", include_inventory="true").json["items"]
    changed = rest.patch("/products/A-1", {"price": 3})
    for document in (rest.get("/products/A-1").json, listed, changed.json, rest.get("/inventory/A-1").json):
        assert {name: document[name] for name in shown} == shown
    refused = rest.delete("/products/A-1")
    assert (refused.status, refused.code) == (409, "HAS_RESERVATIONS")
    assert rest.get("/products/A-1").status == 200


def test_half_a_product_without_units_can_be_deleted(rest: RestClient, stage: Stage) -> None:
    for table in (stage.tables.product_table, stage.tables.inventory_table):
        rest.post("/products", PRODUCT)
        lose(stage, table)
        assert [rest.delete("/products/A-1").status for _ in range(2)] == [204, 404]
        assert [rest.get(f"/{path}/A-1").status for path in ("products", "inventory")] == [404, 404]


@pytest.mark.parametrize("units", [0, 5])
def test_calls_that_meet_a_half_at_once_leave_a_whole_product_or_none(
    rest: RestClient, stage: Stage, units: int
) -> None:
    tables = (stage.tables.product_table, stage.tables.inventory_table)
    calls = [
        lambda: rest.get("/products/A-1"),
        lambda: rest.patch("/products/A-1", {"price": 3}),
        lambda: rest.delete("/products/A-1"),
        lambda: rest.post("/products", PRODUCT),
    ]
    allowed = [{200, 404, 503}, {200, 404}, {204, 404, 409, 503}, {201, 409, 503}]
    with ThreadPoolExecutor(8) as threads:
        for number in range(12):
            rest.post("/products", PRODUCT)
            rest.put("/inventory/A-1", {"quantity": units})
            lose(stage, tables[0] if units else tables[number % 2])
            made = [threads.submit(call) for call in calls * 2]
            for wanted, future in zip(allowed * 2, made, strict=True):
                assert future.result().status in wanted
            halves = [
                stage.dynamodb.get_item(TableName=table, Key={"sku": {"S": "A-1"}}).get("Item")
                for table in tables
            ]
            if units:
                # Nothing deletes units, so exactly one creation found them.
                assert [future.result().status for future in made].count(201) == 1
                assert rest.get("/products/A-1").json["quantity"] == units
            else:
                assert (halves[0] is None) == (halves[1] is None)


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_show_every_product_once(rest: RestClient, limit: int) -> None:
    skus = {f"S{number}" for number in range(15)}
    for sku in skus:
        rest.post("/products", PRODUCT | {"sku": sku})
    seen = [item["sku"] for item in all_pages(rest, "/products", limit=limit)]
    assert sorted(seen) == sorted(skus)
    assert sorted(item["sku"] for item in all_pages(rest, "/inventory", limit=limit)) == sorted(skus)


def test_a_listing_shows_stock_only_when_asked(rest: RestClient) -> None:
    rest.post("/products", PRODUCT)
    rest.put("/inventory/A-1", {"quantity": 4})
    for parameters in ({}, {"include_inventory": "false"}):
        (item,) = rest.get("/products", **parameters).json["items"]
        assert not NO_STOCK.keys() & item.keys()
    (item,) = rest.get("/products", include_inventory="true").json["items"]
    assert item == rest.get("/products/A-1").json


def test_a_product_that_is_deleted_while_its_page_is_read_is_omitted(
    rest: RestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest.post("/products", PRODUCT)
    rest.post("/products", PRODUCT | {"sku": "B"})
    page = ProductStore.page

    def page_then_deletion(*arguments: Any) -> Any:
        found = page(*arguments)
        assert rest.delete("/products/B").status == 204
        return found

    monkeypatch.setattr(ProductStore, "page", page_then_deletion)
    assert [item["sku"] for item in rest.get("/products", include_inventory="true").json["items"]] == ["A-1"]


def test_an_empty_listing_is_one_empty_page(rest: RestClient) -> None:
    for path in ("/products", "/inventory"):
        assert rest.get(path).json == {"items": [], "next_token": None}


def test_a_tampered_token_is_refused_wherever_it_is_used(rest: RestClient) -> None:
    for sku in ("A", "B"):
        rest.post("/products", PRODUCT | {"sku": sku})
    token = rest.get("/products", limit=1).json["next_token"]
    bad = [token[:-1], token + "A", "", "ä", f"{token}=", token.swapcase()]
    responses = [rest.get("/products", next_token=text) for text in bad] + [
        rest.get("/inventory", next_token=token)
    ]
    assert [(response.status, response.code, response.fields) for response in responses] == [
        (400, "INVALID_TOKEN", ["next_token"])
    ] * len(responses)


def test_pages_show_each_existing_product_while_others_are_created_and_deleted(
    rest: RestClient, stage: Stage
) -> None:
    staying = {f"stay-{number:03}" for number in range(320)}
    passing = [f"pass-{number:03}" for number in range(60)]
    put_directly(stage, [*staying, *passing[:30]])
    seen: list[str] = []

    def churn() -> None:
        for old, new in zip(passing[:30], passing[30:], strict=True):
            assert rest.delete(f"/products/{old}").status == 204
            assert rest.post("/products", PRODUCT | {"sku": new}).status == 201

    with ThreadPoolExecutor(1) as threads:
        churning = threads.submit(churn)
        while not seen or not churning.done():
            seen = [item["sku"] for item in all_pages(rest, "/products", limit=20, include_inventory="true")]
            assert len(seen) == len(set(seen))
            assert set(seen) >= staying
        churning.result()
    assert {item["sku"] for item in all_pages(rest, "/products", limit=100)} == staying | set(passing[30:])


def put_directly(stage: Stage, skus: list[str]) -> None:
    """Store products with a stock of 0, 12 per call."""
    texts = {"name": "n", "created_at": "t", "updated_at": "t"}
    for start in range(0, len(skus), 12):
        chunk = skus[start : start + 12]
        product: dict[str, Any] = {name: {"S": text} for name, text in texts.items()} | {"price": {"N": "1"}}
        stock: dict[str, Any] = {"quantity": {"N": "0"}, "updated_at": {"S": "t"}}
        requests: dict[str, Any] = {
            table: [{"PutRequest": {"Item": item | {"sku": {"S": sku}}}} for sku in chunk]
            for table, item in ((stage.tables.product_table, product), (stage.tables.inventory_table, stock))
        }
        stage.dynamodb.batch_write_item(RequestItems=requests)
