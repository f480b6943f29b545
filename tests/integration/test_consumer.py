"""The consumer's handler on the embedded AWS, with events as Lambda passes them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import app
from chalicelib import bootstrap
from chalicelib.contracts.events import event_id
from chalicelib.domain.reservation import AnswerType
from local.poller import Poller
from local.stage import Stage
from tests.integration.consumers import (
    CheckingScript,
    consumer_on,
    invoke,
    later,
    lose_responses,
    message,
    put_stock,
    stock_of,
    sweep_on,
)
from tests.support.engines import Crash, FakeClock
from tests.support.engines.faults import crash_after, crash_before
from tests.support.engines.network import Call, Fault
from tests.support.invariants import check, drain, read_state
from tests.support.messages import release, reserve, text
from tests.support.rest import reset_clients
from tests.unit.consumer.consumer_harness import ConsumerHarness


@pytest.fixture
def consumer_stage(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage that the app's handler uses."""
    for name, value in stage.env.items():
        monkeypatch.setenv(name, value)
    reset_clients()
    bootstrap.consumer()
    yield stage
    bootstrap.dynamodb().close()
    bootstrap.sqs().close()
    reset_clients()


class RoundTrips:
    """HTTP requests to AWS, botocore's own retries included."""

    def __init__(self) -> None:
        self.made: list[str] = []
        for client in (bootstrap.dynamodb(), bootstrap.sqs()):
            client.meta.events.register("before-send", self._count)

    def _count(self, event_name: str, **_: Any) -> None:
        self.made.append(event_name.rpartition(".")[2])

    def operations_of(self, *bodies: Any, receives: int = 1) -> list[str]:
        """The operations of the requests that a batch takes."""
        self.made.clear()
        assert invoke(*bodies, receives=receives) == []
        return list(self.made)


def answers_by_order(stage: Stage) -> dict[str, list[dict[str, Any]]]:
    """The answers that the OMS has received since the last call, by order."""
    answers: dict[str, list[dict[str, Any]]] = {}
    for body in drain(stage, stage.oms_queue_url):
        event = json.loads(body)
        answers.setdefault(event["order_id"], []).append(event)
    return answers


class TestRoundTrips:
    def test_ten_orders_in_stock_take_three_calls(self, consumer_stage: Stage) -> None:
        put_stock(consumer_stage, {"A": 100, "B": 100})
        trips = RoundTrips()
        batch = [reserve(f"o{n}", {"A": 1, "B": 2}) for n in range(10)]
        assert trips.operations_of(*batch) == ["TransactWriteItems", "SendMessageBatch", "DeleteItem"]
        check(read_state(consumer_stage, [text(body) for body in batch]), {"A": 100, "B": 100})

    def test_ten_orders_with_three_rejected_take_four_calls_also_when_the_shortage_is_known(
        self, consumer_stage: Stage
    ) -> None:
        put_stock(consumer_stage, {"A": 7, "B": 100})
        trips = RoundTrips()
        first = [reserve(f"o{n}", {"A": 1}) for n in range(10)]
        done = ["TransactWriteItems", "SendMessageBatch", "DeleteItem"]
        assert trips.operations_of(*first) == ["TransactWriteItems", *done]
        second = [reserve(f"p{n}", {"B": 1} if n < 7 else {"A": 1}) for n in range(10)]
        assert trips.operations_of(*second) == ["BatchGetItem", *done]
        check(read_state(consumer_stage, [text(body) for body in first + second]), {"A": 7, "B": 100})

    def test_ten_orders_with_two_duplicates_take_four_calls(self, consumer_stage: Stage) -> None:
        put_stock(consumer_stage, {"A": 100})
        trips = RoundTrips()
        batch = [reserve(f"o{n}", {"A": 1}) for n in range(10)]
        invoke(*batch[:2])
        done = ["TransactWriteItems", "SendMessageBatch", "DeleteItem"]
        assert trips.operations_of(*batch) == ["TransactWriteItems", *done]
        assert stock_of(consumer_stage, "A") == 90
        check(read_state(consumer_stage, [text(body) for body in batch]), {"A": 100})

    def test_ten_redelivered_orders_take_one_call_if_all_are_answered_and_four_if_none_is(
        self, consumer_stage: Stage
    ) -> None:
        put_stock(consumer_stage, {"A": 100})
        trips = RoundTrips()
        batch = [reserve(f"o{n}", {"A": 1}) for n in range(10)]
        done = ["TransactWriteItems", "SendMessageBatch", "DeleteItem"]
        assert trips.operations_of(*batch, receives=2) == ["BatchGetItem", *done]
        assert trips.operations_of(*batch, receives=2) == ["BatchGetItem"]

    def test_ten_releases_take_four_calls(self, consumer_stage: Stage) -> None:
        put_stock(consumer_stage, {"A": 100})
        trips = RoundTrips()
        invoke(*(reserve(f"o{n}", {"A": 1}) for n in range(10)))
        done = ["TransactWriteItems", "SendMessageBatch", "DeleteItem"]
        assert trips.operations_of(*(release(f"o{n}") for n in range(10))) == ["BatchGetItem", *done]
        assert stock_of(consumer_stage, "A") == 100


