import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib import bootstrap
from local.stage import Stage
from tests.support.reserving import reserve
from tests.support.rest import Response, RestClient

THREADS = 8


@pytest.fixture
def lamp(rest: RestClient) -> str:
    """Creates a product with a stock of 100; the path of its stock."""
    rest.post("/products", {"sku": "LAMP", "name": "lamp", "price": 5})
    rest.put("/inventory/LAMP", {"quantity": 100})
    return "/inventory/LAMP"


def concurrently(calls: int, call: Callable[[int], Response]) -> list[Response]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(call, range(calls)))


def quantity(rest: RestClient, path: str) -> int:
    return int(rest.get(path).json["quantity"])


def changes(stage: Stage) -> list[int]:
    """The deltas of the stored changes."""
    items = stage.dynamodb.scan(TableName=stage.tables.processed_events_table)["Items"]
    return [int(item["delta"]["N"]) for item in items]


def test_stock_is_set_and_returned(rest: RestClient, lamp: str) -> None:
    response = rest.put(lamp, {"quantity": 7, "expected_quantity": 100})
    assert response.status == 200
    assert response.json == {
        "sku": "LAMP",
        "quantity": 7,
        "reserved": 0,
        "on_hand": 7,
        "version": 3,
        "reorder_point": None,
        "updated_at": response.json["updated_at"],
    }
    assert rest.get(lamp).json == response.json


def test_stock_with_another_than_the_expected_quantity_is_not_set(rest: RestClient, lamp: str) -> None:
    response = rest.put(lamp, {"quantity": 7, "expected_quantity": 99})
    assert (response.status, response.code) == (409, "QUANTITY_MISMATCH")
    assert quantity(rest, lamp) == 100


def test_an_adjustment_changes_the_quantity_by_its_delta(rest: RestClient, lamp: str) -> None:
    response = rest.post(f"{lamp}/adjustments", {"delta": -30, "reason": "DAMAGED", "reference": "truck 7"})
    assert (response.status, response.json) == (200, rest.get(lamp).json)
    assert response.json["quantity"] == 70


@pytest.mark.parametrize(
    ("start", "delta", "code"),
    [(100, -101, "INSUFFICIENT_STOCK"), (10**12, 1, "STOCK_LIMIT"), (10**12 - 9, 10, "STOCK_LIMIT")],
)
def test_stock_never_leaves_its_bounds(
    rest: RestClient, lamp: str, start: int, delta: int, code: str
) -> None:
    rest.put(lamp, {"quantity": start})
    response = rest.post(f"{lamp}/adjustments", {"delta": delta, "reason": "CORRECTION"})
    assert (response.status, response.code) == (409, code)
    assert quantity(rest, lamp) == start


def test_an_unknown_sku_is_not_found_by_any_call(rest: RestClient) -> None:
    responses = [
        rest.get("/inventory/NONE"),
        rest.put("/inventory/NONE", {"quantity": 1}),
        rest.put("/inventory/NONE", {"quantity": 1}, Idempotency_Key="k"),
        rest.post("/inventory/NONE/adjustments", {"delta": 1, "reason": "RECEIVED"}),
        rest.post("/inventory/NONE/adjustments", {"delta": 1, "reason": "RECEIVED"}, Idempotency_Key="k"),
        rest.post("/inventory/NONE/counts", {"counted": 1}),
        rest.post("/inventory/NONE/counts", {"counted": 1}, Idempotency_Key="k"),
        rest.patch("/inventory/NONE", {"reorder_point": 1}),
        rest.patch("/inventory/NONE", {"reorder_point": None}),
    ]
    assert [(response.status, response.code) for response in responses] == [(404, "NOT_FOUND")] * 9


def test_a_count_sets_what_is_on_hand(rest: RestClient, stage: Stage, lamp: str) -> None:
    assert reserve(stage, "LAMP", 30)
    counted = rest.post(f"{lamp}/counts", {"counted": 90, "expected_version": 3, "reference": "shelf 9"})
    assert (counted.status, counted.json.pop("difference")) == (200, -10)
    assert counted.json == {
        "sku": "LAMP",
        "quantity": 60,
        "reserved": 30,
        "on_hand": 90,
        "version": 4,
        "reorder_point": None,
        "updated_at": counted.json["updated_at"],
    }
    assert rest.get(lamp).json == counted.json
    assert sorted(changes(stage)) == [-10, 100]


