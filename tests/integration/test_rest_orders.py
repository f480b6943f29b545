"""Orders over REST on the embedded AWS: what is shown of a record, and the calls."""

import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.reservation import AnswerType, Operation, Outcome, Reservation
from chalicelib.store.items import reservation_to_item
from local.stage import Stage
from tests.integration.consumers import consumer_on, hold_sweep_on, in_, later, message, put_stock, sweep_on
from tests.support.deadlines import after
from tests.support.invariants import check_at_rest, read_state
from tests.support.messages import confirm, fulfill, lines, release, reserve, text
from tests.support.rest import Response, RestClient

EVENT = {"type": "InventoryReserved", "order_id": "o:1"}
OLD_EVENT = {"type": "InventoryReserved", "event_id": "e1", "order_id": "o", "timestamp": "t1"}
RELEASE = Operation("r1", "ReleaseInventory", "t2", AnswerType.RELEASED, json.dumps(EVENT))
RELEASE_SHOWN = {"operation_id": "r1", "type": "ReleaseInventory", "at": "t2", "answer": EVENT}
AGED = Operation("AGED", "FulfillInventory", "t2", None, None)
AGED_SHOWN = {"operation_id": "AGED", "type": "FulfillInventory", "at": "t2", "answer": None}
LINES = lines({"A": 2})


def record(outcome: Outcome, *operations: Operation, **more: Any) -> Reservation:
    return Reservation(
        "o:1", outcome, "t1", "c", {"A": 2}, json.dumps(EVENT), operations=operations, change="x", **more
    )


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        pytest.param(record(Outcome.RESERVED, held={"A": 2}), {"items": LINES}, id="firm"),
        pytest.param(
            record(Outcome.RESERVED, held={"A": 2}, expires_at="t3", due_at="t3"),
            {"items": LINES, "expires_at": "t3"},
            id="hold",
        ),
        pytest.param(
            record(Outcome.RESERVED, held={"A": 1}, fulfilled={"A": 1}),
            {"items": lines({"A": 1}), "fulfilled": lines({"A": 1})},
            id="shipped in part",
        ),
        pytest.param(
            record(Outcome.RELEASED, RELEASE, held={}),
            {"released": LINES, "operations": [RELEASE_SHOWN]},
            id="released",
        ),
        pytest.param(
            record(Outcome.FULFILLED, AGED, held={}, fulfilled={"A": 2}),
            {"fulfilled": LINES, "operations": [AGED_SHOWN]},
            id="aged",
        ),
        pytest.param(record(Outcome.REJECTED, held={}, expires_at="t3"), {}, id="rejected"),
        pytest.param(
            Reservation("o:1", Outcome.RESERVED, "t1", "c", {"A": 2}, json.dumps(EVENT)),
            {"items": LINES},
            id="open, of version 1.1",
        ),
    ],
)
def test_a_reservation_shows_what_is_on_record(
    rest: RestClient, stage: Stage, stored: Reservation, shown: dict[str, Any]
) -> None:
    stage.dynamodb.put_item(
        TableName=stage.tables.processed_events_table, Item=reservation_to_item(stored, 1)
    )
    for path in ("/reservations/o:1", "/reservations/o%3A1"):
        assert rest.get(path).json == {
            "order_id": "o:1",
            "outcome": stored.outcome.value,
            "customer_id": "c",
            "ordered": LINES,
            "items": [],
            "fulfilled": [],
            "released": [],
            "expires_at": None,
            "created_at": "t1",
            "answer": EVENT,
            "operations": [],
            **shown,
        }


def test_a_tombstone_is_a_release_without_a_first_answer(rest: RestClient, stage: Stage) -> None:
    tombstone = Reservation("o", Outcome.RELEASED, "t1", operations=(RELEASE,))
    stage.dynamodb.put_item(
        TableName=stage.tables.processed_events_table, Item=reservation_to_item(tombstone, 1)
    )
    shown = rest.get("/reservations/o").json
    assert (shown["outcome"], shown["customer_id"], shown["answer"]) == ("RELEASED", None, None)
    assert (shown["ordered"], shown["released"], shown["operations"]) == ([], [], [RELEASE_SHOWN])


def test_an_unknown_order_is_not_found(rest: RestClient) -> None:
    assert rest.get("/reservations/o").code == "NOT_FOUND"


def test_the_record_of_an_adjustment_is_no_reservation(rest: RestClient, stage: Stage) -> None:
    rest.post("/products", {"sku": "LAMP", "name": "lamp", "price": 5})
    rest.put("/inventory/LAMP", {"quantity": 100})
    (item,) = stage.dynamodb.scan(TableName=stage.tables.processed_events_table)["Items"]
    response = rest.get(f"/reservations/{item['order_id']['S'].replace('#', '%23')}")
    assert (response.status, response.fields) == (400, ["order_id"])


def order(order_id: str, items: dict[str, int], **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "customer_id": f"customer of {order_id}", "items": lines(items), **more}


