import json
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import boto3
import pytest

from local.client import Api
from local.oms import Message, Oms, new_id, now, release, reserve
from tests.e2e.assertions import assert_problem

Make = Callable[..., str]
SECONDS = 30
QUIET_SECONDS = 3
REDRIVE_SECONDS = 120


def send_and_receive(oms: Oms, *messages: Message) -> list[Message]:
    """Send messages of different orders, and return their answers, one each."""
    for message in messages:
        oms.send(message)
    answers = oms.answers({message["order_id"] for message in messages}, len(messages), SECONDS)
    assert len(answers) == len(messages)
    return answers


def stock(api: Api, sku: str) -> int:
    return int(api.call("GET", f"/products/{sku}").body["quantity"])


def outcome(api: Api, order_id: str) -> Any:
    return api.call("GET", f"/reservations/{order_id}").body["outcome"]


def items(**quantities: int) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity} for sku, quantity in quantities.items()]


def test_an_order_in_stock_is_reserved_once_however_often_it_is_delivered(
    reader: Api, oms: Oms, product: Make
) -> None:
    one, other, order = product(5), product(5), new_id("order")
    message = reserve(order, {one: 2, other: 3}, customer_id="Zoë")
    [answer] = send_and_receive(oms, message)
    assert answer["type"] == "InventoryReserved"
    assert answer["customer_id"] == "Zoë"
    assert sorted(answer["items"], key=str) == sorted(message["items"], key=str)
    assert (stock(reader, one), stock(reader, other)) == (3, 2)

    record = reader.call("GET", f"/reservations/{order}").body
    assert (record["outcome"], record["answer"]) == ("RESERVED", answer)

    for _ in range(3):
        oms.send(message)
    assert all(again == answer for again in oms.answers({order}, 1, QUIET_SECONDS))
    assert (stock(reader, one), stock(reader, other)) == (3, 2)


def test_an_order_short_of_stock_is_rejected_with_the_short_lines_and_takes_nothing(
    reader: Api, oms: Oms, product: Make
) -> None:
    plenty, few, order = product(9), product(2), new_id("order")
    [answer] = send_and_receive(oms, reserve(order, {plenty: 1, few: 3}))
    assert (answer["type"], answer["reason"]) == ("InventoryReservationFailed", "INSUFFICIENT_STOCK")
    assert answer["items"] == [{"sku": few, "requested": 3, "available": 2, "reason": "INSUFFICIENT_STOCK"}]
    assert (stock(reader, plenty), stock(reader, few)) == (9, 2)
    assert outcome(reader, order) == "REJECTED"


def test_an_order_of_an_unknown_sku_is_rejected_with_its_name(oms: Oms, product: Make) -> None:
    few, unknown = product(1), new_id("E2E")
    [answer] = send_and_receive(oms, reserve(new_id("order"), {few: 2, unknown: 1}))
    assert answer["reason"] == "SKU_NOT_FOUND"
    assert {"sku": unknown, "requested": 1, "available": 0, "reason": "SKU_NOT_FOUND"} in answer["items"]


@pytest.mark.parametrize("prefix", ["#1001 ", "SO/2026/0007 ", "Müller 12 % "])
def test_ids_as_shops_have_them_are_answered_and_found(
    reader: Api, oms: Oms, product: Make, prefix: str
) -> None:
    sku, order_id = product(1), prefix + new_id("order")
    [answer] = send_and_receive(oms, reserve(order_id, {sku: 1}))
    assert (answer["type"], answer["order_id"]) == ("InventoryReserved", order_id)
    assert outcome(reader, quote(order_id, safe="")) == "RESERVED"


def test_lines_of_one_sku_are_added_up(reader: Api, oms: Oms, product: Make) -> None:
    sku = product(5)
    twice = {**reserve(new_id("order"), {}), "items": items(**{sku: 2}) + items(**{sku: 2})}
    too_much = {**reserve(new_id("order"), {}), "items": items(**{sku: 3}) + items(**{sku: 3})}
    [answer] = send_and_receive(oms, twice)
    assert answer["items"] == items(**{sku: 4})
    [answer] = send_and_receive(oms, too_much)
    assert answer["items"][0]["requested"] == 6
    assert stock(reader, sku) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"items": []}, "items"),
        ({"items": [{"sku": "A", "quantity": 0}]}, "items.0.quantity"),
        ({"items": [{"sku": "A", "quantity": 1.5}]}, "items.0.quantity"),
        ({"items": [{"sku": "two  spaces", "quantity": 1}]}, "items.0.sku"),
        ({"customer_id": None}, "customer_id"),
        ({"timestamp": "yesterday"}, "timestamp"),
    ],
)
def test_an_invalid_order_is_rejected_with_its_errors(
    reader: Api, oms: Oms, change: dict[str, Any], field: str
) -> None:
    message = {**reserve(new_id("order"), {"A": 1}), **change}
    [answer] = send_and_receive(oms, message)
    assert (answer["type"], answer["reason"]) == ("InventoryReservationFailed", "INVALID_REQUEST")
    assert field in {error["field"] for error in answer["errors"]}
    assert outcome(reader, message["order_id"]) == "REJECTED"