def test_a_count_without_a_difference_says_so(rest: RestClient, lamp: str) -> None:
    counted = rest.post(f"{lamp}/counts", {"counted": 100})
    assert (counted.json["difference"], counted.json["quantity"], counted.json["version"]) == (0, 100, 3)


def test_a_count_below_what_is_reserved_changes_nothing(rest: RestClient, stage: Stage, lamp: str) -> None:
    assert reserve(stage, "LAMP", 30)
    refused = rest.post(f"{lamp}/counts", {"counted": 29})
    assert (refused.status, refused.code, refused.json["reserved"]) == (409, "BELOW_RESERVED", 30)
    assert quantity(rest, lamp) == 70
    assert rest.post(f"{lamp}/counts", {"counted": 30}).json["quantity"] == 0


def test_a_count_of_another_version_changes_nothing(rest: RestClient, lamp: str) -> None:
    refused = rest.post(f"{lamp}/counts", {"counted": 5, "expected_version": 1})
    assert (refused.status, refused.code) == (409, "VERSION_MISMATCH")
    assert quantity(rest, lamp) == 100


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("counted", -1),
        ("counted", 10**12 + 1),
        ("counted", 1.5),
        ("counted", "1"),
        ("counted", None),
        ("expected_version", -1),
        ("expected_version", "2"),
        ("expected_version", None),
        ("reference", ""),
        ("reference", 7),
        ("quantity", 5),
    ],
)
def test_an_invalid_field_of_a_count_is_named(rest: RestClient, lamp: str, field: str, bad: Any) -> None:
    refused = rest.post(f"{lamp}/counts", {"counted": 5, field: bad})
    assert (refused.status, refused.code, refused.fields) == (400, "VALIDATION_ERROR", [field])
    assert quantity(rest, lamp) == 100


def test_a_count_gives_a_product_that_lost_its_stock_a_new_one(
    rest: RestClient, stage: Stage, lamp: str
) -> None:
    stage.dynamodb.delete_item(TableName=stage.tables.inventory_table, Key={"sku": {"S": "LAMP"}})
    counted = rest.post(f"{lamp}/counts", {"counted": 5, "expected_version": 1})
    assert (counted.json["quantity"], counted.json["difference"], counted.json["version"]) == (5, 5, 2)


def test_a_repeated_count_gets_the_first_response(rest: RestClient, stage: Stage, lamp: str) -> None:
    def ask(counted: int = 90) -> Response:
        return rest.post(f"{lamp}/counts", {"counted": counted, "expected_version": 2}, Idempotency_Key="k")

    first = ask()
    rest.post(f"{lamp}/adjustments", {"delta": 5, "reason": "RECEIVED"})
    assert (ask().status, ask().json) == (200, first.json)
    assert ask(89).code == "IDEMPOTENCY_KEY_REUSED"
    assert (first.json["difference"], quantity(rest, lamp)) == (-10, 95)


def test_every_stock_level_shows_the_reorder_point(rest: RestClient, lamp: str) -> None:
    level = rest.get(lamp).json
    changed = rest.patch(lamp, {"reorder_point": 20})
    assert (changed.status, changed.json) == (
        200,
        level | {"reorder_point": 20, "version": 3, "updated_at": changed.json["updated_at"]},
    )
    shown = [
        rest.get(lamp).json,
        rest.get("/inventory").json["items"][0],
        rest.put(lamp, {"quantity": 5}).json,
        rest.post(f"{lamp}/adjustments", {"delta": 1, "reason": "RECEIVED"}).json,
        rest.post(f"{lamp}/counts", {"counted": 9}).json,
    ]
    assert [document["reorder_point"] for document in shown] == [20] * 5
    assert "reorder_point" not in rest.get("/products/LAMP").json
    cleared = rest.patch(lamp, {"reorder_point": None}).json
    assert (cleared["reorder_point"], cleared["quantity"], cleared["version"]) == (None, 9, 7)
    assert rest.get(lamp).json == cleared


