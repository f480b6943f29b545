"""Orders over REST: the calls one by one, and together with messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engines import FakeStage, Scripted, faults
from tests.support.messages import confirm, extend, fulfill, lines, release, reserve
from tests.support.rest import Response, RestClient
from tests.unit.api.orders import STOCK, Oms, in_
from tests.unit.builders import put_stock

HOUR = timedelta(hours=1)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.fixture
def oms(stage: FakeStage) -> Iterator[Oms]:
    """The OMS, and stock; the invariants are checked at the end."""
    for sku, units in STOCK.items():
        put_stock(stage, sku, units)
    oms = Oms(stage)
    yield oms
    oms.check()


def order(order_id: str = "o", items: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "customer_id": "c", "items": lines(items or {"A": 3, "B": 2}), **more}


def post(rest: RestClient, body: dict[str, Any] | None = None) -> Response:
    return rest.post("/reservations", body or order())


def change(rest: RestClient, kind: str, body: Any = None, order_id: str = "o") -> Response:
    given = body if body is not None or kind == "confirm" else {}
    return rest.post(f"/reservations/{quote(order_id, safe='')}/{kind}", given)


def stock(oms: Oms) -> dict[str, tuple[int, int]]:
    """What is available and what is reserved of each SKU."""
    table = oms.stage.dynamodb.snapshot()[oms.stage.tables.inventory_table]
    return {
        sku: (int(item["quantity"]["N"]), int(item.get("reserved", {"N": 0})["N"]))
        for sku, item in table.items()
    }


def told(response: Response) -> list[tuple[str, str]]:
    """The operations on an order, with the types of their answers."""
    return [(each["operation_id"], each["answer"]["type"]) for each in response.json["operations"]]


class TestReserve:
    def test_an_order_is_reserved_and_shown_with_its_location(self, rest: RestClient, oms: Oms) -> None:
        response = post(rest)
        assert (response.status, response.headers["location"]) == (201, "/api/reservations/o")
        document = dict(response.json)
        created_at, answer = document.pop("created_at"), document.pop("answer")
        assert document == {
            "order_id": "o",
            "outcome": "RESERVED",
            "customer_id": "c",
            "ordered": lines({"A": 3, "B": 2}),
            "items": lines({"A": 3, "B": 2}),
            "fulfilled": [],
            "released": [],
            "expires_at": None,
            "operations": [],
        }
        assert (answer["type"], answer["timestamp"]) == ("InventoryReserved", created_at)
        assert rest.get("/reservations/o").json == response.json
        assert stock(oms) == {"A": (7, 3), "B": (8, 2), "C": (0, 0)}

    def test_lines_of_one_sku_are_added_up(self, rest: RestClient, oms: Oms) -> None:
        response = post(rest, {**order(), "items": lines({"A": 1}) + lines({"A": 2})})
        assert response.json["ordered"] == lines({"A": 3})

    def test_a_hold_shows_its_end_in_utc(self, rest: RestClient, oms: Oms) -> None:
        end = in_(hours=1)
        shown = post(rest, order(expires_at=end)).json["expires_at"]
        assert shown == end[:23] + "Z"

    @pytest.mark.parametrize("expires_at", ["absent", None])
    def test_an_order_without_an_end_is_firm(
        self, rest: RestClient, oms: Oms, expires_at: str | None
    ) -> None:
        more: dict[str, Any] = {} if expires_at == "absent" else {"expires_at": expires_at}
        assert post(rest, order(**more)).json["expires_at"] is None

    def test_nothing_goes_to_the_queue(self, rest: RestClient, oms: Oms) -> None:
        post(rest)
        for kind, body in [
            ("confirm", None),
            ("fulfill", {"operation_id": "s", "items": lines({"A": 1})}),
            ("release", {}),
        ]:
            assert change(rest, kind, body).status == 200
        assert oms.answers == []
        assert oms.stage.dynamodb.snapshot()[oms.stage.tables.outbox_table] == {}

    @pytest.mark.parametrize(
        ("items", "code", "at_fault"),
        [
            (
                {"A": 11, "B": 1},
                "INSUFFICIENT_STOCK",
                [{"sku": "A", "requested": 11, "available": 10, "reason": "INSUFFICIENT_STOCK"}],
            ),
            (
                {"C": 1, "X": 2},
                "SKU_NOT_FOUND",
                [
                    {"sku": "C", "requested": 1, "available": 0, "reason": "INSUFFICIENT_STOCK"},
                    {"sku": "X", "requested": 2, "available": 0, "reason": "SKU_NOT_FOUND"},
                ],
            ),
        ],
    )
    def test_an_order_that_cannot_be_had_is_refused_for_good_with_the_lines_at_fault(
        self,
        rest: RestClient,
        oms: Oms,
        items: dict[str, int],
        code: str,
        at_fault: list[dict[str, Any]],
    ) -> None:
        first = post(rest, order(items=items))
        assert (first.status, first.code, first.json["items"]) == (409, code, at_fault)
        put_stock(oms.stage, "X", 5)
        again = post(rest, order(items=items))
        assert (again.status, again.code, again.json["items"]) == (409, code, at_fault)
        shown = rest.get("/reservations/o").json
        assert (shown["outcome"], shown["items"], shown["released"]) == ("REJECTED", [], [])
        assert shown["ordered"] == lines(items)
        oms.stage.dynamodb.delete_item(TableName=oms.stage.tables.inventory_table, Key={"sku": {"S": "X"}})

    def test_a_repeat_changes_nothing_and_gets_the_same(self, rest: RestClient, oms: Oms) -> None:
        end = in_(days=1)
        first = post(rest, order(expires_at=end))
        again = post(rest, order(items={"B": 2, "A": 3}, expires_at=end))
        assert (again.status, again.json) == (201, first.json)
        assert stock(oms)["A"] == (7, 3)

    def test_a_repeat_after_changes_is_answered_as_the_first_time(self, rest: RestClient, oms: Oms) -> None:
        first = post(rest)
        change(rest, "release")
        again = post(rest)
        assert (again.status, again.json["answer"]) == (201, first.json["answer"])
        assert again.json["outcome"] == "RELEASED"

    def test_a_repeat_after_the_end_of_its_hold_is_answered_as_the_first_time(
        self, rest: RestClient, oms: Oms
    ) -> None:
        end = in_(hours=-1)
        oms.send(reserve("o", {"A": 3}, customer_id="c", expires_at=end), ago=2 * HOUR)
        again = post(rest, order(items={"A": 3}, expires_at=end))
        assert (again.status, again.json["answer"]["type"]) == (201, "InventoryReserved")

    @pytest.mark.parametrize(
        "other",
        [
            {"customer_id": "other"},
            {"items": lines({"A": 3})},
            {"items": lines({"A": 3, "B": 1})},
            {"expires_at": in_(days=2)},
            {"expires_at": None},
        ],
        ids=["customer", "fewer items", "other quantity", "other end", "no end"],
    )
    @pytest.mark.parametrize("items", [{"A": 3, "B": 2}, {"A": 30, "B": 2}], ids=["reserved", "rejected"])
    def test_another_body_under_the_same_id_is_refused(
        self, rest: RestClient, oms: Oms, items: dict[str, int], other: dict[str, Any]
    ) -> None:
        post(rest, order(items=items, expires_at=in_(days=1)))
        refused = post(rest, order(items=items, expires_at=in_(days=1)) | other)
        assert (refused.status, refused.code) == (409, "ORDER_ID_REUSED")

    @pytest.mark.parametrize("items", [{"A": 3}, {"A": 30}], ids=["reserved", "rejected"])
    def test_a_repeat_of_an_order_that_came_by_the_queue_gets_its_answer(
        self, rest: RestClient, oms: Oms, items: dict[str, int]
    ) -> None:
        oms.send(reserve("o", items, customer_id="c"))
        again = post(rest, order(items=items))
        (answer,) = oms.answers
        if items == {"A": 3}:
            assert (again.status, again.json["answer"]) == (201, answer)
        else:
            assert (again.status, again.code, again.json["items"]) == (409, answer["reason"], answer["items"])

    @pytest.mark.parametrize("items", [{"A": 3}, {"A": 30}], ids=["reserved", "rejected"])
    def test_a_message_about_an_order_of_ours_is_answered_from_the_record_once(
        self, rest: RestClient, oms: Oms, items: dict[str, int]
    ) -> None:
        post(rest, order(items=items))
        for _ in range(3):
            oms.send(reserve("o", items, customer_id="c"))
        assert oms.answers == [rest.get("/reservations/o").json["answer"]]

    def test_the_release_by_message_of_an_order_that_was_refused_here_is_answered_with_the_refusal_once(
        self, rest: RestClient, oms: Oms
    ) -> None:
        post(rest, order(items={"A": 30}))
        for _ in range(2):
            oms.send(release("o"))
        assert oms.answers == [rest.get("/reservations/o").json["answer"]]

    def test_an_order_that_was_released_before_is_refused(self, rest: RestClient, oms: Oms) -> None:
        oms.send(release("o"))
        refused = post(rest)
        assert (refused.status, refused.code) == (409, "NOT_RESERVED")
        shown = rest.get("/reservations/o").json
        assert (shown["answer"], shown["ordered"], shown["outcome"]) == (None, [], "RELEASED")

    def test_an_order_that_a_message_had_refused_as_invalid_keeps_its_id(
        self, rest: RestClient, oms: Oms
    ) -> None:
        oms.send(reserve("o", {"A": 0}, customer_id="c"))
        assert post(rest).code == "ORDER_ID_REUSED"

    def test_an_order_of_98_skus_is_taken(self, rest: RestClient, stage: FakeStage) -> None:
        items = {f"S{number}": 1 for number in range(98)}
        for sku in items:
            put_stock(stage, sku, 1)
        assert post(rest, order(items=items)).status == 201
        assert change(rest, "release").status == 200

    @pytest.mark.parametrize(
        "order_id", ["SO/2026/0007", "#1001", "Größe 3", "注文 7", "100%", "a%2Fb", "?x=1&y", "x" * 128]
    )
    def test_an_order_id_of_any_kind_is_found_at_its_location(
        self, rest: RestClient, oms: Oms, order_id: str
    ) -> None:
        made = post(rest, order(order_id, {"A": 2}))
        assert made.headers["location"] == f"/api/reservations/{quote(order_id, safe='')}"
        shown = rest.get(made.headers["location"].removeprefix("/api"))
        assert (shown.status, shown.json) == (200, made.json)
        part = {"operation_id": order_id, "items": lines({"A": 1})}
        assert told(change(rest, "fulfill", part, order_id)) == [(order_id, "InventoryFulfilled")]
        assert change(rest, "confirm", None, order_id).status == 200
        assert change(rest, "release", None, order_id).json["outcome"] == "FULFILLED"


class TestConfirm:
    def test_a_hold_becomes_firm(self, rest: RestClient, oms: Oms) -> None:
        post(rest, order(expires_at=in_(hours=1)))
        response = change(rest, "confirm")
        assert (response.status, response.json["expires_at"]) == (200, None)
        assert told(response) == [("ConfirmInventory", "InventoryConfirmed")]
        assert response.json["operations"][0]["answer"]["items"] == lines({"A": 3, "B": 2})
        oms.end_hold("o", days=40)
        assert rest.get("/reservations/o").json == response.json

    def test_a_firm_order_stays_so(self, rest: RestClient, oms: Oms) -> None:
        post(rest)
        first = change(rest, "confirm")
        assert (first.status, change(rest, "confirm").json) == (200, first.json)

    def test_a_late_confirmation_takes_the_units_again(self, rest: RestClient, oms: Oms) -> None:
        post(rest, order(expires_at=in_(hours=1)))
        oms.end_hold("o", hours=2)
        ended = rest.get("/reservations/o").json
        assert (ended["outcome"], ended["items"], ended["expires_at"]) == ("RELEASED", [], None)
        assert ended["released"] == ended["ordered"]
        response = change(rest, "confirm")
        assert (response.status, response.json["outcome"]) == (200, "RESERVED")
        assert response.json["operations"][-1]["answer"]["reserved_again"] is True
        assert stock(oms)["A"] == (7, 3)
        assert change(rest, "confirm").json == response.json
        assert [answer["type"] for answer in oms.answers] == ["InventoryReleased"]

    def test_a_late_confirmation_without_stock_is_refused_for_good_with_the_lines_at_fault(
        self, rest: RestClient, oms: Oms
    ) -> None:
        post(rest, order(expires_at=in_(hours=1)))
        oms.end_hold("o", hours=2)
        post(rest, order("other", {"A": 8}))
        first = change(rest, "confirm")
        assert (first.status, first.code) == (409, "EXPIRED")
        assert first.json["items"] == [
            {"sku": "A", "requested": 3, "available": 2, "reason": "INSUFFICIENT_STOCK"}
        ]
        change(rest, "release", None, "other")
        again = change(rest, "confirm")
        assert (again.code, again.json["items"]) == ("EXPIRED", first.json["items"])
        oms.send(confirm("o"), confirm("o"))
        assert [answer["type"] for answer in oms.answers] == [
            "InventoryReleased",
            "InventoryChangeRejected",
        ]


class TestExtend:
    def test_the_end_of_a_hold_is_moved(self, rest: RestClient, oms: Oms) -> None:
        post(rest, order(expires_at=in_(hours=1)))
        end = in_(days=30)
        response = change(rest, "extend", {"operation_id": "e", "expires_at": end})
        assert (response.status, response.json["expires_at"]) == (200, end[:23] + "Z")
        assert told(response) == [("e", "InventoryExtended")]
        oms.end_hold("o", hours=2)
        assert rest.get("/reservations/o").json["outcome"] == "RESERVED"

    def test_a_firm_order_has_no_end_to_move(self, rest: RestClient, oms: Oms) -> None:
        post(rest)
        refused = change(rest, "extend", {"operation_id": "e", "expires_at": in_(days=1)})
        assert (refused.status, refused.code) == (409, "NOT_A_HOLD")
        assert rest.get("/reservations/o").json["operations"][0]["answer"]["reason"] == "NOT_A_HOLD"

    def test_a_hold_that_has_ended_is_not_extended(self, rest: RestClient, oms: Oms) -> None:
        post(rest, order(expires_at=in_(hours=1)))
        oms.end_hold("o", hours=2)
        refused = change(rest, "extend", {"operation_id": "e", "expires_at": in_(days=1)})
        assert (refused.status, refused.code) == (409, "EXPIRED")

    def test_a_repeat_after_the_new_end_is_answered_as_the_first_time(
        self, rest: RestClient, oms: Oms
    ) -> None:
        end = in_(hours=-1)
        oms.send(reserve("o", {"A": 1}, expires_at=in_(hours=-2)), ago=3 * HOUR)
        oms.send(extend("o", "e", end), ago=3 * HOUR)
        again = change(rest, "extend", {"operation_id": "e", "expires_at": end})
        assert (again.status, told(again)) == (200, [("e", "InventoryExtended")])
        other = change(rest, "extend", {"operation_id": "f", "expires_at": end})
        assert (other.status, other.fields) == (400, ["expires_at"])


class TestParts:
    def test_parts_are_shipped_and_given_back_until_nothing_is_held(self, rest: RestClient, oms: Oms) -> None:
        post(rest)
        shipped = change(rest, "fulfill", {"operation_id": "s-1", "items": lines({"A": 1, "B": 2})})
        assert (shipped.json["outcome"], shipped.json["items"]) == ("RESERVED", lines({"A": 2}))
        assert shipped.json["fulfilled"] == lines({"A": 1, "B": 2})
        part = {"operation_id": "r-1", "items": lines({"A": 1}), "reason": "CUSTOMER_CANCELLED"}
        back = change(rest, "release", part)
        assert (back.json["items"], back.json["released"]) == (lines({"A": 1}), lines({"A": 1}))
        assert back.json["operations"][1]["answer"]["reason"] == "CUSTOMER_CANCELLED"
        rest_of_it = change(rest, "fulfill")
        assert (rest_of_it.json["outcome"], rest_of_it.json["items"]) == ("FULFILLED", [])
        assert rest_of_it.json["fulfilled"] == lines({"A": 2, "B": 2})
        assert told(rest_of_it) == [
            ("s-1", "InventoryFulfilled"),
            ("r-1", "InventoryReleased"),
            ("FulfillInventory", "InventoryFulfilled"),
        ]
        assert stock(oms) == {"A": (8, 0), "B": (8, 0), "C": (0, 0)}

    @pytest.mark.parametrize("kind", ["fulfill", "release"])
    def test_all_that_is_held_may_have_an_operation_id(self, rest: RestClient, oms: Oms, kind: str) -> None:
        post(rest)
        response = change(rest, kind, {"operation_id": "all"})
        assert (response.json["items"], response.json["operations"][0]["operation_id"]) == ([], "all")

    @pytest.mark.parametrize("kind", ["fulfill", "release"])
    def test_a_repeat_counts_once(self, rest: RestClient, oms: Oms, kind: str) -> None:
        post(rest)
        part = {"operation_id": "p", "items": lines({"A": 1})}
        first = change(rest, kind, part)
        assert change(rest, kind, part).json == first.json
        assert stock(oms)["A"][1] == 2

    @pytest.mark.parametrize(
        ("kind", "message"),
        [("fulfill", fulfill("o", "p", {"A": 1})), ("release", release("o", "p", {"A": 1}))],
    )
    def test_a_repeat_of_a_message_gets_its_answer(
        self, rest: RestClient, oms: Oms, kind: str, message: dict[str, Any]
    ) -> None:
        post(rest)
        oms.send(message)
        again = change(rest, kind, {"operation_id": "p", "items": lines({"A": 1})})
        assert (again.status, again.json["operations"][0]["answer"]) == (200, oms.answers[0])
        assert len(oms.answers) == 1

    @pytest.mark.parametrize(
        ("kind", "message"),
        [("fulfill", fulfill("o", "p", {"A": 1})), ("release", release("o", "p", {"A": 1}))],
    )
    def test_a_message_that_repeats_a_call_is_answered_from_the_record_once(
        self, rest: RestClient, oms: Oms, kind: str, message: dict[str, Any]
    ) -> None:
        post(rest)
        shown = change(rest, kind, {"operation_id": "p", "items": lines({"A": 1})}).json
        for _ in range(2):
            oms.send(message)
        assert oms.answers == [shown["operations"][0]["answer"]]
        assert rest.get("/reservations/o").json == shown

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("release", {"operation_id": "p", "items": lines({"A": 1})}),
            ("release", {"operation_id": "p"}),
            ("fulfill", {"operation_id": "p", "items": lines({"A": 2})}),
            ("fulfill", {"operation_id": "p", "items": lines({"A": 1, "B": 1})}),
            ("extend", {"operation_id": "p", "expires_at": in_(days=1)}),
        ],
    )
    def test_an_operation_id_with_another_body_is_refused(
        self, rest: RestClient, oms: Oms, kind: str, body: dict[str, Any]
    ) -> None:
        post(rest)
        shown = change(rest, "fulfill", {"operation_id": "p", "items": lines({"A": 1})}).json
        refused = change(rest, kind, body)
        assert (refused.status, refused.code) == (409, "OPERATION_ID_REUSED")
        assert rest.get("/reservations/o").json == shown

    @pytest.mark.parametrize("kind", ["fulfill", "release"])
    def test_more_than_is_held_is_refused_for_good_with_the_lines_at_fault(
        self, rest: RestClient, oms: Oms, kind: str
    ) -> None:
        post(rest)
        part = {"operation_id": "p", "items": lines({"A": 4, "B": 1, "X": 1})}
        for _ in range(2):
            refused = change(rest, kind, part)
            assert (refused.status, refused.code) == (409, "MORE_THAN_HELD")
            assert refused.json["items"] == [
                {"sku": "A", "requested": 4, "held": 3},
                {"sku": "X", "requested": 1, "held": 0},
            ]
        assert len(rest.get("/reservations/o").json["operations"]) == 1

    def test_a_closed_order_holds_nothing(self, rest: RestClient, oms: Oms) -> None:
        post(rest)
        change(rest, "release")
        for kind in ("confirm", "fulfill"):
            refused = change(rest, kind)
            assert (refused.status, refused.code) == (409, "NOT_RESERVED")

    @pytest.mark.parametrize("kind", ["confirm", "fulfill", "release"])
    def test_a_rejected_order_holds_nothing(self, rest: RestClient, oms: Oms, kind: str) -> None:
        post(rest, order(items={"A": 30}))
        refused = change(rest, kind)
        assert (refused.status, refused.code) == (409, "NOT_RESERVED")

    def test_an_expired_order_that_is_cancelled_is_not_confirmed_any_more(
        self, rest: RestClient, oms: Oms
    ) -> None:
        post(rest, order(expires_at=in_(hours=1)))
        oms.end_hold("o", hours=2)
        assert change(rest, "release").code == "EXPIRED"
        assert change(rest, "confirm").code == "NOT_RESERVED"

    def test_the_fifty_first_part_is_refused_and_the_whole_order_is_still_closed(
        self, rest: RestClient, stage: FakeStage
    ) -> None:
        put_stock(stage, "A", 100)
        post(rest, order(items={"A": 60}))
        for number in range(50):
            part = {"operation_id": f"s-{number}", "items": lines({"A": 1})}
            assert change(rest, "fulfill", part).status == 200
        for _ in range(2):
            refused = change(rest, "fulfill", {"operation_id": "s-50", "items": lines({"A": 1})})
            assert (refused.status, refused.code) == (409, "TOO_MANY_OPERATIONS")
        assert change(rest, "fulfill").json["fulfilled"] == lines({"A": 60})

    def test_units_of_a_sku_that_is_gone_are_named_as_missing(
        self, rest: RestClient, stage: FakeStage
    ) -> None:
        for sku in "AB":
            put_stock(stage, sku, 5)
        post(rest)
        stage.dynamodb.delete_item(TableName=stage.tables.inventory_table, Key={"sku": {"S": "A"}})
        part = {"operation_id": "p", "items": lines({"A": 1, "B": 1})}
        back = change(rest, "release", part)
        assert (back.status, back.json["operations"][0]["answer"]["missing"]) == (200, ["A"])
        assert change(rest, "release", part).json == back.json


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("confirm", None),
        ("extend", {"operation_id": "e", "expires_at": in_(days=1)}),
        ("fulfill", {}),
        ("fulfill", {"operation_id": "s", "items": lines({"A": 1})}),
        ("release", {}),
    ],
)
def test_a_change_of_an_unknown_order_is_404_and_leaves_nothing(
    rest: RestClient, oms: Oms, kind: str, body: Any
) -> None:
    response = change(rest, kind, body)
    assert (response.status, response.code) == (404, "NOT_FOUND")
    assert rest.get("/reservations/o").status == 404


class TestFaults:
    """A call that is tried again finds what it did before."""

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(faults.timed_out_before_effect, id="time-out"),
            pytest.param(faults.timed_out_after_effect, id="time-out after the effect"),
            pytest.param(faults.reset_after_effect, id="reset after the effect"),
            pytest.param(faults.Conflict(), id="conflict"),
            pytest.param(faults.throttled, id="throttle"),
        ],
    )
    @pytest.mark.parametrize("kind", ["reserve", "confirm", "confirm late", "fulfill", "release"])
    def test_a_call_is_done_once_whatever_its_transaction_meets(
        self, rest: RestClient, oms: Oms, script: Scripted, kind: str, fault: Any
    ) -> None:
        if kind != "reserve":
            post(rest, order(expires_at=in_(hours=1)))
        if kind == "confirm late":
            oms.end_hold("o", hours=2)
        script.by_operation["transact_write_items"] = [fault] * 2
        response = post(rest) if kind == "reserve" else change(rest, kind.split(maxsplit=1)[0])
        assert response.status == (201 if kind == "reserve" else 200)
        oms.check()
        held = {"fulfill": 0, "release": 0}.get(kind, 3)
        assert stock(oms)["A"] == (10 if kind == "release" else 7, held)

    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            (faults.Conflict(), "CONTENDED"),
            (faults.Conflict(code="ThrottlingError"), "THROTTLED"),
            (faults.throttled, "THROTTLED"),
            (faults.unreachable, "UNAVAILABLE"),
        ],
    )
    def test_a_call_that_never_gets_through_may_be_repeated(
        self, rest: RestClient, oms: Oms, script: Scripted, fault: Any, code: str
    ) -> None:
        script.by_operation["transact_write_items"] = [fault] * 8
        failed = post(rest)
        assert (failed.status, failed.code, failed.headers["retry-after"]) == (503, code, "1")
        assert post(rest).status == 201

    def test_a_call_without_time_left_may_be_repeated(self, oms: Oms, rest: RestClient) -> None:
        response = RestClient(seconds=0.0).post("/reservations", order())
        assert (response.status, response.code, response.headers["retry-after"]) == (503, "UNAVAILABLE", "1")

    def test_calls_cost_few_requests(self, rest: RestClient, oms: Oms) -> None:
        counts = oms.stage.dynamodb.counts
        costs = []
        for kind in ("reserve", "confirm", "confirm", "fulfill"):
            counts.clear()
            if kind == "reserve":
                post(rest, order(expires_at=in_(hours=1)))
            else:
                change(rest, kind)
            costs.append(dict(counts))
        once = {"get_item": 1, "transact_write_items": 1}
        assert costs == [{"transact_write_items": 1}, once, {"get_item": 1}, once]


class TestInput:
    @pytest.mark.parametrize(
        ("change_", "fields"),
        [
            ({"order_id": ""}, ["order_id"]),
            ({"order_id": "adjustment#x"}, ["order_id"]),
            ({"order_id": " a"}, ["order_id"]),
            ({"order_id": "x" * 129}, ["order_id"]),
            ({"order_id": None}, ["order_id"]),
            ({"order_id": 7}, ["order_id"]),
            ({"customer_id": None}, ["customer_id"]),
            ({"customer_id": "x" * 257}, ["customer_id"]),
            ({"items": None}, ["items"]),
            ({"items": []}, ["items"]),
            ({"items": {}}, ["items"]),
            ({"items": [{}]}, ["items.0.sku", "items.0.quantity"]),
            ({"items": lines({"check": 1})}, ["items.0.sku"]),
            ({"items": lines({"A": 0})}, ["items.0.quantity"]),
            ({"items": lines({"A": 10**9 + 1})}, ["items.0.quantity"]),
            ({"items": [{"sku": "A", "quantity": 1.5}]}, ["items.0.quantity"]),
            ({"items": [{"sku": "A", "quantity": True}]}, ["items.0.quantity"]),
            ({"items": [{"sku": "A", "quantity": 1, "price": 1}]}, ["items.0.price"]),
            ({"items": lines({f"S{number}": 1 for number in range(99)})}, ["items"]),
            ({"timestamp": "2026-01-01T00:00:00Z"}, ["timestamp"]),
            ({"type": "ReserveInventory"}, ["type"]),
            ({"order_id": "", "items": [], "extra": 1}, ["order_id", "items", "extra"]),
        ],
    )
    def test_a_bad_order_is_refused_with_its_fields(
        self, rest: RestClient, oms: Oms, change_: dict[str, Any], fields: list[str]
    ) -> None:
        response = post(rest, order() | change_)
        assert (response.status, response.code, response.fields) == (400, "VALIDATION_ERROR", fields)

    @pytest.mark.parametrize("span", [{"seconds": -1}, {"days": 31, "minutes": 1}])
    def test_an_end_that_is_past_or_too_far_ahead_is_refused(
        self, rest: RestClient, oms: Oms, span: dict[str, float]
    ) -> None:
        refused = post(rest, order(expires_at=in_(**span)))
        assert (refused.status, refused.fields) == (400, ["expires_at"])
        assert rest.get("/reservations/o").status == 404

    @pytest.mark.parametrize(
        "end",
        [
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2100-12-01T00:00:00",
            "2026-12-01",
            "tomorrow",
            "",
            1800000000,
            True,
            ["2026-12-01T00:00:00Z"],
        ],
    )
    def test_an_end_that_is_no_time_is_refused(self, rest: RestClient, oms: Oms, end: Any) -> None:
        refused = post(rest, order(expires_at=end))
        assert (refused.status, refused.fields) == (400, ["expires_at"])
        assert rest.get("/reservations/o").status == 404
        post(rest, order(expires_at=in_(hours=1)))
        refused = change(rest, "extend", {"operation_id": "e", "expires_at": end})
        assert (refused.status, refused.fields) == (400, ["expires_at"])

    @given(st.datetimes(timezones=OFFSETS), st.sampled_from(["seconds", "microseconds", "hours"]))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_an_end_of_any_time_is_taken_or_refused(
        self, rest: RestClient, stage: FakeStage, end: datetime, precision: str
    ) -> None:
        response = post(rest, order(expires_at=end.isoformat(timespec=precision)))
        assert response.status in (201, 400, 409)

    @pytest.mark.parametrize("span", [{"minutes": 1}, {"days": 31, "minutes": -1}])
    def test_an_end_within_31_days_is_taken(self, rest: RestClient, oms: Oms, span: dict[str, float]) -> None:
        assert post(rest, order(expires_at=in_(**span))).status == 201

    @pytest.mark.parametrize(
        "reserved",
        [
            "ConfirmInventory",
            "ExtendInventory",
            "FulfillInventory",
            "ReleaseInventory",
            "EXPIRED",
            "AGED",
            "invalid#x",
            "invalid#",
        ],
    )
    def test_an_operation_id_of_ours_is_refused(self, rest: RestClient, oms: Oms, reserved: str) -> None:
        post(rest)
        part = {"items": lines({"A": 1})}
        bodies: list[tuple[str, dict[str, Any]]] = [("fulfill", part), ("release", part), ("release", {})]
        for kind, more in [*bodies, ("extend", {"expires_at": in_(days=1)})]:
            refused = change(rest, kind, {"operation_id": reserved, **more})
            assert (refused.status, refused.fields) == (400, ["operation_id"])

    @pytest.mark.parametrize(
        ("kind", "body", "fields"),
        [
            ("extend", {}, ["operation_id", "expires_at"]),
            ("extend", {"expires_at": in_(days=1)}, ["operation_id"]),
            ("extend", {"operation_id": "e", "expires_at": None}, ["expires_at"]),
            ("extend", {"operation_id": None, "expires_at": in_(days=1)}, ["operation_id"]),
            ("fulfill", {"items": lines({"A": 1})}, ["operation_id"]),
            ("fulfill", {"items": None}, ["items"]),
            ("fulfill", {"items": None, "operation_id": "p"}, ["items"]),
            ("fulfill", {"items": [], "operation_id": "p"}, ["items"]),
            ("fulfill", {"items": lines({"A": 0}), "operation_id": "p"}, ["items.0.quantity"]),
            ("fulfill", {"operation_id": "p\n"}, ["operation_id"]),
            ("fulfill", {"operation_id": "x" * 129}, ["operation_id"]),
            ("fulfill", {"reason": "x"}, ["reason"]),
            ("fulfill", {"order_id": "o"}, ["order_id"]),
            ("release", {"items": lines({"A": 1})}, ["operation_id"]),
            ("release", {"items": lines({f"S{n}": 1 for n in range(99)}), "operation_id": "p"}, ["items"]),
            ("release", {"reason": None}, ["reason"]),
            ("release", {"reason": " "}, ["reason"]),
            ("release", {"reason": "x" * 257}, ["reason"]),
            ("release", {"resaon": "x"}, ["resaon"]),
        ],
    )
    def test_a_bad_change_is_refused_with_its_fields_and_does_not_count(
        self, rest: RestClient, oms: Oms, kind: str, body: dict[str, Any], fields: list[str]
    ) -> None:
        post(rest)
        refused = change(rest, kind, body)
        assert (refused.status, refused.code, refused.fields) == (400, "VALIDATION_ERROR", fields)
        assert rest.get("/reservations/o").json["operations"] == []

    @pytest.mark.parametrize("kind", ["extend", "fulfill", "release"])
    def test_a_change_needs_a_body(self, rest: RestClient, oms: Oms, kind: str) -> None:
        assert rest.call("POST", f"/reservations/o/{kind}").fields == ["Content-Type"]

    @pytest.mark.parametrize("body", [None, {}, {"anything": 1}, "no JSON"])
    def test_a_confirmation_needs_none(self, rest: RestClient, oms: Oms, body: Any) -> None:
        post(rest)
        assert change(rest, "confirm", body).status == 200

    @pytest.mark.parametrize("kind", ["confirm", "extend", "fulfill", "release"])
    @pytest.mark.parametrize("path", ["adjustment%23x", "%20", "%ff", "x" * 129, "a%CC%88"])
    def test_a_bad_order_id_in_a_path_is_refused(
        self, rest: RestClient, oms: Oms, kind: str, path: str
    ) -> None:
        body = {"operation_id": "e", "expires_at": in_(days=1)} if kind == "extend" else {}
        refused = rest.post(f"/reservations/{path}/{kind}", body)
        assert (refused.status, refused.fields) == (400, ["order_id"])