def test_an_order_of_98_skus_is_accepted_and_one_of_99_is_rejected(oms: Oms, product: Make) -> None:
    sku = product(1)
    unknown = {f"E2E-UNKNOWN-{number}": 1 for number in range(98)}
    most, over = send_and_receive(
        oms,
        reserve(new_id("order"), {**dict(list(unknown.items())[:97]), sku: 1}),
        reserve(new_id("order"), {**unknown, sku: 1}),
    )
    assert {most["reason"], over["reason"]} == {"SKU_NOT_FOUND", "TOO_MANY_ITEMS"}


def test_a_release_returns_the_stock_once(reader: Api, oms: Oms, product: Make) -> None:
    sku, order = product(4), new_id("order")
    send_and_receive(oms, reserve(order, {sku: 3}))
    [answer] = send_and_receive(oms, release(order))
    assert (answer["type"], answer["items"]) == ("InventoryReleased", items(**{sku: 3}))
    assert (stock(reader, sku), outcome(reader, order)) == (4, "RELEASED")

    oms.send(release(order))
    assert all(again == answer for again in oms.answers({order}, 1, QUIET_SECONDS))
    assert stock(reader, sku) == 4


def test_an_order_that_arrives_after_its_release_takes_nothing(reader: Api, oms: Oms, product: Make) -> None:
    sku, order = product(4), new_id("order")
    [answer] = send_and_receive(oms, release(order))
    assert (answer["type"], answer["items"]) == ("InventoryReleased", [])
    oms.send(reserve(order, {sku: 3}))
    assert all(again == answer for again in oms.answers({order}, 1, QUIET_SECONDS))
    assert (stock(reader, sku), outcome(reader, order)) == (4, "RELEASED")


def test_the_release_of_a_rejected_order_has_no_answer(reader: Api, oms: Oms, product: Make) -> None:
    sku, order = product(1), new_id("order")
    [answer] = send_and_receive(oms, reserve(order, {sku: 2}))
    oms.send(release(order))
    assert all(again == answer for again in oms.answers({order}, 1, QUIET_SECONDS))
    assert (stock(reader, sku), outcome(reader, order)) == (1, "REJECTED")


def test_of_twenty_orders_for_the_last_five_units_exactly_five_are_reserved(
    reader: Api, oms: Oms, product: Make
) -> None:
    sku = product(5)
    messages = [reserve(new_id("order"), {sku: 1}) for _ in range(20)]
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(oms.send, messages))
    answers = oms.answers({message["order_id"] for message in messages}, 20, SECONDS)
    kinds = Counter(answer["type"] for answer in answers)
    assert kinds == {"InventoryReserved": 5, "InventoryReservationFailed": 15}
    assert len({answer["order_id"] for answer in answers}) == 20
    assert stock(reader, sku) == 0
    for answer in answers:
        expected = "RESERVED" if answer["type"] == "InventoryReserved" else "REJECTED"
        assert outcome(reader, answer["order_id"]) == expected


def test_concurrent_orders_and_adjustments_leave_the_right_stock(
    reader: Api, writer: Api, oms: Oms, product: Make
) -> None:
    sku = product(40)
    messages = [reserve(new_id("order"), {sku: 2}) for _ in range(10)]
    path, body = f"/inventory/{sku}/adjustments", {"delta": -1, "reason": "LOST"}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(oms.send, messages))
        statuses = list(threads.map(lambda _: writer.call("POST", path, body).status, range(10)))
    answers = oms.answers({message["order_id"] for message in messages}, 10, SECONDS)
    assert {answer["type"] for answer in answers} == {"InventoryReserved"}
    assert statuses == [200] * 10
    assert stock(reader, sku) == 40 - 20 - 10


def test_the_record_of_an_adjustment_is_no_reservation(reader: Api) -> None:
    assert_problem(reader.call("GET", "/reservations/adjustment%23abc"), 400, "VALIDATION_ERROR")


def test_poison_moves_to_the_dlq_unchanged_and_delays_no_other_message(
    reader: Api, oms: Oms, product: Make
) -> None:
    sqs = boto3.client("sqs")
    queue, dlq = os.environ["IMS_INVENTORY_QUEUE_URL"], os.environ["IMS_DLQ_URL"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    receives = int(json.loads(attributes["RedrivePolicy"])["maxReceiveCount"])
    seconds = int(attributes["VisibilityTimeout"]) * receives
    if seconds > REDRIVE_SECONDS:
        pytest.skip(f"this stage gives up on a message after {seconds} s")

    sku, mark = product(1), new_id("poison")
    poison = {
        f"not JSON {mark}",
        json.dumps([mark]),
        json.dumps({"type": "Unheard", "order_id": mark, "timestamp": now()}),
        json.dumps({**reserve(mark, {sku: 1}), "order_id": f"not an id\t{mark}"}),
        json.dumps({**reserve(mark, {sku: 1}), "timestamp": "2001-01-01T00:00:00Z"}),
    }
    for body in poison:
        oms.send(body)
    [answer] = send_and_receive(oms, reserve(new_id("order"), {sku: 1}))
    assert answer["type"] == "InventoryReserved"

    found: set[str] = set()
    deadline = time.monotonic() + seconds + SECONDS
    while found != poison and time.monotonic() < deadline:
        received = sqs.receive_message(
            QueueUrl=dlq, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=5
        )
        for each in received.get("Messages", []):
            if mark in each["Body"]:
                found.add(each["Body"])
                sqs.delete_message(QueueUrl=dlq, ReceiptHandle=each["ReceiptHandle"])
    sqs.close()
    assert found == poison
    assert_problem(reader.call("GET", f"/reservations/{mark}"), 404, "NOT_FOUND")