def change(rest: RestClient, order_id: str, kind: str, body: Any = None) -> Response:
    response = rest.post(f"/reservations/{order_id}/{kind}", {} if body is None else body)
    assert response.status == 200
    return response


def test_an_order_lives_over_rest_and_nothing_goes_to_the_queue(rest: RestClient, stage: Stage) -> None:
    put_stock(stage, {"A": 5, "B": 5})
    assert rest.post("/reservations", order("o", {"A": 4, "B": 2}, expires_at=in_(hours=1))).status == 201
    change(rest, "o", "extend", {"operation_id": "e", "expires_at": in_(hours=2)})
    change(rest, "o", "confirm")
    change(rest, "o", "fulfill", {"operation_id": "s", "items": lines({"A": 1})})
    change(rest, "o", "release", {"operation_id": "r", "items": lines({"A": 1, "B": 1})})
    shown = change(rest, "o", "fulfill").json
    assert (shown["outcome"], shown["items"]) == ("FULFILLED", [])
    assert (shown["fulfilled"], shown["released"]) == (lines({"A": 3, "B": 1}), lines({"A": 1, "B": 1}))
    assert rest.post("/reservations", order("p", {"A": 3})).code == "INSUFFICIENT_STOCK"
    state = read_state(stage, [])
    assert state.answers == []
    check_at_rest(state, {"A": 5, "B": 5})


def test_an_order_lives_by_messages_and_over_rest_together(rest: RestClient, stage: Stage) -> None:
    put_stock(stage, {"A": 5})
    consumer, sent = consumer_on(stage), list[str]()

    def send(*bodies: Any) -> None:
        assert consumer.settle([message(body) for body in bodies], after(60)) == set()
        sent.extend(text(body) for body in bodies)

    end = in_(hours=1)
    rest.post("/reservations", order("o", {"A": 4}, expires_at=end))
    send(confirm("o"), fulfill("o", "s", {"A": 1}))
    change(rest, "o", "release", {"operation_id": "r", "items": lines({"A": 1})})
    send(reserve("o", {"A": 4}, expires_at=end), release("o", "r", {"A": 1}), release("o"))
    shown = rest.get("/reservations/o").json
    assert [operation["operation_id"] for operation in shown["operations"]] == [
        "ConfirmInventory",
        "s",
        "r",
        "ReleaseInventory",
    ]
    state = read_state(stage, sent)
    assert sorted(json.loads(body)["type"] for body in state.answers) == [
        "InventoryConfirmed",
        "InventoryFulfilled",
        "InventoryReleased",
        "InventoryReleased",
        "InventoryReserved",
    ]
    check_at_rest(state, {"A": 5})


def test_a_hold_that_ended_is_told_to_the_oms_and_confirmed_late_over_rest(
    rest: RestClient, stage: Stage
) -> None:
    put_stock(stage, {"A": 5})
    rest.post("/reservations", order("o", {"A": 4}, expires_at=in_(minutes=30)))
    for _ in range(2):
        hold_sweep_on(stage).run(later(timedelta(hours=1)))
    assert rest.get("/reservations/o").json["outcome"] == "RELEASED"
    shown = change(rest, "o", "confirm").json
    assert shown["operations"][-1]["answer"]["reserved_again"] is True
    hold_sweep_on(stage).run(later(timedelta(days=400)))
    state = read_state(stage, [])
    assert [json.loads(body)["reason"] for body in state.answers] == ["EXPIRED"]
    check_at_rest(state, {"A": 5})


def test_an_order_of_version_1_1_is_changed_over_rest_and_the_sweep_sends_what_it_was_owed(
    rest: RestClient, stage: Stage
) -> None:
    put_stock(stage, {"A": 3})
    names = {"order_id": "o", "customer_id": "c", "outcome": "RESERVED", "event": json.dumps(OLD_EVENT)}
    item: dict[str, Any] = {name: {"S": content} for name, content in names.items()}
    item |= {"items": {"M": {"A": {"N": "2"}}}, "created_at": {"S": "t1"}, "ttl": {"N": "9999999999"}}
    stage.dynamodb.put_item(TableName=stage.tables.processed_events_table, Item=item)

    assert rest.post("/reservations", order("o", {"A": 2}, customer_id="c")).json["answer"] == OLD_EVENT
    shown = change(rest, "o", "fulfill", {"operation_id": "s", "items": lines({"A": 1})}).json
    assert (shown["items"], shown["answer"]) == (lines({"A": 1}), OLD_EVENT)
    assert change(rest, "o", "release").json["outcome"] == "FULFILLED"
    again = reserve("o", {"A": 2}, customer_id="c")
    assert consumer_on(stage).settle([message(again)], after(60)) == set()
    for _ in range(2):
        sweep_on(stage).run(later())
    state = read_state(stage, [text(again)])
    assert [json.loads(body) for body in state.answers] == [OLD_EVENT]
    check_at_rest(state, {"A": 5})