class TestMixedBatches:
    def test_a_mixed_batch_has_the_same_result_as_in_memory(self, consumer_stage: Stage) -> None:
        """The same two batches have the same answers on the embedded AWS and on the in-memory engines."""
        stock = {"A": 5, "B": 0, "C": 9}
        first = [
            reserve("ok", {"A": 2, "C": 1}),
            reserve("short", {"A": 9, "C": 1}),
            reserve("gone", {"B": 1, "X": 1}),
            reserve("bad", {"A": 0}),
            reserve("many", {f"S{n}": 1 for n in range(100)}),
            reserve("ok", {"A": 2, "C": 1}),
            release("unknown"),
            reserve("unknown", {"C": 1}),
            "not JSON",
        ]
        second = [release("ok"), release("short"), reserve("ok", {"C": 9}), reserve("late", {"A": 5})]
        memory = ConsumerHarness(stock, clock=FakeClock(time.time()))
        put_stock(consumer_stage, stock)
        for batch in (first, second):
            assert invoke(*batch) == memory.settle(*batch)
        here = answers_by_order(consumer_stage)
        there: dict[str, list[dict[str, Any]]] = {}
        for answer in memory.answers:
            there.setdefault(answer["order_id"], []).append(answer)
        for answers in (*here.values(), *there.values()):
            answers.sort(key=lambda answer: str(answer["type"]))
            for answer in answers:
                del answer["timestamp"]
        assert here == there
        assert {sku: stock_of(consumer_stage, sku) for sku in stock} == memory.stock

    def test_an_order_of_98_skus_with_the_largest_fields_is_reserved(self, consumer_stage: Stage) -> None:
        skus = [f"{n:02}{'x' * 62}" for n in range(98)]
        put_stock(consumer_stage, dict.fromkeys(skus, 1))
        batch = [
            reserve("o" * 128, dict.fromkeys(skus, 1), customer_id="😀" * 256),
            reserve("p" * 128, dict.fromkeys(skus, 10**9), customer_id="\uffff" * 256),
        ]
        assert invoke(*batch) == []
        assert {
            order: [a["type"] for a in answers] for order, answers in answers_by_order(consumer_stage).items()
        } == {
            "o" * 128: ["InventoryReserved"],
            "p" * 128: ["InventoryReservationFailed"],
        }

    def test_a_batch_that_needs_several_transactions_is_settled(self, consumer_stage: Stage) -> None:
        stock = {f"S{n}": 40 for n in range(30)}
        put_stock(consumer_stage, stock)
        batch = [reserve(f"o{n}", {f"S{n % 30}": 1, f"S{n % 7}": 1}) for n in range(1_000)]
        assert invoke(*batch) == []
        check(read_state(consumer_stage, [text(body) for body in batch]), stock)


