"""Each route answers within its function's time, whatever DynamoDB does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib import bootstrap
from local.emulator import HOST
from local.stage import Stage
from tests.faults import http_faults
from tests.faults.faulty_proxy import Fault, FaultyProxy
from tests.integration.consumers import in_
from tests.support.rest import Response, RestClient, reset_clients

SECONDS = 4.0
"""The function's time limit; a single call to AWS may take 9 s."""
PRODUCT = {"sku": "NEW", "name": "new", "price": 1}
ORDER = {"order_id": "o-1", "customer_id": "c", "items": [{"sku": "A", "quantity": 1}]}
ADJUSTMENT = {"delta": 1, "reason": "RECEIVED"}

READS: dict[str, Callable[[RestClient], Response]] = {
    "GET /products": lambda rest: rest.get("/products", include_inventory="true"),
    "GET /products/{sku}": lambda rest: rest.get("/products/A"),
    "GET /inventory": lambda rest: rest.get("/inventory"),
    "GET /inventory/{sku}": lambda rest: rest.get("/inventory/A"),
    "POST /inventory/check": lambda rest: rest.post(
        "/inventory/check", {"items": [{"sku": "A", "quantity": 1}]}
    ),
    "GET /reservations/{order_id}": lambda rest: rest.get("/reservations/o-1"),
}
WRITES: dict[str, Callable[[RestClient], Response]] = {
    "POST /products": lambda rest: rest.post("/products", PRODUCT),
    "PATCH /products/{sku}": lambda rest: rest.patch("/products/A", {"name": "b"}),
    "DELETE /products/{sku}": lambda rest: rest.delete("/products/A"),
    "PUT /inventory/{sku}": lambda rest: rest.put("/inventory/A", {"quantity": 3}),
    "PATCH /inventory/{sku}": lambda rest: rest.patch("/inventory/A", {"reorder_point": 3}),
    "POST /inventory/{sku}/adjustments": lambda rest: rest.post(
        "/inventory/A/adjustments", ADJUSTMENT, Idempotency_Key="k-1"
    ),
    "POST /inventory/{sku}/counts": lambda rest: rest.post(
        "/inventory/A/counts", {"counted": 3}, Idempotency_Key="k-2"
    ),
    "POST /reservations": lambda rest: rest.post("/reservations", ORDER),
    "POST /reservations/{order_id}/confirm": lambda rest: rest.post("/reservations/o-1/confirm", None),
    "POST /reservations/{order_id}/extend": lambda rest: rest.post(
        "/reservations/o-1/extend", {"operation_id": "e", "expires_at": in_(days=1)}
    ),
    "POST /reservations/{order_id}/fulfill": lambda rest: rest.post("/reservations/o-1/fulfill", {}),
    "POST /reservations/{order_id}/release": lambda rest: rest.post("/reservations/o-1/release", {}),
}
WITHOUT_KEY = "POST /inventory/{sku}/adjustments without a key"


@pytest.fixture
def proxy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """DynamoDB of the app, with product A in it."""
    for name, value in stage.env.items():
        monkeypatch.setenv(name, value)
    reset_clients()
    proxy = FaultyProxy(stage.dynamodb.meta.endpoint_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.url)
    monkeypatch.setenv("NO_PROXY", HOST)
    assert RestClient().post("/products", PRODUCT | {"sku": "A"}).status == 201
    yield proxy
    proxy.close()
    bootstrap.dynamodb().close()
    reset_clients()


@pytest.mark.parametrize(
    "fault",
    [
        http_faults.timed_out_before_effect,
        http_faults.timed_out_after_effect,
        http_faults.dripping,
        http_faults.server_error,
        http_faults.reset_after_effect,
        http_faults.truncated_response,
        http_faults.throttled,
        http_faults.unprocessed,
    ],
    ids=lambda fault: fault.__name__,
)
def test_each_route_answers_within_its_functions_time_and_never_500(proxy: FaultyProxy, fault: Fault) -> None:
    calls = READS | WRITES
    calls[WITHOUT_KEY] = lambda rest: rest.post("/inventory/A/adjustments", ADJUSTMENT)
    proxy.script = lambda _: fault

    def timed(call: Callable[[RestClient], Response]) -> tuple[Response, float]:
        began = time.monotonic()
        return call(RestClient(seconds=SECONDS)), time.monotonic() - began

    with ThreadPoolExecutor(len(calls)) as threads:
        answered = dict(zip(calls, threads.map(timed, calls.values()), strict=True))

    assert {name: seconds for name, (_, seconds) in answered.items() if seconds >= SECONDS} == {}
    for name, (response, _) in answered.items():
        if response.status == 503:
            assert response.code in {"UNAVAILABLE", "THROTTLED", "CONTENDED"}, name
            # Without a key, a repeat could change the stock a second time.
            safe = name != WITHOUT_KEY or response.code != "UNAVAILABLE"
            assert ("retry-after" in response.headers) is safe, name
        else:
            # A fault that is no obstacle to this route, or an effect whose response was lost and retried.
            assert response.status < 500, name


def test_a_silent_table_is_503_for_each_read(proxy: FaultyProxy) -> None:
    proxy.script = lambda _: http_faults.timed_out_before_effect
    with ThreadPoolExecutor(len(READS)) as threads:
        responses = threads.map(lambda call: call(RestClient(seconds=SECONDS)), READS.values())
    assert {
        name: (response.status, response.code, response.headers["retry-after"])
        for name, response in zip(READS, responses, strict=True)
    } == dict.fromkeys(READS, (503, "UNAVAILABLE", "1"))


def test_a_dripping_table_is_503_in_the_main_thread_too(proxy: FaultyProxy) -> None:
    proxy.script = lambda _: http_faults.dripping
    began = time.monotonic()
    assert RestClient(seconds=1).get("/inventory/A").status == 503
    assert time.monotonic() - began < 1


def test_an_api_that_was_kept_waiting_answers_again_at_once(proxy: FaultyProxy) -> None:
    proxy.script = lambda _: http_faults.dripping
    assert RestClient(seconds=2).get("/inventory/A").status == 503
    proxy.script = lambda _: None
    assert RestClient().get("/inventory/A").status == 200


@pytest.mark.parametrize(
    "fault", [http_faults.conflict, http_faults.throttled, http_faults.server_error], ids=lambda f: f.__name__
)
def test_a_page_of_products_that_lost_their_stock_is_shown_in_time_whatever_mending_meets(
    proxy: FaultyProxy, stage: Stage, fault: Fault
) -> None:
    skus = {"A"} | {f"H{number:02}" for number in range(99)}
    for sku in skus - {"A"}:
        assert RestClient().post("/products", PRODUCT | {"sku": sku}).status == 201
    for sku in skus:
        stage.dynamodb.delete_item(TableName=stage.tables.inventory_table, Key={"sku": {"S": sku}})
    proxy.script = lambda exchange: fault if exchange.operation == "TransactWriteItems" else None
    began = time.monotonic()
    page = RestClient(seconds=SECONDS).get("/products", limit=100, include_inventory="true")
    assert time.monotonic() - began < SECONDS
    assert {item["sku"]: item["quantity"] for item in page.json["items"]} == dict.fromkeys(skus, 0)
