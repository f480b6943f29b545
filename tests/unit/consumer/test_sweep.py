"""The sweep of the outbox: what it sends, what it leaves, and what it does when it fails half way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engines import Crash
from tests.support.engines.faults import Partial, crash_after, crash_before, throttled
from tests.support.engines.network import Call
from tests.support.messages import release, reserve
from tests.unit.consumer.conftest import Logs
from tests.unit.consumer.consumer_harness import (
    FOREVER,
    NARROW,
    READ,
    REMOVE,
    SEND,
    ConsumerHarness,
    as_version_1_1,
    orders,
    refused,
)
from tests.unit.consumer.test_metrics_and_logs import emitted

SCAN = "scan"


def owing(count: int = 3, *, groups: int = 1) -> ConsumerHarness:
    """A stage whose consumer died before it could send, in each of `groups` groups."""
    harness = ConsumerHarness({"A": 9_999})
    for group in range(groups):
        harness.crash_before_call(SEND, *(reserve(f"{group}-{n}", {"A": 1}) for n in range(count)))
        harness.consumer = harness.new_consumer()
    return harness


def test_an_empty_outbox_takes_one_call() -> None:
    harness = ConsumerHarness({"A": 9})
    harness.sweep()
    assert harness.calls == [SCAN]


def test_what_a_dead_consumer_owes_is_sent_and_removed() -> None:
    harness = owing()
    harness.sweep()
    assert harness.calls == [SCAN, READ, SEND, REMOVE]
    assert harness.answer_types() == {f"0-{n}": ["Reserved"] for n in range(3)}
    assert harness.outbox == []
    harness.check()


def test_a_young_item_is_left_to_its_consumer() -> None:
    harness = owing()
    harness.sweep(after=30)
    assert harness.calls == [SCAN]
    harness.sweep(after=1)
    assert harness.outbox == []


def test_items_of_many_commits_are_read_and_sent_together() -> None:
    harness = owing(2, groups=50)
    harness.sweep()
    assert harness.counts == {SCAN: 1, READ: 1, SEND: 50, REMOVE: 50}
    assert len(harness.answer_types()) == 100
    harness.check()


def test_a_refused_answer_stays_and_the_others_go() -> None:
    harness = owing()
    harness.fail(SEND, Partial([1], "InvalidMessageContents", sender_fault=True))
    harness.sweep()
    assert harness.calls == [SCAN, READ, SEND, NARROW]
    (left,) = harness.outbox
    assert len(left) == 1
    assert left.isdisjoint(harness.answer_types())
    harness.check()
    harness.sweep()
    assert harness.outbox == []


def test_a_sweep_stops_while_the_queue_is_away() -> None:
    harness = owing(60, groups=4)
    harness.fail(SEND, *[refused("AccessDenied")] * FOREVER)
    harness.sweep()
    assert harness.counts[SEND] == 1
    assert sum(map(len, harness.outbox)) == 240
    harness.check()


def test_a_sweep_stops_when_its_time_is_over_and_the_next_goes_on() -> None:
    harness = owing(98, groups=3)
    harness.script.seconds = 2
    harness.sweep(seconds=30)
    assert harness.outbox
    sweeps = 0
    while harness.outbox:
        harness.sweep(seconds=30)
        sweeps += 1
    assert sweeps < 8
    assert len(harness.answer_types()) == 3 * 98
    harness.check()


@pytest.mark.parametrize("fault", [crash_before, crash_after])
@pytest.mark.parametrize("operation", [SCAN, READ, SEND, REMOVE])
def test_a_sweep_that_dies_leaves_the_rest_to_the_next(operation: str, fault: Any) -> None:
    harness = owing()
    harness.fail(operation, fault)
    with pytest.raises(Crash):
        harness.sweep()
    harness.check()
    harness.sweep()
    assert {order: set(types) for order, types in harness.answer_types().items()} == {
        f"0-{n}": {"Reserved"} for n in range(3)
    }
    assert harness.outbox == []


def test_two_sweeps_at_once_lose_nothing() -> None:
    harness = owing()

    def another(call: Call) -> Any:
        harness.sweep(after=0)
        return call.proceed()

    harness.fail(SEND, another)
    harness.sweep()
    assert harness.outbox == []
    assert harness.answer_types() == {f"0-{n}": ["Reserved", "Reserved"] for n in range(3)}
    harness.check()


def test_two_senders_that_each_fail_at_another_answer_leave_nothing_unsent() -> None:
    harness = owing()

    def another(call: Call) -> Any:
        harness.fail(SEND, Partial([0], "InvalidMessageContents", sender_fault=True))
        harness.sweep(after=0)
        return Partial([1], "InvalidMessageContents", sender_fault=True)(call)

    harness.fail(SEND, another)
    harness.sweep()
    assert len(harness.answer_types()) == 3, "each of the two has sent what the other could not"
    assert harness.outbox == [set()]
    harness.check()
    harness.sweep()
    assert harness.outbox == []


def test_a_throttled_scan_is_an_error_of_the_function() -> None:
    harness = owing()
    harness.fail(SCAN, throttled)
    with pytest.raises(Exception, match="throttled"):
        harness.sweep()
    harness.sweep()
    assert harness.outbox == []


def test_an_answer_on_no_record_stays_in_the_outbox_and_the_others_are_sent() -> None:
    harness = owing()
    table = harness.stage.tables.processed_events_table
    harness.stage.dynamodb.delete_item(TableName=table, Key={"order_id": {"S": "0-1"}})
    harness.sweep()
    assert harness.outbox == [{"0-1"}]
    assert harness.answer_types().keys() == {"0-0", "0-2"}


def test_an_item_whose_answers_are_all_lost_stays_and_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    harness = owing(1)
    harness.crash_before_call(SEND, reserve("kept", {"A": 1}))
    table = harness.stage.tables.processed_events_table
    harness.stage.dynamodb.delete_item(TableName=table, Key={"order_id": {"S": "0-0"}})
    harness.sweep()
    assert harness.outbox == [{"0-0"}]
    assert harness.answer_types() == {"kept": ["Reserved"]}
    assert emitted(capsys)["AnswersLost"] == [1.0]


def test_an_item_that_cannot_be_narrowed_is_sent_again(logs: Logs) -> None:
    harness = owing()
    harness.fail(SEND, Partial([1], "InvalidMessageContents", sender_fault=True))
    harness.fail(NARROW, refused("AccessDeniedException"))
    harness.sweep()
    assert [len(left) for left in harness.outbox] == [3]
    assert "answers sent but not removed from the outbox" in [entry["message"] for entry in logs()]
    harness.sweep()
    assert harness.outbox == []
    assert sorted(map(len, harness.answer_types().values())) == [1, 2, 2]


def test_both_answers_of_an_order_are_sent() -> None:
    harness = ConsumerHarness({"A": 9})
    harness.crash_before_call(SEND, reserve("o", {"A": 1}))
    harness.crash_before_call(SEND, release("o"))
    assert harness.outbox == [{"o"}, {"o\nReleaseInventory"}]
    harness.sweep()
    assert sorted(harness.answer_types()["o"]) == ["Released", "Reserved"]
    harness.check()


def test_more_items_than_a_page_holds_are_all_sent() -> None:
    harness = owing(98, groups=12)
    harness.sweep()
    assert len(harness.answer_types()) == 12 * 98
    assert harness.outbox == []


class TestVersion11:
    """Records that version 1.1 wrote: without a mark, perhaps nobody has sent their answers."""

    def settled_before(self, *bodies: Any, marked: bool = False) -> ConsumerHarness:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, *[refused("AccessDenied")] * len(bodies))
        for body in bodies:
            assert harness.settle(body) == []
        outbox = harness.stage.tables.outbox_table
        for change in harness.stage.dynamodb.snapshot()[outbox]:
            harness.stage.dynamodb.delete_item(TableName=outbox, Key={"id": {"S": change}})
        as_version_1_1(harness, "o", marked=marked)
        return harness

    @pytest.mark.parametrize("units", [1, 10])
    def test_an_order_that_comes_again_gets_its_answer(self, units: int) -> None:
        harness = self.settled_before(reserve("o", {"A": units}))
        assert harness.settle(reserve("o", {"A": units}), reserve("p", {"A": 1}), receives=2) == []
        assert set(harness.answer_types()) == {"o", "p"}
        assert harness.outbox == []
        record = harness.record("o")
        assert record is not None
        assert "change" in record
        harness.check()

    def test_a_marked_order_that_comes_again_gets_none(self) -> None:
        harness = self.settled_before(reserve("o", {"A": 1}), marked=True)
        assert harness.settle(reserve("o", {"A": 1}), receives=2) == []
        assert harness.answers == []

    def test_a_release_sends_the_first_answer_too(self) -> None:
        harness = self.settled_before(reserve("o", {"A": 2}))
        assert harness.settle(release("o")) == []
        assert sorted(harness.answer_types()["o"]) == ["Released", "Reserved"]
        assert harness.stock == {"A": 9}
        harness.check()

    def test_a_release_that_comes_again_gets_its_answer(self) -> None:
        harness = self.settled_before(reserve("o", {"A": 2}), release("o"))
        assert harness.settle(release("o"), receives=2) == []
        assert harness.answer_types() == {"o": ["Released"]}
        assert harness.stock == {"A": 9}

    def test_an_order_of_99_skus_is_released_once_and_answered(self) -> None:
        skus = [f"S{n}" for n in range(99)]
        harness = ConsumerHarness(dict.fromkeys(skus, 0))
        harness.initial = dict.fromkeys(skus, 1)
        record = {
            "order_id": {"S": "o"},
            "outcome": {"S": "RESERVED"},
            "items": {"M": {sku: {"N": "1"} for sku in skus}},
            "created_at": {"S": "then"},
            "customer_id": {"S": "customer"},
            "event": {"S": '{"type": "InventoryReserved", "event_id": "e", "order_id": "o"}'},
            "published_at": {"S": "then"},
            "ttl": {"N": "2000000000"},
        }
        harness.stage.dynamodb.put_item(TableName=harness.stage.tables.processed_events_table, Item=record)
        harness.crash_before_call(SEND, release("o"))
        assert set(harness.stock.values()) == {1}
        assert harness.settle(release("o"), receives=2) == []
        assert set(harness.stock.values()) == {1}
        harness.sweep()
        assert harness.answer_types() == {"o": ["Released"]}
        assert harness.outbox == []
        harness.check()


def test_orders_that_share_a_group_share_an_outbox_item() -> None:
    harness = ConsumerHarness({"A": 99})
    harness.crash_before_call(SEND, *orders(50, A=1))
    assert harness.outbox == [{f"o{n}" for n in range(50)}]