class TestLostResponses:
    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_a_transaction_whose_response_is_lost_is_never_applied_twice(
        self, consumer_stage: Stage, count: int
    ) -> None:
        """One loss is met by botocore's own retry, more of them by ours."""
        put_stock(consumer_stage, {"A": 5})
        lost = lose_responses(bootstrap.dynamodb(), "TransactWriteItems", count)
        batch = [reserve("a", {"A": 2}), reserve("b", {"A": 2})]
        assert invoke(*batch) == []
        assert len(lost) == count
        assert stock_of(consumer_stage, "A") == 1
        check(read_state(consumer_stage, [text(body) for body in batch]), {"A": 5})

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_a_release_whose_response_is_lost_returns_stock_once(
        self, consumer_stage: Stage, count: int
    ) -> None:
        put_stock(consumer_stage, {"A": 5})
        batch = [reserve("a", {"A": 2}), release("a")]
        assert invoke(batch[0]) == []
        lost = lose_responses(bootstrap.dynamodb(), "TransactWriteItems", count)
        assert invoke(batch[1]) == []
        assert len(lost) == count
        assert stock_of(consumer_stage, "A") == 5
        check(read_state(consumer_stage, [text(body) for body in batch]), {"A": 5})

    def test_a_removal_from_the_outbox_whose_response_is_lost_leaves_the_order_settled(
        self, consumer_stage: Stage
    ) -> None:
        put_stock(consumer_stage, {"A": 5})
        lose_responses(bootstrap.dynamodb(), "DeleteItem", 2)
        body = reserve("a", {"A": 2})
        assert invoke(body) == []
        assert RoundTrips().operations_of(body, receives=2) == ["BatchGetItem"]
        check(read_state(consumer_stage, [text(body)]), {"A": 5})


def at(operation: str, fault: Fault) -> Any:
    """A fault at the first call of an operation."""
    waiting = [fault]

    def faults(call: Call) -> Fault | None:
        return waiting.pop() if waiting and call.operation == operation else None

    return faults


class TestCrashes:
    @pytest.mark.parametrize(
        ("operation", "fault", "sent"),
        [
            ("transact_write_items", crash_before, 1),
            ("transact_write_items", crash_after, 1),
            ("send_message_batch", crash_before, 1),
            ("send_message_batch", crash_after, 2),
            ("delete_item", crash_before, 2),
            ("delete_item", crash_after, 1),
        ],
    )
    @pytest.mark.parametrize("kind", ["reserve", "release"])
    def test_a_redelivery_takes_stock_once_and_the_sweep_sends_the_answer(
        self, consumer_stage: Stage, kind: str, operation: str, fault: Fault, sent: int
    ) -> None:
        put_stock(consumer_stage, {"A": 5})
        deadline = ConsumerHarness(clock=FakeClock(time.time())).deadline
        batch = [reserve("o", {"A": 2})]
        if kind == "release":
            assert invoke(*batch) == []
            drain(consumer_stage, consumer_stage.oms_queue_url)
            batch = [release("o")]
        dying = consumer_on(consumer_stage, CheckingScript(at(operation, fault)))
        with pytest.raises(Crash):
            dying.settle([message(body) for body in batch], deadline())
        assert invoke(*batch, receives=2) == []
        sweep_on(consumer_stage).run(later())
        assert stock_of(consumer_stage, "A") == (3 if kind == "reserve" else 5)
        answers = answers_by_order(consumer_stage)["o"]
        assert len(answers) == sent
        assert all(answer == answers[0] for answer in answers)
        expected = AnswerType.RESERVED if kind == "reserve" else AnswerType.RELEASED
        assert answers[0]["event_id"] == event_id("o", expected)
        assert RoundTrips().operations_of(*batch, receives=3) == ["BatchGetItem"]
        state = read_state(consumer_stage, [])
        assert state.outbox == []