def test_a_reorder_point_gives_a_product_that_lost_its_stock_a_new_one(
    rest: RestClient, stage: Stage, lamp: str
) -> None:
    stage.dynamodb.delete_item(TableName=stage.tables.inventory_table, Key={"sku": {"S": "LAMP"}})
    changed = rest.patch(lamp, {"reorder_point": 5}).json
    assert (changed["quantity"], changed["reorder_point"], changed["version"]) == (0, 5, 2)


def test_a_check_reports_the_whole_and_each_sku(rest: RestClient, lamp: str) -> None:
    rest.post("/products", {"sku": "B", "name": "b", "price": 1})
    asked = [("LAMP", 60), ("B", 2), ("C", 1), ("LAMP", 40)]
    response = rest.post("/inventory/check", {"items": [{"sku": sku, "quantity": n} for sku, n in asked]})
    assert response.status == 200
    assert response.json == {
        "status": "UNAVAILABLE",
        "items": {
            "LAMP": {"status": "AVAILABLE", "requested": 100, "quantity": 100},
            "B": {"status": "UNAVAILABLE", "requested": 2, "quantity": 0, "reason": "INSUFFICIENT_STOCK"},
            "C": {"status": "UNAVAILABLE", "requested": 1, "quantity": 0, "reason": "SKU_NOT_FOUND"},
        },
    }
    assert list(response.json["items"]) == ["LAMP", "B", "C"]
    assert (
        rest.post("/inventory/check", {"items": [{"sku": "LAMP", "quantity": 100}]}).json["status"]
        == "AVAILABLE"
    )


def test_entries_of_one_sku_are_added_up(rest: RestClient, lamp: str) -> None:
    entries = [{"sku": "LAMP", "quantity": 10**9}] * 100
    response = rest.post("/inventory/check", {"items": entries})
    assert response.json["items"]["LAMP"]["requested"] == 10**11
    assert response.json["status"] == "UNAVAILABLE"


def test_a_check_retries_unprocessed_keys(rest: RestClient, lamp: str) -> None:
    left: list[int] = [3]

    def leave_unprocessed(params: dict[str, Any], **_: Any) -> None:
        body = json.loads(params["body"])
        if left and "RequestItems" in body:
            ((table, request),) = body["RequestItems"].items()
            count = left.pop()
            pending["left"] = {table: {**request, "Keys": request["Keys"][:count]}}
            request["Keys"] = request["Keys"][count:]
            params["body"] = json.dumps(body).encode()

    def report_unprocessed(parsed: dict[str, Any], **_: Any) -> None:
        if "left" in pending:
            parsed["UnprocessedKeys"] = pending.pop("left")

    pending: dict[str, Any] = {}
    events = bootstrap.dynamodb().meta.events
    events.register("before-call.dynamodb.BatchGetItem", leave_unprocessed)
    events.register("after-call.dynamodb.BatchGetItem", report_unprocessed)
    skus = ["LAMP", "X1", "X2", "X3", "X4"]
    response = rest.post("/inventory/check", {"items": [{"sku": sku, "quantity": 1} for sku in skus]})
    assert not left
    assert response.json["items"]["LAMP"]["status"] == "AVAILABLE"
    assert response.json["items"].keys() == set(skus)


@pytest.mark.parametrize("call", ["adjust", "set"])
def test_a_repeated_request_gets_the_first_response_and_changes_nothing(
    rest: RestClient, stage: Stage, lamp: str, call: str
) -> None:
    def ask() -> Response:
        if call == "adjust":
            return rest.post(f"{lamp}/adjustments", {"delta": 5, "reason": "RECEIVED"}, Idempotency_Key="k")
        return rest.put(lamp, {"quantity": 105, "expected_quantity": 100}, Idempotency_Key="k")

    first = ask()
    rest.put(lamp, {"quantity": 1})
    assert (ask().status, ask().json) == (200, first.json)
    assert quantity(rest, lamp) == 1
    assert sorted(changes(stage)) == [-104, 5, 100]


