"""The limits of time and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.consumer.body import MAX_ERRORS
from chalicelib.consumer.delivery import MAX_ENTRIES
from chalicelib.domain.changes import OrderChanges, plan_changes
from chalicelib.domain.commands import MAX_SKUS, ChangeOrder, ChangeType, Invalid, Reserve, due_change
from chalicelib.domain.planner import MAX_ACTIONS, Decision, Failure, Shortage
from chalicelib.domain.reservation import MAX_OPERATIONS, AnswerType, Reservation
from chalicelib.domain.rulings import Rules, Verdict, confirmed_late, recorded, rule
from chalicelib.errors import FieldError
from chalicelib.services.answers import change_answer, reserve_write
from chalicelib.store.items import reservation_to_item
from tests.support.engines.errors import Refusal
from tests.support.engines.faults import throttled
from tests.support.engines.network import Call
from tests.support.engines.values import size
from tests.support.messages import release, reserve
from tests.unit.consumer.consumer_harness import (
    FOREVER,
    LIMIT_SECONDS,
    SEND,
    TRANSACT,
    ConsumerHarness,
    orders,
    refused,
)


def in_time(
    harness: ConsumerHarness, settle: Callable[[], Sequence[int]], seconds: float = LIMIT_SECONDS
) -> Sequence[int]:
    begin = harness.stage.clock.now
    failed = settle()
    assert harness.stage.clock.now - begin <= seconds, "the time limit was passed"
    return failed


class TestTimeLimit:
    def test_messages_that_are_always_throttled_fail_within_the_time_limit(self) -> None:
        harness = ConsumerHarness({"A": 999})
        harness.fail(TRANSACT, None, *[throttled] * FOREVER)
        batch = orders(150, A=1)
        assert in_time(harness, lambda: harness.settle(*batch)) == list(range(98, 150))
        assert harness.stage.clock.now > 1_750_000_000 + LIMIT_SECONDS / 2, "it gave up early"
        harness.check()

    def test_nothing_is_started_without_time_left(self) -> None:
        harness = ConsumerHarness({"A": 9})
        messages = [harness.message(body) for body in (reserve("o", {"A": 1}), release("p"))]
        deadline = harness.deadline()
        harness.stage.clock.advance(LIMIT_SECONDS - 9)
        assert harness.consumer.settle(messages, deadline) == {"m0", "m1"}
        assert harness.calls == []

    # With botocore's own retry, a call may take up to about 8 seconds (see chalicelib/bootstrap.py).
    @pytest.mark.parametrize("seconds", [1.0, 3.0, 8.0])
    @pytest.mark.parametrize("count", [10, 99, 500])
    def test_slow_services_do_not_delay_reservations_beyond_the_limit(
        self, count: int, seconds: float
    ) -> None:
        harness = ConsumerHarness({"A": 9_999})
        harness.script.seconds = seconds
        failed = in_time(harness, lambda: harness.settle(*orders(count, A=1)))
        harness.script.seconds = 0
        harness.settle(*(reserve(f"o{n}", {"A": 1}) for n in failed), receives=2)
        harness.sweep()
        assert set(harness.answer_types()) == {f"o{n}" for n in range(count)}
        harness.check()

    @pytest.mark.parametrize("seconds", [3.0, 8.0])
    def test_slow_services_do_not_delay_releases_beyond_the_limit(self, seconds: float) -> None:
        harness = ConsumerHarness({"A": 9_999})
        harness.fail(SEND, *[refused("AccessDenied")] * 50)
        harness.settle(*orders(99, A=1))
        harness.script.faults.clear()
        harness.script.seconds = seconds
        batch = [release(f"o{n}") for n in range(98)]
        failed = in_time(harness, lambda: harness.settle(*batch))
        harness.script.seconds = 0
        assert harness.settle(*(batch[n] for n in failed), receives=2) == []
        harness.check()

    def test_stock_that_changes_at_every_try_does_not_delay_beyond_the_limit(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.script.seconds = 8.0

        def changing(call: Call) -> Any:
            harness.set_stock("A", 0 if harness.stock["A"] else 1)
            return call.proceed()

        harness.fail(TRANSACT, *[changing] * FOREVER)
        assert in_time(harness, lambda: harness.settle(reserve("a", {"A": 1}))) == [0]


class TestLargeBatches:
    def test_a_batch_of_ten_thousand_orders_is_settled(self) -> None:
        harness = ConsumerHarness({f"S{n}": 10**6 for n in range(50)}, checked=False)
        batch = [reserve(f"o{n}", {f"S{n % 50}": 1, f"S{n % 7}": 2}) for n in range(10_000)]
        assert harness.settle(*batch) == []
        assert len(harness.answer_types()) == 10_000
        harness.check()

    def test_orders_of_98_skus_take_a_transaction_each(self) -> None:
        harness = ConsumerHarness({f"S{n}": 1_000 for n in range(120)})
        batch = [reserve(f"o{n}", {f"S{n + m}": 1 for m in range(98)}) for n in range(8)]
        assert harness.settle(*batch) == []
        assert harness.counts[TRANSACT] == 8
        harness.check()

    def test_the_largest_message_of_sqs_is_settled(self) -> None:
        harness = ConsumerHarness({"A": 10**12})
        lines = [{"sku": "A", "quantity": 1}] * 30_000
        message = reserve("o", {}, items=lines)
        assert harness.settle(message, reserve("p", {"A": 1})) == []
        assert harness.stock == {"A": 10**12 - 30_001}
        assert harness.answer("o")["items"] == [{"sku": "A", "quantity": 30_000}]
        harness.check()

    def test_the_largest_records_stay_under_400_kb(self) -> None:
        skus = [f"{n:02}{'😀' * 62}" for n in range(98)]
        harness = ConsumerHarness(dict.fromkeys(skus, 1))
        customer = "😀" * 256
        batch = [
            reserve(f"{'😀' * 125}{n:03}", dict.fromkeys(skus[:lines], 10**9), customer_id=customer)
            for n, lines in enumerate((1, 50, 98))
        ]
        taken = reserve("😎" * 128, dict.fromkeys(skus, 1), customer_id=customer)
        bad = reserve("😱" * 128, {"!": 1}, items=[{"sku": "", "quantity": 0}] * 50, customer_id=customer)
        assert harness.settle(*batch, taken, bad, release("😎" * 128)) == []
        assert harness.settle(reserve("🤔" * 128, dict.fromkeys(skus, 1), customer_id=customer)) == []
        assert harness.settle(release("🤔" * 128)) == []
        records = harness.stage.dynamodb.snapshot()[harness.stage.tables.processed_events_table]
        for record in records.values():
            assert size(record) < 400_000
        harness.check()

    def test_orders_that_share_the_longest_skus_fit_into_the_transactions_that_they_are_packed_into(
        self,
    ) -> None:
        skus = [f"{n:02}{'😀' * 62}" for n in range(50)]
        harness = ConsumerHarness(dict.fromkeys(skus, 10**6))
        batch = [
            reserve(f"{'😀' * 125}{n:03}", dict.fromkeys(skus, 10**9), customer_id="😀" * 256)
            for n in range(50)
        ]
        assert harness.settle(*batch) == []
        transactions = [call for call in harness.script.calls if call.operation == TRANSACT]
        for call in transactions:
            puts = [action["Put"]["Item"] for action in call.parameters["TransactItems"] if "Put" in action]
            assert sum(map(size, puts)) < 4_000_000
        harness.check()


WIDE = "😀"
"""No character takes more: 4 bytes in an item, 12 in the ASCII of an answer."""
NOW = "2026-11-25T20:00:00.123Z"
LATER = "2026-11-26T20:00:00.123Z"
CHANGE = "0" * 32
RULES = Rules(NOW, change_answer)


def wide_order(number: int, skus: int) -> Reserve:
    """An order whose texts have as many characters as they may, each of as many bytes as it can."""
    items = {f"{sku:02}".ljust(64, WIDE): 10**14 for sku in range(skus)}
    return Reserve(f"{number:02}".ljust(128, WIDE), WIDE * 256, items)


def decisions(order: Reserve) -> list[Decision[Reserve]]:
    """What can become of `order`; its errors have the longest names and messages of 200 characters."""
    short = tuple(Shortage(sku, units, 10**12) for sku, units in order.items.items())
    invalid = Invalid((FieldError(WIDE * 64, "x" * 200),) * MAX_ERRORS)
    return [
        Decision(order),
        Decision(order, Failure.INSUFFICIENT_STOCK, short),
        Decision(replace(order, items={}, refusal=invalid), Failure.INVALID_REQUEST),
    ]


def decided(decision: Decision[Reserve], rules: Rules = RULES) -> Reservation:
    return reserve_write(decision.order, decision, rules, CHANGE).reservation


def changed(record: Reservation, command: ChangeOrder, *missing: str, rules: Rules = RULES) -> Reservation:
    order = OrderChanges(record.order_id, [command], record)
    (after,) = plan_changes([order], set(missing), rules, CHANGE).orders
    return after.write.reservation if after.write else record


def released(reservation: Reservation, *missing: str) -> Reservation:
    return changed(
        reservation,
        ChangeOrder(reservation.order_id, ChangeType.RELEASE, "ReleaseInventory", reason=WIDE * 256),
        *missing,
    )


def record_bytes(reservation: Reservation) -> int:
    return size(reservation_to_item(reservation, 2**31))


class TestLargestTexts:
    def test_ten_answers_stay_below_a_mebibyte(self) -> None:
        order = wide_order(0, MAX_SKUS)
        records = [decided(decision) for decision in decisions(order)]
        records += [released(records[0]), released(records[0], *order.items)]
        answers = [answer for record in records for answer in record.answers]
        attribute = len("type" + "String" + max(AnswerType, key=len))
        assert all(answer.body.isascii() for answer in answers)
        assert MAX_ENTRIES * (max(len(answer.body) for answer in answers) + attribute) < 1024 * 1024

    def test_a_record_stays_below_400_kb(self) -> None:
        order = wide_order(0, MAX_SKUS)
        assert record_bytes(released(decided(Decision(order)))) < 400_000

    @pytest.mark.parametrize("skus", [1, 5, 10, 20, 40, 59, 60, 98])
    @pytest.mark.parametrize("unknown", [True, False])
    @pytest.mark.parametrize("late", [True, False])
    def test_records_and_answers_stay_within_their_limits_whatever_is_done_to_an_order(
        self, skus: int, unknown: bool, late: bool
    ) -> None:
        # It takes as many operations as it can, with the longest answers, then those on the whole order.
        order = replace(wide_order(0, skus), expires_at=NOW)
        others = {f"x{sku:02}".ljust(64, WIDE): 10**9 for sku in range(MAX_SKUS)}
        record = decided(Decision(order), replace(RULES, now="2026-11-24T20:00:00.123Z"))
        count = 0
        while record.full_at is None:
            assert count <= MAX_OPERATIONS
            items = others if unknown else dict.fromkeys(order.items, 1)
            kind = (ChangeType.RELEASE, ChangeType.FULFILL)[count % 2]
            name = f"{count:02}".ljust(128, WIDE)
            part = ChangeOrder(order.order_id, kind, name, items, reason=WIDE * 256)
            record = changed(record, part)
            count += 1
            assert record_bytes(record) < 400_000
        record = changed(record, due_change(order.order_id), rules=replace(RULES, now=LATER))
        assert record.expired
        confirmation = ChangeOrder(order.order_id, ChangeType.CONFIRM, "ConfirmInventory")
        assert rule(record, confirmation, RULES) is Verdict.LATE
        short = tuple(Shortage(sku, units, 10**12) for sku, units in record.expired.items())
        record, _ = recorded(confirmed_late(record, confirmation, () if late else short, RULES), RULES)
        assert record_bytes(record) < 400_000
        ended = released(record)
        assert record_bytes(ended) < 400_000
        assert all(MAX_ENTRIES * (len(answer.body) + 100) < 1024 * 1024 for answer in ended.answers)
        fulfilled = changed(record, ChangeOrder(order.order_id, ChangeType.FULFILL, "FulfillInventory"))
        assert record_bytes(released(fulfilled)) < 400_000

    @pytest.mark.parametrize("skus", [60, 62, 64])
    def test_ten_answers_with_as_many_units_shipped_as_left_stay_below_a_mebibyte(self, skus: int) -> None:
        order = replace(wide_order(0, skus), customer_id="c")
        order = replace(order, items=dict.fromkeys(order.items, 2))
        part = ChangeOrder(
            order.order_id,
            ChangeType.RELEASE,
            "1".ljust(128, WIDE),
            dict.fromkeys(order.items, 1),
            reason=WIDE * 256,
        )
        record = changed(decided(Decision(order)), part)
        assert all(MAX_ENTRIES * (len(answer.body) + 100) < 1024 * 1024 for answer in record.answers)

    @pytest.mark.parametrize(("skus", "length"), [(1, 64), (98, 12)])
    def test_an_order_of_the_usual_size_takes_fifty_operations(self, skus: int, length: int) -> None:
        items = {f"{sku:02}".ljust(length, "x"): 1_000 for sku in range(skus)}
        record = decided(Decision(Reserve("order-1", "customer-1", items)))
        for number in range(MAX_OPERATIONS):
            record = changed(
                record, ChangeOrder("order-1", ChangeType.RELEASE, f"part-{number}", {next(iter(items)): 1})
            )
        assert len(record.operations) == MAX_OPERATIONS
        assert not record.has_room()

    @pytest.mark.parametrize("skus", range(MAX_SKUS + 1))
    def test_reservations_that_fill_a_transaction_stay_below_4_mb(self, skus: int) -> None:
        orders_of_a_group = MAX_ACTIONS - skus
        stock = 64 * 4 + 200  # a SKU with its attributes
        for decision in decisions(wide_order(0, skus)):
            assert orders_of_a_group * record_bytes(decided(decision)) + skus * stock < 4_000_000

    def test_releases_that_exceed_4_mb_are_halved(self) -> None:
        harness = ConsumerHarness(dict.fromkeys(wide_order(0, 48).items, 0), checked=False)
        table = harness.stage.tables.processed_events_table
        group = [f"o{number:02}" for number in range(52)]
        for order_id in group:
            reservation = replace(decided(Decision(wide_order(0, 48))), order_id=order_id)
            harness.stage.dynamodb.put_item(TableName=table, Item=reservation_to_item(reservation, 2**31))
        for sku in wide_order(0, 48).items:
            harness.set_stock(sku, 0, reserved=52 * 10**14)
        refusals = []

        def limited(call: Call) -> Any:
            puts = [a["Put"]["Item"] for a in call.parameters["TransactItems"] if "Put" in a]
            if sum(map(size, puts)) > 4_000_000:
                refusals.append(len(puts) - 1)
                raise call.refuse(Refusal("ValidationException", "no"))
            return call.proceed()

        harness.fail(TRANSACT, limited, limited, limited)
        assert harness.settle(*(release(order_id) for order_id in group)) == []
        assert (refusals, harness.counts[TRANSACT]) == ([51], 4), "one order goes alone"
        assert harness.answer_types() == {order_id: ["Released"] for order_id in group}
        assert set(harness.stock.values()) == {52 * 10**14}