class TestRecordsOfVersion11:
    """Until then no outbox owed the answers: a record said when they were sent."""

    FIRST = text({"type": "InventoryReserved", "event_id": "e1", "order_id": "o", "timestamp": "t1"})
    SECOND = text({"type": "InventoryReleased", "event_id": "e2", "order_id": "o", "timestamp": "t2"})

    def put(self, stage: Stage, outcome: str, **texts: str) -> None:
        """Write a record as version 1.1 did."""
        names = {"order_id": "o", "customer_id": "c", "outcome": outcome, "event": self.FIRST, **texts}
        item: dict[str, Any] = {
            **{name: {"S": content} for name, content in names.items()},
            "items": {"M": {"A": {"N": "2"}}},
            "created_at": {"S": "t1"},
            "ttl": {"N": "9999999999"},
        }
        stage.dynamodb.put_item(TableName=stage.tables.processed_events_table, Item=item)

    @pytest.mark.parametrize("receives", [1, 2])
    def test_an_order_whose_answer_nobody_sent_is_answered_once_its_message_comes_again(
        self, consumer_stage: Stage, receives: int
    ) -> None:
        self.put(consumer_stage, "RESERVED")
        for _ in range(2):
            assert invoke(reserve("o", {"A": 2}), receives=receives) == []
        state = read_state(consumer_stage, [])
        assert (state.answers, state.outbox, state.inventory) == ([self.FIRST], [], [])

    def test_a_release_whose_answer_nobody_sent_is_answered_once_its_message_comes_again(
        self, consumer_stage: Stage
    ) -> None:
        self.put(consumer_stage, "RELEASED", published_at="t1", release_event=self.SECOND)
        for _ in range(2):
            assert invoke(release("o"), receives=2) == []
        state = read_state(consumer_stage, [])
        assert (state.answers, state.outbox, state.inventory) == ([self.SECOND], [], [])

    def test_a_release_of_an_order_whose_answer_nobody_sent_leaves_both_answers_to_send(
        self, consumer_stage: Stage
    ) -> None:
        put_stock(consumer_stage, {"A": 1})
        self.put(consumer_stage, "RESERVED")
        assert invoke(release("o")) == []
        assert stock_of(consumer_stage, "A") == 3
        state = read_state(consumer_stage, [])
        assert sorted(json.loads(body)["type"] for body in state.answers) == [
            "InventoryReleased",
            "InventoryReserved",
        ]
        assert state.outbox == []

    def test_an_order_that_is_answered_gets_no_other_answer(self, consumer_stage: Stage) -> None:
        self.put(
            consumer_stage,
            "RELEASED",
            published_at="t1",
            release_event=self.SECOND,
            release_published_at="t2",
        )
        assert invoke(release("o"), reserve("o", {"A": 2}), receives=2) == []
        state = read_state(consumer_stage, [])
        assert (state.answers, state.outbox) == ([], [])


def test_messages_from_the_queue_are_answered_and_poison_moves_to_the_dlq(consumer_stage: Stage) -> None:
    stock = {"A": 12, "B": 3}
    put_stock(consumer_stage, stock)
    batch = [reserve(f"o{n}", {"A": 1, "B": n % 2 + 1}) for n in range(12)]
    batch += [release(f"o{n}") for n in range(0, 12, 3)]
    bodies = [text(body) for body in batch] + ["poison", text({"type": "Unknown", "order_id": "o"})]
    for body in bodies:
        consumer_stage.sqs.send_message(QueueUrl=consumer_stage.inventory_queue_url, MessageBody=body)
    # Failed messages are redelivered at once.
    consumer_stage.sqs.set_queue_attributes(
        QueueUrl=consumer_stage.inventory_queue_url, Attributes={"VisibilityTimeout": "0"}
    )
    poller = Poller(
        consumer_stage.sqs,
        consumer_stage.inventory_queue_url,
        app.on_sqs_message,
        time_limit=30,
        wait_seconds=0,
    )
    received: Counter[int] = Counter()
    while count := poller.poll():
        received[count] += 1
        assert received.total() < 50, "the queue does not get empty"
    state = read_state(consumer_stage, bodies)
    assert sorted(state.dead) == sorted(bodies[-2:])
    check(state, stock)
