from typing import Any

import pytest

from tests.support.engines import FakeStage, Scripted, faults
from tests.support.rest import RestClient
from tests.unit.builders import make_product, put_product, put_stock, quantity_of

WHOLE = {"W1": 3, "W2": 5}
HALVES = ["H1", "H2", "H3"]


@pytest.fixture
def stage(stage: FakeStage) -> FakeStage:
    """Two products with stock, and three without."""
    for sku in (*WHOLE, *HALVES):
        put_product(stage, make_product(sku))
    for sku, quantity in WHOLE.items():
        put_stock(stage, sku, quantity)
    stage.dynamodb.counts.clear()
    return stage


def quantities(rest: RestClient) -> dict[str, int]:
    """What the page shows."""
    page = rest.get("/products", include_inventory="true")
    assert page.status == 200
    return {item["sku"]: item["quantity"] for item in page.json["items"]}


def test_a_page_gives_its_halves_their_stock_in_one_transaction(rest: RestClient, stage: FakeStage) -> None:
    assert quantities(rest) == WHOLE | dict.fromkeys(HALVES, 0)
    assert stage.dynamodb.counts == {"scan": 1, "batch_get_item": 2, "transact_write_items": 1}
    assert [quantity_of(stage, sku) for sku in HALVES] == [0, 0, 0]
    stage.dynamodb.counts.clear()
    assert quantities(rest) == WHOLE | dict.fromkeys(HALVES, 0)
    assert stage.dynamodb.counts == {"scan": 1, "batch_get_item": 1}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.Conflict([3]), id="conflict of one"),
        pytest.param(faults.Conflict([3], "ThrottlingError"), id="throttle of one"),
        pytest.param(faults.throttled, id="throttle"),
        pytest.param(faults.unavailable, id="server error"),
        pytest.param(faults.timed_out_after_effect, id="time-out"),
    ],
)
def test_a_page_shows_its_halves_as_0_even_if_that_cannot_be_stored(
    rest: RestClient, stage: FakeStage, script: Scripted, fault: Any
) -> None:
    script.by_operation["transact_write_items"] = [fault] * 8
    assert quantities(rest) == WHOLE | dict.fromkeys(HALVES, 0)
    script.by_operation.clear()
    assert quantities(rest) == WHOLE | dict.fromkeys(HALVES, 0)
    assert [quantity_of(stage, sku) for sku in HALVES] == [0, 0, 0]


def test_a_page_of_halves_is_503_if_they_cannot_be_read(rest: RestClient, script: Scripted) -> None:
    script.by_operation["batch_get_item"] = [lambda call: call.proceed(), faults.throttled]
    answer = rest.get("/products", include_inventory="true")
    assert (answer.status, answer.code) == (503, "THROTTLED")


def test_an_unknown_sku_costs_two_reads_and_no_write(rest: RestClient, stage: FakeStage) -> None:
    for answer in (rest.get("/inventory/nope"), rest.put("/inventory/nope", {"quantity": 1})):
        assert answer.status == 404
    assert stage.dynamodb.counts == {"get_item": 2, "batch_get_item": 2}
