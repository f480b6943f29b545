"""Orders over REST, without HTTP: reserve, confirm, extend, ship and release in groups of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.consumer.report import Report
from chalicelib.domain.commands import ChangeOrder, ChangeType, Reserve, due_change
from chalicelib.domain.reservation import Outcome, Reservation
from chalicelib.domain.timestamps import iso
from chalicelib.errors import (
    Contended,
    NotFound,
    OperationIdReused,
    OrderIdReused,
    OrderRejected,
    OutOfTime,
    Refused,
    Throttled,
    Unreachable,
)
from chalicelib.services.change_settler import ChangeSettler
from chalicelib.services.orders import Orders
from chalicelib.services.settler import Hints
from chalicelib.store.items import reservation_to_item
from chalicelib.store.order_store import OrderStore
from tests.support.deadlines import after, at
from tests.support.engines import Call, FakeStage, Scripted, faults
from tests.support.engines.errors import Refusal
from tests.support.engines.network import Fault
from tests.unit.builders import NOW, put_stock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

TRANSACT = "transact_write_items"
ITEMS = {"A": 3, "B": 1}
SOON = iso(NOW + timedelta(hours=1))
LATER = iso(NOW + timedelta(hours=2))
FIRM = Reserve("o", "customer", ITEMS)
HOLD = replace(FIRM, expires_at=SOON)
CONFIRM = ChangeOrder("o", ChangeType.CONFIRM, "ConfirmInventory")
EXTEND = ChangeOrder("o", ChangeType.EXTEND, "E1", expires_at=LATER)
FULFILL = ChangeOrder("o", ChangeType.FULFILL, "FulfillInventory")
PART = ChangeOrder("o", ChangeType.FULFILL, "F1", {"A": 1})
RELEASE = ChangeOrder("o", ChangeType.RELEASE, "ReleaseInventory")
BACK = ChangeOrder("o", ChangeType.RELEASE, "R1", {"A": 1})


@dataclass
class Shop:
    """The calls at one moment, on the tables of a stage."""

    stage: Any
    service: Orders
    moment: Any = NOW

    def reserve(self, order: Reserve) -> Reservation:
        return self.service.reserve(order, at(self.moment))

    def change(self, *commands: ChangeOrder) -> Reservation:
        for command in commands:
            record = self.service.change(command, at(self.moment))
        return record

    def level(self, sku: str) -> tuple[int, int]:
        """What is available of a SKU, and what is reserved."""
        item = self.stage.dynamodb.get_item(
            TableName=self.stage.tables.inventory_table, Key={"sku": {"S": sku}}, ConsistentRead=True
        )["Item"]
        return int(item["quantity"]["N"]), int(item["reserved"]["N"])

    def end_holds(self) -> None:
        """Two hours later, end the hold as the sweep does."""
        self.moment = NOW + timedelta(hours=2)
        settler = ChangeSettler(self.service.store, None, Hints(), at(self.moment), Report())
        assert settler.run({"o": [due_change("o")]}) == set()


@pytest.fixture
def shop(client: DynamoDBClient, stage: FakeStage) -> Shop:
    for sku in ("A", "B"):
        put_stock(stage, sku, 10)
    return Shop(stage, Orders(OrderStore(client, stage.tables)))


def rejected(call: Callable[[], object]) -> tuple[str, tuple[Any, ...]]:
    with pytest.raises(OrderRejected) as caught:
        call()
    return caught.value.code, caught.value.items


class TestReserve:
    def test_stock_is_taken_and_the_record_returned(self, shop: Shop) -> None:
        record = shop.reserve(HOLD)
        assert (record.outcome, record.holding, record.expires_at) == (Outcome.RESERVED, ITEMS, SOON)
        assert (shop.level("A"), shop.level("B")) == ((7, 3), (9, 1))
        assert shop.service.get("o", at(NOW)) == record

    def test_the_same_again_gets_the_same_answer_and_takes_nothing(self, shop: Shop) -> None:
        assert shop.reserve(HOLD) == shop.reserve(HOLD)
        assert shop.level("A") == (7, 3)

    def test_too_little_stock_is_told_line_by_line(self, shop: Shop) -> None:
        for _ in range(2):
            assert rejected(lambda: shop.reserve(replace(FIRM, items={"A": 11, "B": 1}))) == (
                "INSUFFICIENT_STOCK",
                ({"sku": "A", "requested": 11, "available": 10, "reason": "INSUFFICIENT_STOCK"},),
            )
        assert shop.service.get("o", at(NOW)).outcome is Outcome.REJECTED

    def test_a_sku_that_does_not_exist_is_told(self, shop: Shop) -> None:
        assert rejected(lambda: shop.reserve(replace(FIRM, items={"X": 1}))) == (
            "SKU_NOT_FOUND",
            ({"sku": "X", "requested": 1, "available": 0, "reason": "SKU_NOT_FOUND"},),
        )

    @pytest.mark.parametrize("expires_at", [iso(NOW), iso(NOW - timedelta(days=1))])
    def test_a_hold_that_has_ended_is_refused(self, shop: Shop, expires_at: str) -> None:
        assert rejected(lambda: shop.reserve(replace(FIRM, expires_at=expires_at))) == ("EXPIRED", ())

    @pytest.mark.parametrize(
        "other",
        [
            replace(HOLD, items={"A": 3}),
            replace(HOLD, customer_id="another"),
            replace(HOLD, expires_at=LATER),
            replace(HOLD, expires_at=None),
        ],
    )
    @pytest.mark.parametrize("units", [1, 11])
    def test_another_body_under_one_order_id_is_refused(self, shop: Shop, other: Reserve, units: int) -> None:
        first = replace(HOLD, items={"A": units})
        if units == 11:
            rejected(lambda: shop.reserve(first))
        else:
            shop.reserve(first)
        with pytest.raises(OrderIdReused):
            shop.reserve(
                replace(other, items={**first.items, "B": 1} if other.items != ITEMS else first.items)
            )

    def test_the_body_is_the_same_whatever_became_of_the_order(self, shop: Shop) -> None:
        shop.reserve(HOLD)
        for command in (EXTEND, CONFIRM, PART, BACK, RELEASE):
            assert shop.reserve(HOLD) == shop.change(command) or shop.reserve(HOLD).operations
        assert shop.reserve(HOLD).outcome is Outcome.FULFILLED

    def test_an_order_that_was_cancelled_before_is_refused(self, shop: Shop) -> None:
        tombstone = Reservation("o", Outcome.RELEASED, iso(NOW), held={}, change="c1")
        shop.stage.dynamodb.put_item(
            TableName=shop.stage.tables.processed_events_table, Item=reservation_to_item(tombstone, 2**31)
        )
        assert rejected(lambda: shop.reserve(FIRM)) == ("NOT_RESERVED", ())

    def test_a_firm_order_ages(self, shop: Shop) -> None:
        shop.service = replace(shop.service, aging=timedelta(hours=2))
        assert shop.reserve(FIRM).due_at == LATER


class TestChange:
    @pytest.mark.parametrize(
        ("command", "outcome", "held", "levels"),
        [
            (CONFIRM, Outcome.RESERVED, ITEMS, ((7, 3), (9, 1))),
            (EXTEND, Outcome.RESERVED, ITEMS, ((7, 3), (9, 1))),
            (FULFILL, Outcome.FULFILLED, {}, ((7, 0), (9, 0))),
            (PART, Outcome.RESERVED, {"A": 2, "B": 1}, ((7, 2), (9, 1))),
            (RELEASE, Outcome.RELEASED, {}, ((10, 0), (10, 0))),
            (BACK, Outcome.RESERVED, {"A": 2, "B": 1}, ((8, 2), (9, 1))),
        ],
    )
    def test_each_change_is_done_once(
        self, shop: Shop, command: ChangeOrder, outcome: Outcome, held: dict[str, int], levels: Any
    ) -> None:
        shop.reserve(HOLD)
        record = shop.change(command)
        assert shop.change(command) == replace(record, held=record.held or None)
        assert (record.outcome, record.holding) == (outcome, held)
        assert (shop.level("A"), shop.level("B")) == levels
        assert [operation.id for operation in record.operations] == [command.operation_id]
        assert shop.service.get("o", at(NOW)).operations == record.operations

    @pytest.mark.parametrize("command", [CONFIRM, EXTEND, FULFILL, PART, RELEASE, BACK])
    def test_an_unknown_order_is_not_found_and_leaves_no_record(
        self, shop: Shop, command: ChangeOrder
    ) -> None:
        with pytest.raises(NotFound, match="order o"):
            shop.change(command)
        with pytest.raises(NotFound):
            shop.service.get("o", at(NOW))

    @pytest.mark.parametrize(
        ("first", "command", "code", "items"),
        [
            ((CONFIRM,), EXTEND, "NOT_A_HOLD", ()),
            ((RELEASE,), CONFIRM, "NOT_RESERVED", ()),
            ((FULFILL,), BACK, "NOT_RESERVED", ()),
            ((), replace(BACK, items={"A": 4}), "MORE_THAN_HELD", ({"sku": "A", "requested": 4, "held": 3},)),
        ],
    )
    def test_a_refused_change_is_told_each_time_it_comes(
        self, shop: Shop, first: tuple[ChangeOrder, ...], command: ChangeOrder, code: str, items: Any
    ) -> None:
        shop.reserve(HOLD)
        for done in first:
            shop.change(done)
        for _ in range(2):
            assert rejected(lambda: shop.change(command)) == (code, items)

    def test_a_change_of_a_rejected_order_is_refused(self, shop: Shop) -> None:
        rejected(lambda: shop.reserve(replace(FIRM, items={"A": 11})))
        for command in (CONFIRM, PART, RELEASE):
            assert rejected(lambda command=command: shop.change(command)) == ("NOT_RESERVED", ())  # type: ignore[misc]

    def test_one_operation_too_many_is_refused_each_time(self, shop: Shop) -> None:
        put_stock(shop.stage, "A", 100)
        shop.reserve(replace(FIRM, items={"A": 60}))
        shop.change(*(replace(BACK, operation_id=f"R{n}") for n in range(50)))
        for _ in range(2):
            assert rejected(lambda: shop.change(PART)) == ("TOO_MANY_OPERATIONS", ())
        assert shop.change(RELEASE).outcome is Outcome.RELEASED

    @pytest.mark.parametrize(
        ("first", "other"),
        [
            (EXTEND, replace(EXTEND, expires_at=SOON)),
            (PART, replace(PART, items={"A": 2})),
            (PART, replace(BACK, operation_id="F1")),
            (PART, replace(PART, items=None)),
            (BACK, replace(BACK, items=None)),
        ],
    )
    def test_another_body_under_one_operation_id_is_refused(
        self, shop: Shop, first: ChangeOrder, other: ChangeOrder
    ) -> None:
        shop.reserve(HOLD)
        shop.change(first)
        with pytest.raises(OperationIdReused):
            shop.change(other)

    def test_what_is_on_record_is_known(self, shop: Shop) -> None:
        deadline = at(NOW)
        assert not shop.service.knows("o", None, deadline)
        shop.reserve(HOLD)
        assert shop.service.knows("o", None, deadline)
        assert not shop.service.knows("o", "E1", deadline)
        shop.change(EXTEND)
        assert shop.service.knows("o", "E1", deadline)


class TestConfirmLate:
    @pytest.fixture
    def expired(self, shop: Shop) -> Shop:
        shop.reserve(HOLD)
        shop.end_holds()
        assert shop.level("A") == (10, 0)
        return shop

    def test_the_units_are_taken_again(self, expired: Shop) -> None:
        record = expired.change(CONFIRM)
        assert (record.outcome, record.holding) == (Outcome.RESERVED, ITEMS)
        assert expired.level("A") == (7, 3)
        assert json.loads(record.operations[-1].event or "")["reserved_again"] is True
        assert expired.change(CONFIRM) == record

    def test_too_little_stock_is_told_line_by_line_for_good(self, expired: Shop) -> None:
        expired.reserve(Reserve("p", "customer", {"A": 8}))
        short = {"sku": "A", "requested": 3, "available": 2, "reason": "INSUFFICIENT_STOCK"}
        assert rejected(lambda: expired.change(CONFIRM)) == ("EXPIRED", (short,))
        expired.change(replace(RELEASE, order_id="p"))
        assert rejected(lambda: expired.change(CONFIRM)) == ("EXPIRED", (short,))

    @pytest.mark.parametrize("command", [FULFILL, PART, BACK, EXTEND, RELEASE])
    def test_any_other_change_is_refused(self, expired: Shop, command: ChangeOrder) -> None:
        assert rejected(lambda: expired.change(command)) == ("EXPIRED", ())

    @pytest.mark.parametrize(("other", "code"), [(CONFIRM, None), (RELEASE, "NOT_RESERVED")])
    def test_another_call_may_be_faster(
        self, shop: Shop, stage: FakeStage, script: Scripted, other: ChangeOrder, code: str | None
    ) -> None:
        shop.reserve(HOLD)
        shop.end_holds()
        second = Shop(stage, Orders(OrderStore(stage.dynamodb, stage.tables)), shop.moment)

        def overtaken(call: Call) -> Any:
            if other is RELEASE:
                assert rejected(lambda: second.change(other))[0] == "EXPIRED"
            else:
                second.change(other)
            return call.proceed()

        script.by_operation[TRANSACT] = [overtaken]
        if code:
            assert rejected(lambda: shop.change(CONFIRM)) == (code, ())
        else:
            assert shop.change(CONFIRM).holding == ITEMS
        assert shop.level("A") == ((10, 0) if code else (7, 3))

    def test_an_order_that_keeps_changing_is_contended(
        self, shop: Shop, stage: FakeStage, script: Scripted
    ) -> None:
        shop.reserve(HOLD)
        shop.end_holds()
        expired = shop.service.get("o", at(NOW))
        table = stage.tables.processed_events_table

        def flicker(call: Call) -> Any:
            """Another caller changes the order right before each try, so that it is late no longer."""
            number = len(script.results)
            changed = replace(expired, expired={}, change=f"x{number}")
            stage.dynamodb.put_item(TableName=table, Item=reservation_to_item(changed, 2**31))
            try:
                return call.proceed()
            finally:
                back = replace(expired, change=f"y{number}")
                stage.dynamodb.put_item(TableName=table, Item=reservation_to_item(back, 2**31))

        script.by_operation[TRANSACT] = [flicker] * 100
        with pytest.raises(Contended, match="keeps changing"):
            shop.change(CONFIRM)
        assert shop.level("A") == (10, 0)


class TestFaults:
    CALLS: tuple[Callable[[Shop], Reservation], ...] = (
        lambda shop: shop.reserve(replace(FIRM, order_id="p")),
        lambda shop: shop.change(PART),
    )

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize(
        "fault",
        [
            faults.timed_out_after_effect,
            faults.timed_out_before_effect,
            faults.unreachable,
            faults.failed_after_effect,
            faults.throttled,
            faults.Conflict([0]),
        ],
    )
    def test_a_call_that_fails_for_now_is_made_again_and_counts_once(
        self, shop: Shop, script: Scripted, fault: Fault, call: Callable[[Shop], Reservation]
    ) -> None:
        shop.reserve(FIRM)
        script.by_operation[TRANSACT] = [fault, fault]
        record = call(shop)
        assert shop.level("A") == ((4, 6) if record.order_id == "p" else (7, 2))
        assert call(shop) == record

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (faults.throttled, Throttled),
            (faults.unreachable, Unreachable),
            (faults.Conflict([0]), Contended),
            (faults.Conflict([0], "ThrottlingError"), Throttled),
        ],
    )
    def test_a_call_that_keeps_failing_tells_why(
        self,
        shop: Shop,
        script: Scripted,
        fault: Fault,
        error: type[Exception],
        call: Callable[[Shop], Reservation],
    ) -> None:
        shop.reserve(FIRM)
        script.by_operation[TRANSACT] = [fault] * 100
        with pytest.raises(error):
            call(shop)
        assert shop.level("A") == (7, 3)

    def test_what_is_refused_is_not_tried_again(self, shop: Shop, script: Scripted) -> None:
        def denied(call: Call) -> Any:
            raise call.refuse(Refusal("AccessDeniedException", "no"))

        script.by_operation[TRANSACT] = [denied]
        with pytest.raises(Refused):
            shop.reserve(FIRM)

    def test_stock_that_keeps_changing_is_contended(
        self, shop: Shop, stage: FakeStage, script: Scripted
    ) -> None:
        def changing(call: Call) -> Any:
            put_stock(stage, "A", 0 if shop.level("A")[0] else 5)
            return call.proceed()

        script.by_operation[TRANSACT] = [changing] * 1_000
        with pytest.raises(Contended):
            shop.reserve(FIRM)

    def test_nothing_is_begun_without_time(self, shop: Shop) -> None:
        with pytest.raises(OutOfTime):
            shop.service.reserve(FIRM, after(-1))
        with pytest.raises(OutOfTime):
            shop.service.change(CONFIRM, after(-1))