def test_a_key_cannot_be_reused_for_another_request(rest: RestClient, lamp: str) -> None:
    rest.post(f"{lamp}/adjustments", {"delta": 5, "reason": "RECEIVED"}, Idempotency_Key="k")
    responses = [
        rest.post(f"{lamp}/adjustments", {"delta": 6, "reason": "RECEIVED"}, Idempotency_Key="k"),
        rest.post(f"{lamp}/adjustments", {"delta": -999, "reason": "LOST"}, Idempotency_Key="k"),
        rest.put(lamp, {"quantity": 5}, Idempotency_Key="k"),
        rest.put(lamp, {"quantity": 5, "expected_quantity": 6}, Idempotency_Key="k"),
    ]
    assert [(response.status, response.code) for response in responses] == [
        (409, "IDEMPOTENCY_KEY_REUSED")
    ] * 4
    assert quantity(rest, lamp) == 105


def test_a_key_belongs_to_one_caller(rest: RestClient, lamp: str) -> None:
    for caller in (rest, RestClient("somebody else")):
        body = {"delta": 5, "reason": "RECEIVED"}
        assert caller.post(f"{lamp}/adjustments", body, Idempotency_Key="k").status == 200
    assert quantity(rest, lamp) == 110


def test_concurrent_adjustments_are_never_lost(rest: RestClient, stage: Stage, lamp: str) -> None:
    responses = concurrently(
        40, lambda n: rest.post(f"{lamp}/adjustments", {"delta": n - 15 or 1, "reason": "CORRECTION"})
    )
    assert {response.status for response in responses} <= {200, 409}
    done = sum(n - 15 or 1 for n, response in enumerate(responses) if response.status == 200)
    assert quantity(rest, lamp) == 100 + done == sum(changes(stage))


def test_concurrent_adjustments_never_take_more_than_is_in_stock(
    rest: RestClient, stage: Stage, lamp: str
) -> None:
    responses = concurrently(40, lambda _: rest.post(f"{lamp}/adjustments", {"delta": -7, "reason": "LOST"}))
    assert sorted(response.status for response in responses) == [200] * 14 + [409] * 26
    assert quantity(rest, lamp) == 2 == sum(changes(stage))


def test_concurrent_settings_and_adjustments_are_never_lost(
    rest: RestClient, stage: Stage, lamp: str
) -> None:
    def either(number: int) -> Response:
        if number % 4 == 0:
            return rest.put(lamp, {"quantity": 1000 + number})
        return rest.post(f"{lamp}/adjustments", {"delta": 1, "reason": "RECEIVED"})

    responses = concurrently(40, either)
    assert {response.status for response in responses} <= {200, 503}
    assert [response.status for n, response in enumerate(responses) if n % 4] == [200] * 30
    assert quantity(rest, lamp) == sum(changes(stage))
    assert len(changes(stage)) == 1 + sum(response.status == 200 for response in responses)


def test_counts_lose_nothing_while_stock_is_adjusted_and_reserved(
    rest: RestClient, stage: Stage, lamp: str
) -> None:
    moved: list[int] = []

    def either(number: int) -> Response | None:
        if number % 4 == 0:
            return rest.post(f"{lamp}/counts", {"counted": 80 + number})
        if number % 4 == 1:
            units = 3 if number % 8 == 1 else -1
            if reserve(stage, "LAMP", units):
                moved.append(units)
            return None
        return rest.post(f"{lamp}/adjustments", {"delta": number - 10 or 1, "reason": "CORRECTION"})

    with ThreadPoolExecutor(THREADS) as threads:
        responses = [response for response in threads.map(either, range(48)) if response]
    assert {response.status for response in responses} <= {200, 503}
    made = [response for response in responses if response.status == 200]
    assert any("difference" in response.json for response in made)
    level = rest.get(lamp).json
    assert level["on_hand"] == sum(changes(stage))
    assert (level["reserved"], level["quantity"]) == (sum(moved), level["on_hand"] - sum(moved))
    # The creation and the first setting, then each change once.
    assert level["version"] == 2 + len(made) + len(moved)
    for response in made:
        assert response.json["on_hand"] == response.json["quantity"] + response.json["reserved"]


