"""The life of a reservation through the consumer: each message in each state of its order."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.commands import ChangeOrder, ChangeType, Reserve
from chalicelib.errors import NotFound, OrderRejected
from tests.support.engines.faults import timed_out_after_effect
from tests.support.engines.network import Call
from tests.support.messages import confirm, extend, fulfill, lines, release, reserve
from tests.unit.consumer.consumer_harness import (
    FOREVER,
    HAPPY_PATH,
    READ,
    REMOVE,
    SEND,
    TRANSACT,
    ConsumerHarness,
    as_version_1_1,
    if_it_names,
    refused,
)

HOUR = 3600.0
END = "2025-06-15T16:06:40.000Z"
"""An hour after the first messages."""
LATER = "2025-06-16T15:06:40.000Z"
ITEMS = {"A": 3, "B": 1}
STOCK = {"A": 10, "B": 10}
HOLD = reserve("o", ITEMS, expires_at=END)
FIRM = reserve("o", ITEMS)


def settled(*messages: Any, stock: dict[str, int] | None = None) -> ConsumerHarness:
    """A harness with these messages settled, one after the other."""
    harness = ConsumerHarness(STOCK if stock is None else stock)
    for message in messages:
        assert harness.settle(message) == []
    return harness


def expired(*more: Any) -> ConsumerHarness:
    harness = settled(HOLD, *more)
    harness.end_holds(after=HOUR + 5)
    return harness


def cancelled_late() -> ConsumerHarness:
    harness = expired()
    assert harness.settle(release("o")) == []
    return harness


def old(*messages: Any, marked: bool = True) -> ConsumerHarness:
    harness = settled(*messages)
    as_version_1_1(harness, "o", marked=marked)
    return harness


STATES: dict[str, Callable[[], ConsumerHarness]] = {
    "unknown": settled,
    "hold": lambda: settled(HOLD),
    "firm": lambda: settled(FIRM),
    "confirmed": lambda: settled(HOLD, confirm("o")),
    "partly shipped": lambda: settled(FIRM, fulfill("o", "F0", {"A": 1})),
    "fulfilled": lambda: settled(FIRM, fulfill("o")),
    "released": lambda: settled(FIRM, release("o")),
    "expired": expired,
    "expired after a part": lambda: expired(fulfill("o", "F0", {"A": 1})),
    "cancelled after it had expired": cancelled_late,
    "rejected": lambda: settled(reserve("o", {"A": 11})),
    "tombstone": lambda: settled(release("o")),
    "1.1 reserved": lambda: old(FIRM),
    "1.1 released": lambda: old(FIRM, release("o")),
}
MESSAGES: dict[str, dict[str, Any]] = {
    "confirm": confirm("o"),
    "extend": extend("o", "E1", LATER),
    "fulfill": fulfill("o"),
    "part": fulfill("o", "F1", {"A": 2}),
    "release": release("o", reason="sold"),
    "back": release("o", "R1", {"A": 2}),
    "too much": release("o", "R2", {"A": 4}),
    "invalid": fulfill("o", "F9", {"A": 0}),
}
NOT_RESERVED, EXPIRED, NOT_A_HOLD = "NOT_RESERVED", "EXPIRED", "NOT_A_HOLD"
DONE: dict[str, dict[str, Any]] = {
    "confirm": {"type": "InventoryConfirmed", "items": lines(ITEMS)},
    "extend": {"type": "InventoryExtended", "expires_at": LATER},
    "fulfill": {"type": "InventoryFulfilled", "items": lines(ITEMS), "remaining": []},
    "part": {"type": "InventoryFulfilled", "items": lines({"A": 2}), "remaining": lines({"A": 1, "B": 1})},
    "release": {"type": "InventoryReleased", "items": lines(ITEMS), "remaining": [], "reason": "sold"},
    "back": {"type": "InventoryReleased", "items": lines({"A": 2}), "remaining": lines({"A": 1, "B": 1})},
}
LEFT = {"A": 2, "B": 1}
DONE_WITH_THE_REST: dict[str, dict[str, Any]] = {
    "confirm": {"type": "InventoryConfirmed", "items": lines(LEFT)},
    "fulfill": {"type": "InventoryFulfilled", "items": lines(LEFT), "remaining": []},
    "part": {"type": "InventoryFulfilled", "items": lines({"A": 2}), "remaining": lines({"B": 1})},
    "release": {"type": "InventoryReleased", "items": lines(LEFT), "remaining": [], "reason": "sold"},
    "back": {"type": "InventoryReleased", "items": lines({"A": 2}), "remaining": lines({"B": 1})},
}
AGAIN = {"type": "InventoryConfirmed", "items": lines(ITEMS), "reserved_again": True}
REST_AGAIN = {"type": "InventoryConfirmed", "items": lines(LEFT), "reserved_again": True}
# What is answered, if it is neither done nor refused for this reason; None: it comes again.
EXCEPT: dict[str, tuple[dict[str, dict[str, Any]], str, dict[str, Any]]] = {
    # state: (what is done, else refused for, but)
    "unknown": (
        {},
        "",
        {"release": {"type": "InventoryReleased", "items": [], "remaining": [], "reason": "sold"}},
    ),
    "hold": (DONE, "", {}),
    "firm": (DONE, "", {"extend": NOT_A_HOLD}),
    "confirmed": (DONE, "", {"extend": NOT_A_HOLD, "confirm": "repeated"}),
    "partly shipped": (DONE_WITH_THE_REST, "", {"extend": NOT_A_HOLD}),
    "fulfilled": ({}, NOT_RESERVED, {"fulfill": "repeated"}),
    "released": ({}, NOT_RESERVED, {"release": "repeated"}),
    "expired": ({}, EXPIRED, {"confirm": AGAIN}),
    "expired after a part": ({}, EXPIRED, {"confirm": REST_AGAIN}),
    "cancelled after it had expired": ({}, NOT_RESERVED, {"release": "repeated"}),
    "rejected": ({}, NOT_RESERVED, {"release": "repeated"}),
    "tombstone": ({}, NOT_RESERVED, {"release": "repeated"}),
    "1.1 reserved": (DONE, "", {"extend": NOT_A_HOLD}),
    "1.1 released": ({}, NOT_RESERVED, {"release": "repeated"}),
}
HELD_AT_MOST = {"partly shipped": 2}


def expected_answer(state: str, name: str) -> dict[str, Any] | str | None:
    """The fields of the answer, "repeated" for none, or None where the message comes again."""
    done, why, but = EXCEPT[state]
    message = MESSAGES[name]
    found: Any = but.get(name, done.get(name, why))
    if name == "invalid" and state != "unknown":
        found = "INVALID_REQUEST"
    elif name == "too much" and done:
        found = "MORE_THAN_HELD"
    if isinstance(found, dict):
        return found
    if found in ("", "repeated"):
        return found or None
    refused = {"type": "InventoryChangeRejected", "operation": message["type"], "reason": found}
    if found == "MORE_THAN_HELD":
        refused["items"] = [{"sku": "A", "requested": 4, "held": HELD_AT_MOST.get(state, 3)}]
    elif found == "INVALID_REQUEST":
        refused["errors"] = [
            {"field": "items.0.quantity", "message": "Input should be greater than or equal to 1"}
        ]
    return refused


CASES = [pytest.param(state, name, id=f"{state}-{name}") for state in STATES for name in MESSAGES]


@pytest.mark.parametrize(("state", "name"), CASES)
def test_each_message_in_each_state_of_its_order(state: str, name: str) -> None:
    """What is answered, field by field, that stock and record agree, and that a repeat changes nothing."""
    harness, message, expected = STATES[state](), MESSAGES[name], expected_answer(state, name)
    before = len(harness.answers)
    failed = harness.settle(message)
    assert failed == ([0] if expected is None else [])
    new = harness.answers[before:]
    if isinstance(expected, dict):
        (got,) = new
        if "operation_id" in message:
            expected = {**expected, "operation_id": message["operation_id"]}
        event_id, timestamp = got.pop("event_id"), got.pop("timestamp")
        if "errors" in got:
            got["errors"][0]["message"] = expected["errors"][0]["message"]
        assert got == {"order_id": "o", **expected}
        assert event_id
        assert timestamp
    else:
        assert new == []
    harness.check()
    state_before = (harness.record("o"), harness.stock, harness.reserved, len(harness.answers))
    assert harness.settle(message, receives=2) == failed
    assert (harness.record("o"), harness.stock, harness.reserved, len(harness.answers)) == state_before
    assert harness.outbox == []


class TestCalls:
    def test_a_change_takes_a_read_and_the_happy_path(self) -> None:
        harness = settled(HOLD)
        assert harness.settle(confirm("o")) == []
        assert harness.calls == [READ, *HAPPY_PATH]

    def test_a_repeat_takes_a_read(self) -> None:
        harness = settled(HOLD, confirm("o"))
        assert harness.settle(confirm("o"), receives=2) == []
        assert harness.calls == [READ]

    def test_changes_of_many_orders_take_as_many_calls_as_one(self) -> None:
        harness = ConsumerHarness({"A": 100})
        harness.settle(*(reserve(f"o{n}", {"A": 2}) for n in range(30)))
        batch = [confirm(f"o{n}") for n in range(10)]
        batch += [fulfill(f"o{n}") for n in range(10, 20)]
        batch += [release(f"o{n}", "R1", {"A": 1}) for n in range(20, 30)]
        assert harness.settle(*batch) == []
        assert harness.calls == [READ, TRANSACT, SEND, SEND, SEND, REMOVE]
        assert (harness.stock, harness.reserved) == ({"A": 50}, {"A": 30})
        harness.check()

    def test_a_late_confirmation_takes_one_transaction_more(self) -> None:
        harness = expired()
        assert harness.settle(confirm("o")) == []
        assert harness.calls == [READ, *HAPPY_PATH]


class TestRecords:
    def test_a_hold_is_in_the_index_until_it_is_confirmed_or_closed(self) -> None:
        for message in (confirm("o"), fulfill("o"), release("o")):
            harness = settled(HOLD)
            record = harness.record("o")
            assert record is not None
            assert record["due_at"] == record["expires_at"] == {"S": END}
            assert "hold_shard" in record
            harness.settle(message)
            record = harness.record("o")
            assert record is not None
            assert not record.keys() & {"due_at", "expires_at", "hold_shard"}
            assert ("ttl" in record) is (message["type"] != "ConfirmInventory")

    def test_an_extension_moves_the_end(self) -> None:
        harness = settled(HOLD, extend("o", "E1", LATER))
        record = harness.record("o")
        assert record is not None
        assert record["due_at"] == record["expires_at"] == {"S": LATER}
        harness.end_holds(after=HOUR + 60)
        assert harness.answer_types() == {"o": ["Reserved", "Extended"]}
        assert harness.reserved == ITEMS
        harness.end_holds(after=24 * HOUR)
        assert harness.answer_types() == {"o": ["Reserved", "Extended", "Released"]}
        harness.check()

    def test_a_firm_order_has_no_end_and_no_lifetime(self) -> None:
        record = settled(FIRM).record("o")
        assert record is not None
        assert not record.keys() & {"due_at", "expires_at", "hold_shard", "ttl"}

    def test_a_hold_that_has_ended_before_it_comes_is_rejected(self) -> None:
        harness = ConsumerHarness(STOCK)
        harness.stage.clock.advance(HOUR)
        assert harness.settle(HOLD, reserve("p", ITEMS)) == []
        assert harness.answer_types() == {"o": ["ReservationFailed"], "p": ["Reserved"]}
        assert harness.answer("o")["reason"] == "EXPIRED"
        record = harness.record("o")
        assert record is not None
        assert "ttl" in record
        assert not record.keys() & {"due_at", "hold_shard"}
        harness.check()


class TestAging:
    @pytest.mark.parametrize("first", [[FIRM], [HOLD, confirm("o")]])
    def test_a_firm_order_is_closed_as_shipped_when_it_is_old_without_an_answer(
        self, first: list[Any]
    ) -> None:
        harness = ConsumerHarness(STOCK)
        harness.consumer = replace(harness.consumer, aging=timedelta(days=30))
        for message in first:
            harness.settle(message)
        told = len(harness.answers)
        harness.end_holds(after=30 * 24 * HOUR)
        assert harness.reserved == ITEMS, "not before the grace is over"
        harness.end_holds(after=6)
        assert (harness.stock, harness.reserved) == ({"A": 7, "B": 9}, {"A": 0, "B": 0})
        record = harness.record("o")
        assert record is not None
        assert (record["outcome"], "ttl" in record, "due_at" in record) == ({"S": "FULFILLED"}, True, False)
        assert len(harness.answers) == told
        harness.check()

    def test_a_late_confirmation_makes_an_order_that_ages(self) -> None:
        harness = expired()
        harness.consumer = replace(harness.consumer, aging=timedelta(days=30))
        harness.settle(confirm("o"))
        record = harness.record("o")
        assert record is not None
        assert record["due_at"] == {"S": "2025-07-15T16:06:45.000Z"}


class TestLateConfirmation:
    def test_what_is_held_again_can_be_shipped(self) -> None:
        harness = expired(fulfill("o", "F0", {"A": 1}))
        assert (harness.stock, harness.reserved) == ({"A": 9, "B": 10}, {"A": 0, "B": 0})
        harness.settle(confirm("o"))
        assert (harness.stock, harness.reserved) == ({"A": 7, "B": 9}, {"A": 2, "B": 1})
        harness.settle(fulfill("o"))
        assert harness.answers[-1]["items"] == lines({"A": 2, "B": 1})
        assert (harness.stock, harness.reserved) == ({"A": 7, "B": 9}, {"A": 0, "B": 0})
        harness.check()

    def test_without_enough_stock_it_is_refused_with_the_short_lines(self) -> None:
        harness = expired()
        harness.settle(reserve("p", {"A": 8}))
        assert harness.settle(confirm("o")) == []
        got = harness.answers[-1]
        assert (got["type"], got["reason"], got["operation"]) == (
            "InventoryChangeRejected",
            "EXPIRED",
            "ConfirmInventory",
        )
        assert got["items"] == [{"sku": "A", "requested": 3, "available": 2, "reason": "INSUFFICIENT_STOCK"}]
        harness.check()
        harness.settle(release("p"))
        assert harness.settle(confirm("o"), receives=2) == []
        assert harness.reserved == {"A": 0, "B": 0}, "it has one answer, for good"
        harness.check()

    def test_a_sku_that_is_gone_is_named(self) -> None:
        harness = expired()
        harness.stage.dynamodb.delete_item(
            TableName=harness.stage.tables.inventory_table, Key={"sku": {"S": "B"}}
        )
        del harness.initial["B"]
        assert harness.settle(confirm("o")) == []
        got = harness.answers[-1]
        assert got["reason"] == "EXPIRED"
        assert got["items"] == [{"sku": "B", "requested": 1, "available": 0, "reason": "SKU_NOT_FOUND"}]
        harness.check()

    def test_it_competes_with_reservations_in_order_of_arrival(self) -> None:
        for confirmed_first in (True, False):
            harness = expired()
            batch = [confirm("o"), reserve("p", {"A": 8})]
            assert harness.settle(*(batch if confirmed_first else reversed(batch))) == []
            last = {answer["order_id"]: answer["type"] for answer in harness.answers}
            if confirmed_first:
                assert last == {"o": "InventoryConfirmed", "p": "InventoryReservationFailed"}
            else:
                assert last == {"o": "InventoryChangeRejected", "p": "InventoryReserved"}
            harness.check()

    def test_what_follows_it_in_a_batch_is_settled_after_it(self) -> None:
        harness = expired()
        batch = [confirm("o"), fulfill("o", "F1", {"A": 1}), release("o", "R1", {"A": 1}), confirm("o")]
        assert harness.settle(*batch) == []
        assert harness.answer_types()["o"] == ["Reserved", "Released", "Confirmed", "Fulfilled", "Released"]
        assert (harness.stock, harness.reserved) == ({"A": 8, "B": 9}, {"A": 1, "B": 1})
        harness.check()

    @pytest.mark.parametrize("other", [confirm("o"), release("o")])
    def test_another_consumer_may_be_faster(self, other: dict[str, Any]) -> None:
        harness = expired()
        second = ConsumerHarness()
        second.stage = harness.stage
        second.consumer = second.new_consumer()

        def overtaken(call: Call) -> Any:
            assert second.settle(other) == []
            return call.proceed()

        harness.fail(TRANSACT, overtaken)
        assert harness.settle(confirm("o"), fulfill("o", "F1", {"A": 1})) == []
        harness.sent.append(json.dumps(other))
        if other["type"] == "ConfirmInventory":
            assert harness.answer_types()["o"] == ["Reserved", "Released", "Confirmed", "Fulfilled"]
        else:
            types = harness.answer_types()["o"]
            assert types == ["Reserved", "Released", "ChangeRejected", "ChangeRejected", "ChangeRejected"]
        harness.check()

    def test_an_answer_that_was_lost_is_delivered_at_once(self) -> None:
        harness = expired()
        harness.fail(TRANSACT, timed_out_after_effect)
        assert harness.settle(confirm("o")) == []
        assert harness.answer_types()["o"] == ["Reserved", "Released", "Confirmed"]
        assert harness.outbox == []
        harness.check()


class TestLargeGroups:
    def test_orders_that_hold_more_than_was_seen_are_settled_apart(self) -> None:
        skus = {f"S{n}": 1 for n in range(98)}
        harness = ConsumerHarness({**skus, **{f"T{n}": 1 for n in range(50)}})
        harness.settle(reserve("a", skus, expires_at=END))
        harness.settle(reserve("b", {f"T{n}": 1 for n in range(50)}))
        harness.end_holds(after=HOUR + 5)
        second = ConsumerHarness()
        second.stage = harness.stage
        second.consumer = second.new_consumer()

        def overtaken(call: Call) -> Any:
            assert second.settle(confirm("a")) == []
            return call.proceed()

        harness.fail(TRANSACT, overtaken)
        assert harness.settle(fulfill("a"), release("b")) == []
        assert harness.answer_types()["a"] == ["Reserved", "Released", "Confirmed", "Fulfilled"]
        assert harness.answer_types()["b"] == ["Reserved", "Released"]
        assert set(harness.reserved.values()) == {0}
        harness.check()

    def test_late_confirmations_of_98_skus_take_a_transaction_each(self) -> None:
        skus = {f"S{n}": 1 for n in range(98)}
        harness = ConsumerHarness(dict.fromkeys(skus, 3))
        harness.settle(*(reserve(name, skus, expires_at=END) for name in ("a", "b", "c")))
        harness.end_holds(after=HOUR + 5)
        harness.settle(reserve("d", {"S7": 2}))
        assert harness.settle(confirm("a"), confirm("b"), confirm("c")) == []
        last = {answer["order_id"]: answer["type"] for answer in harness.answers}
        assert last["a"] == "InventoryConfirmed"
        assert last["b"] == last["c"] == "InventoryChangeRejected"
        assert harness.reserved["S7"] == 3
        harness.check()


class TestOneBatch:
    def test_the_commands_of_an_order_are_settled_in_order_of_arrival(self) -> None:
        harness = ConsumerHarness(STOCK)
        batch = [
            HOLD,
            confirm("o"),
            fulfill("o", "F1", {"A": 1}),
            reserve("p", {"A": 1}),
            release("o", reason="the rest"),
            release("p"),
        ]
        assert harness.settle(*batch) == []
        assert harness.answer_types() == {
            "o": ["Reserved", "Confirmed", "Fulfilled", "Released"],
            "p": ["Reserved", "Released"],
        }
        assert (harness.stock, harness.reserved) == ({"A": 9, "B": 10}, {"A": 0, "B": 0})
        assert harness.counts[TRANSACT] == 2
        harness.check()

    def test_a_change_that_comes_before_its_order_is_left_to_come_again(self) -> None:
        harness = ConsumerHarness(STOCK)
        batch = [confirm("o"), HOLD, fulfill("q"), extend("r", "E", LATER)]
        assert harness.settle(*batch) == [0, 2, 3]
        assert harness.settle(confirm("o"), receives=2) == []
        assert harness.answer_types() == {"o": ["Reserved", "Confirmed"]}
        harness.check()

    def test_what_follows_an_order_that_fails_is_left_and_others_are_settled(self) -> None:
        harness = ConsumerHarness(STOCK)
        harness.fail(TRANSACT, *[if_it_names("o", refused("ValidationException"))] * FOREVER)
        batch = [HOLD, reserve("p", {"A": 1}), confirm("o"), confirm("p"), release("o")]
        assert harness.settle(*batch) == [0, 2, 4]
        assert harness.answer_types() == {"p": ["Reserved", "Confirmed"]}
        harness.script.faults.clear()
        assert harness.settle(*(batch[n] for n in (0, 2, 4)), receives=2) == []
        assert harness.answer_types()["o"] == ["Reserved", "Confirmed", "Released"]
        harness.check()

    def test_a_change_that_fails_leaves_what_follows_it(self) -> None:
        harness = settled(HOLD)
        harness.fail(TRANSACT, *[if_it_names("o", refused("ValidationException"))] * FOREVER)
        assert harness.settle(confirm("o"), HOLD, fulfill("o", "F1", {"A": 1}), reserve("p", {"A": 1})) == [
            0,
            1,
            2,
        ]
        assert "p" in harness.answer_types()

    def test_orders_that_are_stuck_in_one_step_leave_time_for_the_next(self) -> None:
        harness = settled(HOLD)

        def stuck(call: Call) -> Any:
            harness.stage.clock.advance(4)
            return refused("ThrottlingException")(call)

        harness.fail(TRANSACT, *[if_it_names("o", stuck)] * FOREVER)
        assert harness.settle(confirm("o"), reserve("p", {"A": 1})) == [0]
        assert harness.answer_types() == {"o": ["Reserved"], "p": ["Reserved"]}

    def test_one_write_has_all_changes_of_an_order(self) -> None:
        harness = settled(HOLD)
        assert harness.settle(confirm("o"), release("o", "R1", {"A": 1}), release("o", "R2", {"A": 5})) == []
        assert harness.counts[TRANSACT] == 1
        assert harness.answer_types()["o"] == ["Reserved", "Confirmed", "Released", "ChangeRejected"]
        harness.check()

    def test_a_batch_of_many_lives_is_settled(self) -> None:
        harness = ConsumerHarness({"A": 1_000})
        batch = [
            message
            for n in range(60)
            for message in (
                reserve(f"o{n}", {"A": 3}, expires_at=END),
                release(f"o{n}", "R", {"A": 1}),
                confirm(f"o{n}"),
                fulfill(f"o{n}"),
            )
        ]
        assert harness.settle(*batch) == []
        assert (harness.stock, harness.reserved) == ({"A": 880}, {"A": 0})
        assert len(harness.answers) == 240
        harness.check()


class TestInvalidChanges:
    def test_two_invalid_messages_are_two_operations_and_a_repeat_is_none(self) -> None:
        harness = settled(HOLD)
        one, other = confirm("o", timestamp="x"), confirm("o", timestamp="y")
        assert harness.settle(one, other, one) == []
        assert harness.settle(other, receives=2) == []
        answers = harness.answers[1:]
        assert [answer["reason"] for answer in answers] == ["INVALID_REQUEST"] * 2
        assert [answer["errors"][0]["field"] for answer in answers] == ["timestamp"] * 2
        assert len({answer["event_id"] for answer in answers}) == 2
        assert all("operation_id" not in answer for answer in answers)
        harness.check()

    def test_the_confirmation_itself_is_possible_afterwards(self) -> None:
        harness = settled(HOLD, confirm("o", timestamp="x"), confirm("o"))
        assert harness.answer_types()["o"] == ["Reserved", "ChangeRejected", "Confirmed"]

    def test_an_id_that_was_refused_cannot_be_used_again(self) -> None:
        harness = settled(FIRM, fulfill("o", "F1", {"A": 0}), fulfill("o", "F1", {"A": 1}))
        assert harness.answer_types()["o"] == ["Reserved", "ChangeRejected"]
        assert harness.reserved == ITEMS


class TestTooManyOperations:
    def full(self) -> ConsumerHarness:
        harness = ConsumerHarness({"A": 100})
        harness.settle(reserve("o", {"A": 60}, expires_at=END))
        assert harness.settle(*(release("o", f"R{n}", {"A": 1}) for n in range(50))) == []
        return harness

    def test_the_one_too_many_is_refused_again_and_again_with_one_answer(self) -> None:
        harness = self.full()
        message = fulfill("o", "F", {"A": 1})
        assert harness.settle(message) == []
        harness.stage.clock.advance(60)
        assert harness.settle(message, receives=2) == []
        one, other = harness.stage.sqs.history[-2:]
        assert one.body == other.body
        assert json.loads(one.body)["reason"] == "TOO_MANY_OPERATIONS"
        assert json.loads(one.body)["operation_id"] == "F"
        assert harness.reserved == {"A": 10}
        harness.check()

    def test_what_comes_before_the_limit_in_one_batch_is_done(self) -> None:
        harness = ConsumerHarness({"A": 100})
        harness.settle(reserve("o", {"A": 60}))
        assert harness.settle(*(release("o", f"R{n}", {"A": 1}) for n in range(53))) == []
        types = harness.answer_types()["o"]
        assert (types.count("Released"), types.count("ChangeRejected")) == (50, 3)
        assert harness.reserved == {"A": 10}
        harness.check()

    def test_the_sweep_of_the_outbox_makes_the_answer_again(self) -> None:
        harness = self.full()
        harness.crash_before_call(SEND, fulfill("o", "F", {"A": 1}), extend("o", "E", LATER))
        assert harness.outbox == [{"o\nF\nFulfillInventory", "o\nE\nExtendInventory"}]
        harness.check()
        harness.sweep()
        assert harness.outbox == []
        assert [answer["operation_id"] for answer in harness.answers[-2:]] == ["F", "E"]
        harness.check()

    @pytest.mark.parametrize(
        ("message", "kind"),
        [(confirm("o"), "Confirmed"), (release("o"), "Released"), (fulfill("o"), "Fulfilled")],
    )
    def test_what_is_done_to_the_whole_order_is_possible(self, message: dict[str, Any], kind: str) -> None:
        harness = self.full()
        harness.settle(fulfill("o", "F", {"A": 1}))
        assert harness.settle(message) == []
        assert harness.answer_types()["o"][-1] == kind
        harness.check()

    def test_a_hold_ends_all_the_same(self) -> None:
        harness = self.full()
        harness.end_holds(after=HOUR + 6)
        assert harness.reserved == {"A": 0}
        assert harness.answers[-1]["reason"] == "EXPIRED"
        harness.settle(confirm("o"))
        assert harness.reserved == {"A": 10}
        harness.check()


class TestSettledOverRest:
    """The response was the answer: nothing goes to the OMS until a message comes about the same."""

    def order(self, **changes: Any) -> Reserve:
        return replace(Reserve("o", "customer of o", ITEMS, expires_at=END), **changes)

    def test_nothing_is_sent_for_calls(self) -> None:
        harness = ConsumerHarness(STOCK)
        harness.orders.reserve(self.order(), harness.deadline())
        harness.orders.change(ChangeOrder("o", ChangeType.CONFIRM, "ConfirmInventory"), harness.deadline())
        assert (harness.answers, harness.outbox) == ([], [])
        harness.sweep()
        assert harness.answers == []
        harness.check()

    def test_a_message_about_the_same_is_answered_once_from_the_record(self) -> None:
        harness = ConsumerHarness(STOCK)
        harness.orders.reserve(self.order(), harness.deadline())
        harness.orders.change(ChangeOrder("o", ChangeType.RELEASE, "R1", {"A": 1}), harness.deadline())
        harness.stage.clock.advance(60)
        for _ in range(2):
            assert harness.settle(HOLD, release("o", "R1", {"A": 1})) == []
        assert harness.answer_types() == {"o": ["Reserved", "Released"]}
        assert harness.answers[0]["timestamp"] == "2025-06-15T15:06:40.000Z"
        assert harness.reserved == {"A": 2, "B": 1}
        harness.check()

    def test_another_message_sends_its_own_answer_only(self) -> None:
        harness = ConsumerHarness(STOCK)
        harness.orders.reserve(self.order(), harness.deadline())
        assert harness.settle(confirm("o")) == []
        assert harness.answer_types() == {"o": ["Confirmed"]}

    def test_a_rejection_is_answered_too(self) -> None:
        harness = ConsumerHarness(STOCK)
        with pytest.raises(OrderRejected):
            harness.orders.reserve(self.order(items={"A": 11}), harness.deadline())
        assert harness.settle(reserve("o", {"A": 11}, expires_at=END)) == []
        assert harness.answer_types() == {"o": ["ReservationFailed"]}
        harness.check()

    def test_a_hold_made_by_a_call_ends_with_an_answer(self) -> None:
        harness = ConsumerHarness(STOCK)
        harness.orders.reserve(self.order(), harness.deadline())
        harness.end_holds(after=HOUR + 6)
        assert harness.answer_types() == {"o": ["Released"]}
        harness.check()

    def test_a_release_of_an_unknown_order_leaves_no_tombstone(self) -> None:
        harness = ConsumerHarness(STOCK)
        with pytest.raises(NotFound):
            harness.orders.change(
                ChangeOrder("o", ChangeType.RELEASE, "ReleaseInventory"), harness.deadline()
            )
        assert harness.record("o") is None


class TestVersion11:
    @pytest.mark.parametrize("message", [confirm("o"), fulfill("o", "F1", {"A": 1}), release("o"), FIRM])
    def test_any_message_queues_all_that_is_owed(self, message: dict[str, Any]) -> None:
        harness = old(FIRM, marked=False)
        assert harness.settle(message, receives=2) == []
        assert harness.answer_types()["o"].count("Reserved") == 2, "nobody knows whether it was sent before"
        harness.check()

    def test_a_change_over_rest_queues_what_version_1_1_owed_and_not_its_own_answer(self) -> None:
        harness = old(FIRM, marked=False)
        command = ChangeOrder("o", ChangeType.FULFILL, "FulfillInventory")
        harness.orders.change(command, harness.deadline())
        assert harness.outbox == [{"o"}]
        harness.check()

    def test_a_repeated_order_queues_the_answer_of_its_release(self) -> None:
        harness = old(FIRM, release("o"), marked=False)
        assert harness.settle(FIRM, receives=2) == []
        assert harness.answer_types() == {"o": ["Reserved", "Released", "Released"]}
        harness.check()

    @pytest.mark.parametrize(
        "message", [release("o"), fulfill("o"), release("o", "R1", {"S0": 1}), confirm("o")]
    )
    @pytest.mark.parametrize("sent", [True, False])
    def test_orders_of_99_skus_are_changed_once_and_answered(
        self, message: dict[str, Any], sent: bool
    ) -> None:
        skus = {f"S{n}": 1 for n in range(99)}
        harness = ConsumerHarness(dict.fromkeys(skus, 1))
        record = {
            "order_id": {"S": "o"},
            "outcome": {"S": "RESERVED"},
            "items": {"M": {sku: {"N": "1"} for sku in skus}},
            "created_at": {"S": "then"},
            "customer_id": {"S": "customer"},
            "event": {"S": '{"type": "InventoryReserved", "event_id": "e", "order_id": "o"}'},
            "ttl": {"N": "2000000000"},
        }
        if sent:
            record["published_at"] = {"S": "then"}
        harness.stage.dynamodb.put_item(TableName=harness.stage.tables.processed_events_table, Item=record)
        for sku in skus:
            harness.set_stock(sku, 0)
        for _ in range(2):
            assert harness.settle(message) == []
        assert len(harness.answers) == (1 if sent else 2)
        assert harness.outbox == []
        harness.check()
