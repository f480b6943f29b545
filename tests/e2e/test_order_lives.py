"""The life of an order: by messages, over REST, and by both together."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from local.client import Api, Reply
from local.oms import Message, Oms, confirm, extend, fulfill, in_, new_id, release, reserve
from tests.e2e.assertions import assert_problem

Make = Callable[..., str]
SECONDS = 30
QUIET_SECONDS = 3
SWEEP_SECONDS = 150
"""A hold ends within two minutes of its time, on AWS; locally within ten seconds."""


def tell(oms: Oms, message: Message) -> Message:
    """Send a message, and return the answer to it."""
    oms.send(message)
    [answer] = oms.answers({message["order_id"]}, 1, SECONDS)
    return answer


def ask(api: Api, order_id: str, kind: str, body: Any = None) -> Reply:
    """Call for a change of an order."""
    given = body if body is not None or kind == "confirm" else {}
    return api.call("POST", f"/reservations/{quote(order_id, safe='')}/{kind}", given)


def order_of(order_id: str, items: dict[str, int], **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "customer_id": "customer-1", "items": lines(items), **more}


def lines(items: dict[str, int]) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]


def record(api: Api, order_id: str) -> Any:
    reply = api.call("GET", f"/reservations/{quote(order_id, safe='')}")
    assert reply.status == 200
    return reply.body


def available(api: Api, sku: str) -> int:
    return int(api.call("GET", f"/inventory/{sku}").body["quantity"])


def test_an_order_lives_by_messages(reader: Api, oms: Oms, product: Make) -> None:
    sku, order = product(10), new_id("order")
    reserved = tell(oms, reserve(order, {sku: 6}, expires_at=in_(600)))
    assert reserved["type"] == "InventoryReserved"
    assert record(reader, order)["expires_at"] == reserved["expires_at"]

    extended = tell(oms, extend(order, "extension-1", in_(1200)))
    assert extended["type"] == "InventoryExtended"
    assert record(reader, order)["expires_at"] == extended["expires_at"] > reserved["expires_at"]

    assert tell(oms, confirm(order))["type"] == "InventoryConfirmed"
    shipped = tell(oms, fulfill(order, "parcel-1", {sku: 2}))
    assert (shipped["type"], shipped["remaining"]) == ("InventoryFulfilled", lines({sku: 4}))
    refused = tell(oms, fulfill(order, "parcel-2", {sku: 5}))
    assert (refused["type"], refused["reason"]) == ("InventoryChangeRejected", "MORE_THAN_HELD")
    assert refused["items"] == [{"sku": sku, "requested": 5, "held": 4}]
    back = tell(oms, release(order, "return-1", {sku: 1}))
    assert (back["type"], back["remaining"]) == ("InventoryReleased", lines({sku: 3}))
    assert tell(oms, fulfill(order))["remaining"] == []

    shown = record(reader, order)
    assert (shown["outcome"], shown["items"], shown["expires_at"]) == ("FULFILLED", [], None)
    assert (shown["ordered"], shown["fulfilled"]) == (lines({sku: 6}), lines({sku: 5}))
    assert shown["released"] == lines({sku: 1})
    ids = [operation["operation_id"] for operation in shown["operations"]]
    assert ids == [
        "extension-1",
        "ConfirmInventory",
        "parcel-1",
        "parcel-2",
        "return-1",
        "FulfillInventory",
    ]
    assert available(reader, sku) == 10 - 5


def test_an_order_lives_over_rest_and_the_oms_hears_nothing(
    reader: Api, writer: Api, oms: Oms, product: Make
) -> None:
    sku, order = product(10), f"SO/2026 #{new_id('order')}"
    body = order_of(order, {sku: 6}, expires_at=in_(600))
    made = writer.call("POST", "/reservations", body)
    assert (made.status, made.body["outcome"], made.body["items"]) == (201, "RESERVED", lines({sku: 6}))
    location = urlsplit(urljoin(writer.url, made.headers["Location"])).path
    path = location.removeprefix(urlsplit(writer.url).path)
    assert reader.call("GET", path).body == made.body
    again = writer.call("POST", "/reservations", body)
    assert (again.status, again.body) == (201, made.body)
    other = writer.call("POST", "/reservations", {**body, "items": lines({sku: 5})})
    assert_problem(other, 409, "ORDER_ID_REUSED")

    later = in_(1200)
    extended = ask(writer, order, "extend", {"operation_id": "e", "expires_at": later})
    assert (extended.status, extended.body["expires_at"][:19]) == (200, later[:19])
    assert ask(writer, order, "confirm").body["expires_at"] is None
    part = {"operation_id": "parcel-1", "items": lines({sku: 2})}
    shipped = ask(writer, order, "fulfill", part)
    assert (shipped.status, ask(writer, order, "fulfill", part).body) == (200, shipped.body)
    refused = ask(writer, order, "release", {"operation_id": "return-1", "items": lines({sku: 5})})
    assert_problem(refused, 409, "MORE_THAN_HELD")
    assert refused.body["items"] == [{"sku": sku, "requested": 5, "held": 4}]
    closed = ask(writer, order, "release", {"reason": "CUSTOMER_CANCELLED"})
    assert (closed.body["outcome"], closed.body["fulfilled"]) == ("FULFILLED", lines({sku: 2}))
    assert_problem(ask(writer, order, "fulfill"), 409, "NOT_RESERVED")
    assert available(reader, sku) == 10 - 2
    assert oms.answers({order}, 1, QUIET_SECONDS) == []


def test_an_order_that_cannot_be_had_over_rest_is_refused_with_its_short_lines(
    reader: Api, writer: Api, product: Make
) -> None:
    few, unknown, order = product(2), new_id("E2E"), new_id("order")
    refused = writer.call("POST", "/reservations", order_of(order, {few: 3}))
    assert_problem(refused, 409, "INSUFFICIENT_STOCK")
    assert refused.body["items"] == [
        {"sku": few, "requested": 3, "available": 2, "reason": "INSUFFICIENT_STOCK"}
    ]
    assert record(reader, order)["outcome"] == "REJECTED"
    refused = writer.call("POST", "/reservations", order_of(new_id("order"), {few: 1, unknown: 1}))
    assert_problem(refused, 409, "SKU_NOT_FOUND")
    assert available(reader, few) == 2


def test_an_order_is_changed_by_messages_and_over_rest(
    reader: Api, writer: Api, oms: Oms, product: Make
) -> None:
    sku, order = product(5), new_id("order")
    body = order_of(order, {sku: 4})
    assert writer.call("POST", "/reservations", body).status == 201
    shipped = tell(oms, fulfill(order, "parcel-1", {sku: 1}))
    same = ask(writer, order, "fulfill", {"operation_id": "parcel-1", "items": lines({sku: 1})})
    assert (same.status, same.body["operations"][0]["answer"]) == (200, shipped)

    # What was answered over REST is answered by message once it comes that way, too, once.
    back = ask(writer, order, "release").body["operations"][1]["answer"]
    assert tell(oms, release(order)) == back
    assert tell(oms, reserve(order, {sku: 4})) == record(reader, order)["answer"]
    oms.send(release(order))
    oms.send(reserve(order, {sku: 4}))
    assert all(answer in (back, shipped) for answer in oms.answers({order}, 1, QUIET_SECONDS))
    assert (record(reader, order)["outcome"], available(reader, sku)) == ("FULFILLED", 4)


def test_a_hold_ends_by_itself_and_is_confirmed_late_while_the_stock_lasts(
    reader: Api, writer: Api, oms: Oms, product: Make
) -> None:
    sku = product(3)
    first, second = new_id("order"), new_id("order")
    end = in_(4)
    made = writer.call("POST", "/reservations", order_of(first, {sku: 2}, expires_at=end))
    assert made.status == 201
    assert tell(oms, reserve(second, {sku: 1}, expires_at=end))["type"] == "InventoryReserved"

    ended = oms.answers({first, second}, 2, SWEEP_SECONDS)
    assert {answer["order_id"] for answer in ended} == {first, second}
    for answer in ended:
        assert (answer["type"], answer["reason"]) == ("InventoryReleased", "EXPIRED")
        assert answer["expired_at"] == made.body["expires_at"] < answer["timestamp"]
    assert record(reader, first)["outcome"] == "RELEASED"
    assert available(reader, sku) == 3

    late = ask(writer, first, "confirm")
    assert (late.status, late.body["outcome"], late.body["items"]) == (200, "RESERVED", lines({sku: 2}))
    assert late.body["operations"][-1]["answer"]["reserved_again"] is True
    other = writer.call("POST", "/reservations", order_of(new_id("order"), {sku: 1}))
    assert other.status == 201
    refused = tell(oms, confirm(second))
    assert (refused["type"], refused["reason"]) == ("InventoryChangeRejected", "EXPIRED")
    assert refused["items"] == [{"sku": sku, "requested": 1, "available": 0, "reason": "INSUFFICIENT_STOCK"}]
    # A repeat of the reservation gets its answer, though the hold is over.
    again = writer.call("POST", "/reservations", order_of(first, {sku: 2}, expires_at=end))
    assert (again.status, again.body["answer"]) == (201, made.body["answer"])


def test_a_change_that_overtakes_its_reservation_waits_for_it(oms: Oms, product: Make) -> None:
    sku, order = product(2), new_id("order")
    oms.send(fulfill(order, "parcel-1", {sku: 1}))
    time.sleep(1)
    oms.send(reserve(order, {sku: 2}))
    answers = oms.answers({order}, 2, 2 * SECONDS)
    assert Counter(answer["type"] for answer in answers) == {
        "InventoryReserved": 1,
        "InventoryFulfilled": 1,
    }


def test_a_change_of_an_unknown_order_is_404_over_rest(reader: Api, writer: Api) -> None:
    order = new_id("order")
    for kind in ("confirm", "fulfill", "release"):
        assert_problem(ask(writer, order, kind), 404, "NOT_FOUND")
    assert_problem(reader.call("GET", f"/reservations/{order}"), 404, "NOT_FOUND")


def test_of_concurrent_shipments_no_more_than_the_order_holds_succeed(
    reader: Api, writer: Api, product: Make
) -> None:
    sku, order = product(9), new_id("order")
    assert writer.call("POST", "/reservations", order_of(order, {sku: 5})).status == 201

    def ship(number: int) -> int:
        part = {"operation_id": f"parcel-{number}", "items": lines({sku: 2})}
        return ask(writer, order, "fulfill", part).status

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(ship, range(6))) == [200, 200, 409, 409, 409, 409]
    shown = record(reader, order)
    assert (shown["items"], shown["fulfilled"]) == (lines({sku: 1}), lines({sku: 4}))
    assert available(reader, sku) == 4