def test_every_change_and_its_stock_name_the_same_commit(rest: RestClient, stage: Stage, lamp: str) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("PUT", lamp, {"quantity": 5}),
        ("POST", f"{lamp}/adjustments", {"delta": 5, "reason": "RECEIVED"}),
        ("POST", f"{lamp}/counts", {"counted": 5}),
    ]
    seen = set()
    for call in calls:
        assert rest.call(*call).status == 200
        (stock,) = stage.dynamodb.scan(TableName=stage.tables.inventory_table)["Items"]
        records = stage.dynamodb.scan(TableName=stage.tables.processed_events_table)["Items"]
        assert stock["change"] in [record["change"] for record in records]
        seen.add(stock["change"]["S"])
    assert len(seen) == len(calls)


def test_one_of_many_callers_who_expect_the_same_quantity_sets_it(rest: RestClient, lamp: str) -> None:
    responses = concurrently(8, lambda n: rest.put(lamp, {"quantity": n, "expected_quantity": 100}))
    assert sorted(response.status for response in responses) == [200] + [409] * 7
    winner = next(response for response in responses if response.status == 200)
    assert rest.get(lamp).json == winner.json


@pytest.mark.parametrize("call", ["adjust", "set", "count"])
def test_concurrent_repeats_change_the_stock_once_and_get_the_same_response(
    rest: RestClient, stage: Stage, lamp: str, call: str
) -> None:
    def repeat(number: int) -> Response:
        key = str(number // THREADS)
        if call == "adjust":
            body: dict[str, Any] = {"delta": -20, "reason": "LOST"}
            return rest.post(f"{lamp}/adjustments", body, Idempotency_Key=key)
        if call == "count":
            return rest.post(f"{lamp}/counts", {"counted": 80 - 20 * int(key)}, Idempotency_Key=key)
        body = {"quantity": 80 - 20 * int(key)}
        return rest.put(lamp, body, Idempotency_Key=key)

    responses = concurrently(5 * THREADS, repeat)
    for key in range(5):
        mine = responses[key * THREADS : (key + 1) * THREADS]
        assert len({json.dumps(response.json, sort_keys=True) for response in mine}) == 1
        assert mine[0].status == 200
    assert len(changes(stage)) == 6
    assert quantity(rest, lamp) == sum(changes(stage))
    if call == "adjust":
        assert quantity(rest, lamp) == 0


def test_concurrent_deletions_and_adjustments_never_leave_stock_without_a_product(rest: RestClient) -> None:
    for number in range(10):
        sku = f"S{number}"
        rest.post("/products", {"sku": sku, "name": "s", "price": 1})

        def either(number: int, sku: str = sku) -> Response:
            if number == 0:
                return rest.delete(f"/products/{sku}")
            return rest.post(f"/inventory/{sku}/adjustments", {"delta": 1, "reason": "RECEIVED"})

        deleted, adjusted = concurrently(2, either)
        assert (deleted.status, adjusted.status) in {(204, 404), (409, 200)}
        both = {rest.get(f"/products/{sku}").status, rest.get(f"/inventory/{sku}").status}
        assert both == ({404} if deleted.status == 204 else {200})


def test_a_throttled_table_is_503(rest: RestClient, lamp: str) -> None:
    def throttle(**_: Any) -> Any:
        class Refused:
            status_code = 400
            headers: dict[str, str] = {}  # noqa: RUF012
            raw = None
            content = b'{"__type": "ThrottlingException", "message": "slow down"}'

        return Refused()

    bootstrap.dynamodb().meta.events.register("before-send.dynamodb.*", throttle)
    calls = [
        rest.get(lamp),
        rest.post(f"{lamp}/adjustments", {"delta": 1, "reason": "RECEIVED"}),
        rest.get("/products"),
        rest.patch("/products/LAMP", {"price": 1}),
        rest.post("/inventory/check", {"items": [{"sku": "LAMP", "quantity": 1}]}),
    ]
    assert [(response.status, response.code, response.headers["retry-after"]) for response in calls] == [
        (503, "THROTTLED", "1")
    ] * len(calls)
