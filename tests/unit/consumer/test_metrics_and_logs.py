"""What operators see: EMF metrics on standard output, and the log."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from chalicelib.aws.deadline import MARGIN_SECONDS, Deadline
from chalicelib.consumer.report import MAX_IDS
from chalicelib.handlers.inventory_queue import handle
from chalicelib.telemetry import NAMESPACE, SERVICE, metrics
from tests.support.engines.errors import invalid
from tests.support.engines.faults import Conflict, Partial, throttled
from tests.support.engines.network import Call
from tests.support.messages import confirm, extend, fulfill, release, reserve, text
from tests.unit.consumer.conftest import Logs
from tests.unit.consumer.consumer_harness import READ, REMOVE, SEND, TRANSACT, ConsumerHarness

SECRET = "customer with a secret name"

Values = dict[str, list[float]]


def emitted(capsys: pytest.CaptureFixture[str]) -> Values:
    """All values by metric, `OrdersRejected` by metric and reason; flushes the metrics first."""
    metrics.flush_metrics()
    values: Values = defaultdict(list)
    for line in capsys.readouterr().out.splitlines():
        blob = json.loads(line)
        for group in blob["_aws"]["CloudWatchMetrics"]:
            assert group["Namespace"] == NAMESPACE
            assert blob["service"] == SERVICE
            dimensions = [{"service", "reason"}] if "reason" in blob else [{"service"}]
            assert [set(names) for names in group["Dimensions"]] == dimensions
            for metric in group["Metrics"]:
                name = metric["Name"] + ("/" + blob["reason"] if "reason" in blob else "")
                units = {"TimeToAnswer": "Milliseconds", "OutboxAge": "Seconds", "HoldsOverdue": "Seconds"}
                assert metric["Unit"] == units.get(name, "Count")
                got = blob[metric["Name"]]
                values[name] += got if isinstance(got, list) else [got]
    return dict(values)


class TestMetrics:
    def test_metrics_of_a_batch_without_faults(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        messages = [harness.message(reserve(f"o{n}", {"A": 1})) for n in range(3)]
        harness.stage.clock.advance(1.5)
        harness.deliver(messages)
        assert emitted(capsys) == {
            "BatchSize": [3],
            "GroupSize": [3],
            "OrdersReserved": [3],
            "TimeToAnswer": [1500, 1500, 1500],
            "MessagesFailed": [0],
        }

    def test_rejections_are_counted_by_reason(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(
            reserve("a", {"A": 1}),
            reserve("b", {"A": 1}),
            reserve("c", {"A": 1}),
            reserve("d", {"X": 1}),
            reserve("e", {}),
            reserve("f", {f"S{n}": 1 for n in range(100)}),
        )
        values = emitted(capsys)
        assert values["OrdersReserved"] == [1]
        assert {name: value for name, value in values.items() if "/" in name} == {
            "OrdersRejected/INSUFFICIENT_STOCK": [2],
            "OrdersRejected/SKU_NOT_FOUND": [1],
            "OrdersRejected/INVALID_REQUEST": [1],
            "OrdersRejected/TOO_MANY_ITEMS": [1],
        }

    def test_releases_are_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(*(reserve(f"o{n}", {"A": 1}) for n in range(3)))
        emitted(capsys)
        harness.settle(*(release(f"o{n}") for n in range(4)))
        values = emitted(capsys)
        assert (values["OrdersReleased"], values["GroupSize"], values["BatchSize"]) == ([4], [4], [4])
        assert len(values["TimeToAnswer"]) == 4

    def test_changes_are_counted_by_kind_and_refused_ones_by_reason(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        end = "2025-06-15T16:06:40Z"
        harness.settle(*(reserve(f"o{n}", {"A": 1}, expires_at=end) for n in range(5)))
        emitted(capsys)
        failed = harness.settle(
            confirm("o0"),
            confirm("o1"),
            extend("o2", "E", end),
            fulfill("o0"),
            release("o1"),
            release("o3", "R", {"A": 2}),
            fulfill("o4", "F", {"A": 0}),
            extend("o1", "E", end),
            confirm("unknown"),
            fulfill("unknown"),
        )
        assert failed == [8, 9]
        values = emitted(capsys)
        assert len(values.pop("TimeToAnswer")) == 8
        assert values == {
            "BatchSize": [10],
            "GroupSize": [8],
            "OrdersConfirmed": [2],
            "HoldsExtended": [1],
            "OrdersFulfilled": [1],
            "OrdersReleased": [1],
            "ChangesRejected/MORE_THAN_HELD": [1],
            "ChangesRejected/INVALID_REQUEST": [1],
            "ChangesRejected/NOT_RESERVED": [1],
            "ChangesOfUnknownOrders": [2],
            "MessagesFailed": [2],
        }

    def test_a_late_confirmation_is_counted_as_a_change(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        end = "2025-06-15T16:06:40Z"
        harness.settle(*(reserve(name, {"A": 4}, expires_at=end) for name in ("a", "b")))
        harness.end_holds(after=3_700)
        harness.settle(reserve("c", {"A": 5}))
        emitted(capsys)
        harness.settle(confirm("a"), confirm("b"))
        values = emitted(capsys)
        assert values["OrdersConfirmed"] == [1]
        assert values["ChangesRejected/EXPIRED"] == [1]
        assert "OrdersReserved" not in values
        assert len(values["TimeToAnswer"]) == 2

    def test_aged_orders_are_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.consumer = replace(harness.consumer, aging=timedelta(hours=1))
        harness.settle(reserve("a", {"A": 1}))
        emitted(capsys)
        harness.end_holds(after=3_700)
        values = emitted(capsys)
        assert values["OrdersAged"] == [1]
        assert "OrdersFulfilled" not in values

    def test_a_repeated_change_is_a_duplicate(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(reserve("a", {"A": 1}))
        harness.settle(confirm("a"))
        emitted(capsys)
        harness.settle(confirm("a"))
        values = emitted(capsys)
        assert values["Duplicates"] == [1]
        assert "OrdersConfirmed" not in values

    def test_duplicates_mismatches_and_poison_are_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(reserve("a", {"A": 1}), reserve("b", {"A": 1}))
        emitted(capsys)
        assert harness.settle(
            reserve("a", {"A": 1}), reserve("b", {"A": 2}), reserve("c", {"A": 1}), "{", "[]"
        ) == [3, 4]
        values = emitted(capsys)
        assert values["Duplicates"] == [2]
        assert values["MismatchedOrders"] == [1]
        assert values["PoisonMessages"] == [2]
        assert values["MessagesFailed"] == [2]
        assert values["OrdersReserved"] == [1]
        assert len(values["TimeToAnswer"]) == 1

    def test_different_items_under_one_order_id_in_one_batch_are_a_mismatch(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(reserve("a", {"A": 1}), reserve("a", {"A": 2}))
        assert emitted(capsys)["MismatchedOrders"] == [1]

    def test_a_reserve_that_meets_a_tombstone_is_no_mismatch(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(release("a"), reserve("a", {"A": 1}))
        values = emitted(capsys)
        assert "MismatchedOrders" not in values
        assert values["OrdersReleased"] == [1]

    def test_retries_are_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(TRANSACT, throttled, Conflict([0]))
        harness.settle(reserve("a", {"A": 1}))
        assert emitted(capsys)["Retries"] == [1, 1]

    def test_failed_messages_are_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(TRANSACT, *[throttled] * 1_000)
        twice = reserve("a", {"A": 1})
        assert harness.settle(twice, twice) == [0, 1]
        values = emitted(capsys)
        assert values["MessagesFailed"] == [2]
        assert "TimeToAnswer" not in values

    def test_answers_that_stay_in_the_outbox_are_counted_as_delayed(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, Partial([0], "InvalidMessageContents", sender_fault=True))
        assert harness.settle(reserve("a", {"A": 1}), reserve("b", {"A": 1})) == []
        values = emitted(capsys)
        assert values["AnswersDelayed"] == [1]
        assert values["MessagesFailed"] == [0]
        assert len(values["TimeToAnswer"]) == 1

    def test_an_answer_that_sweeps_cannot_send_either_is_delayed_once(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, *[Partial([0], "InvalidMessageContents", sender_fault=True)] * 3)
        harness.settle(reserve("a", {"A": 1}))
        harness.sweep()
        harness.sweep()
        values = emitted(capsys)
        assert values["AnswersDelayed"] == [1]
        assert (values["AnswersOwed"], values["AnswersSwept"]) == ([1, 1], [0, 0])

    def test_a_sweep_tells_what_it_found_and_what_it_sent(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.crash_before_call(SEND, reserve("a", {"A": 1}), reserve("b", {"A": 1}))
        emitted(capsys)
        harness.sweep(after=40)
        values = emitted(capsys)
        assert (values["AnswersOwed"], values["OutboxAge"], values["AnswersSwept"]) == ([2], [40], [2])
        harness.sweep(after=60)
        values = emitted(capsys)
        assert (values["AnswersOwed"], values["OutboxAge"], values["AnswersSwept"]) == ([0], [0], [0])

    def test_a_sweep_counts_answers_and_not_orders(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.crash_before_call(SEND, reserve("a", {"A": 1}))
        harness.crash_before_call(SEND, release("a"))
        emitted(capsys)
        harness.sweep()
        values = emitted(capsys)
        assert (values["AnswersOwed"], values["AnswersSwept"]) == ([2], [2])

    def test_a_sweep_that_cannot_read_the_outbox_does_not_report_it_as_empty(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail("scan", throttled)
        with pytest.raises(Exception, match="throttled"):
            harness.sweep()
        with pytest.warns(UserWarning, match="No application metrics"):
            assert emitted(capsys) == {}

    def test_every_message_of_an_order_has_its_own_time_to_answer(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        early = harness.message(reserve("a", {"A": 1}))
        harness.stage.clock.advance(2)
        late = harness.message(reserve("a", {"A": 1}))
        harness.stage.clock.advance(1)
        harness.deliver([early, late])
        assert sorted(emitted(capsys)["TimeToAnswer"]) == [1000, 3000]

    def test_a_sender_with_a_fast_clock_causes_no_negative_time(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        message = harness.message(reserve("a", {"A": 1}))
        harness.stage.clock.advance(-5)
        harness.deliver([message])
        assert emitted(capsys)["TimeToAnswer"] == [0]

    def test_more_orders_than_one_emf_document_holds_are_counted(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 999})
        harness.settle(*(reserve(f"o{n}", {"A": 1}) for n in range(250)))
        values = emitted(capsys)
        assert len(values["TimeToAnswer"]) == 250
        assert sum(values["OrdersReserved"]) == 250
        assert values["GroupSize"] == [98, 98, 54]


class TestLogs:
    def test_orders_are_logged_with_their_outcomes(self, logs: Logs) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("a", {"A": 1}), reserve("b", {"A": 1}))
        (entry,) = logs()
        assert entry["reserved"] == ["a"]
        assert entry["rejected"] == {"b": "INSUFFICIENT_STOCK"}

    def test_poison_is_logged_with_its_message_id(self, logs: Logs) -> None:
        harness = ConsumerHarness()
        harness.settle("{")
        (entry,) = logs()
        assert (entry["level"], entry["message_id"]) == ("ERROR", "m0")
        assert entry["reason"] == "the body is not JSON"

    def test_a_failed_order_is_logged_with_its_error(self, logs: Logs) -> None:
        harness = ConsumerHarness({"A": 9})

        def refuse(call: Call) -> Any:
            raise call.refuse(invalid("no"))

        harness.fail(TRANSACT, refuse)
        assert harness.settle(reserve("a", {"A": 1})) == [0]
        (entry,) = [entry for entry in logs() if entry["level"] == "ERROR"]
        assert entry["orders"] == ["a"]
        assert "ValidationException" in json.dumps(entry)

    def test_orders_left_at_the_time_limit_are_logged(self, logs: Logs) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(TRANSACT, *[throttled] * 1_000)
        assert harness.settle(reserve("a", {"A": 1})) == [0]
        assert any("a" in entry.get("orders", ()) for entry in logs())

    def test_the_orders_of_a_huge_batch_are_logged_in_lines_below_256_kib(
        self, output: io.StringIO, logs: Logs
    ) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(TRANSACT, *[throttled] * 1_000)
        ids = [f"{number}".ljust(128, "x") for number in range(5_000)]
        assert harness.settle(*(reserve(order_id, {"A": units}) for order_id in ids for units in (1, 2)))
        for message in ("orders will be redelivered", "orders were received again with other items"):
            named = [entry["orders"] for entry in logs() if entry["message"].startswith(message)]
            assert [len(orders) for orders in named] == [MAX_IDS] * 12 + [200]
            assert sorted(order_id for orders in named for order_id in orders) == sorted(ids)
        longest = max(len(line.encode()) for line in output.getvalue().splitlines())
        rest = longest - MAX_IDS * 128
        assert rest + MAX_IDS * 128 * 4 < 256 * 1024, "a character may take 4 bytes"

    def test_answers_that_stay_in_the_outbox_are_logged_with_a_reason(self, logs: Logs) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(SEND, Partial([0], "InvalidMessageContents", sender_fault=True))
        assert harness.settle(reserve("a", {"A": 1}), reserve("b", {"A": 1})) == []
        (entry,) = [entry for entry in logs() if entry["level"] == "WARNING"]
        assert (entry["message"], entry["count"]) == ("answers stay in the outbox", 1)
        assert "InvalidMessageContents" in entry["reason"]

    def test_an_outbox_item_that_cannot_be_removed_is_logged(self, logs: Logs) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.fail(REMOVE, throttled)
        harness.settle(reserve("b", {"A": 1}))
        (entry,) = [entry for entry in logs() if entry["level"] == "WARNING"]
        assert entry["message"] == "answers sent but not removed from the outbox"

    @pytest.mark.parametrize(
        "quote",
        [
            lambda request: f"Value '{request}' at 'transactItems' failed to satisfy constraint",
            lambda request: f"Invalid parameter: {request}",
        ],
    )
    def test_the_customer_is_never_logged(
        self, output: io.StringIO, capsys: pytest.CaptureFixture[str], quote: Any
    ) -> None:
        harness = ConsumerHarness({"A": 9, "B": 0})

        def quoting(call: Call) -> Any:
            raise call.refuse(invalid(quote(call.parameters)))

        def unexpected(call: Call) -> Any:
            raise KeyError(quote(call.parameters))

        for operation, fault in product((TRANSACT, SEND, REMOVE, READ), (quoting, unexpected, throttled)):
            batch = [
                reserve(f"a-{operation}-{fault.__name__}", {"A": 1}, customer_id=SECRET),
                reserve(f"b-{operation}-{fault.__name__}", {"B": 1}, customer_id=SECRET),
                reserve(f"c-{operation}-{fault.__name__}", {"!": 1}, customer_id=SECRET),
                reserve(f"d-{operation}-{fault.__name__}", {"A": 1}, customer_id=[SECRET]),
                release(f"e-{operation}-{fault.__name__}", customer_id=SECRET, reason=[SECRET]),
                f'{{"customer_id": "{SECRET}"',
            ]
            harness.fail(operation, *[fault] * 1_000)
            harness.settle(*batch, receives=2)
            harness.settle(release(f"a-{operation}-{fault.__name__}", reason=SECRET))
            harness.script.faults.clear()
            assert harness.settle(*batch, receives=3) == [5]
        metrics.flush_metrics()
        assert "orders settled" in output.getvalue()
        assert SECRET not in output.getvalue()
        assert SECRET not in capsys.readouterr().out


class Context:
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> float:
        return 30_000


class TestHandler:
    def now(self) -> str:
        return datetime.now(UTC).isoformat()

    def event(self, *bodies: Any) -> dict[str, Any]:
        attributes = {"SentTimestamp": "1750000000000", "ApproximateReceiveCount": "1"}
        return {
            "Records": [
                {"messageId": f"m{n}", "body": text(body), "attributes": attributes}
                for n, body in enumerate(bodies)
            ]
        }

    def test_the_handler_returns_the_failed_messages_and_flushes_the_metrics(
        self, capsys: pytest.CaptureFixture[str], logs: Logs
    ) -> None:
        harness = ConsumerHarness({"A": 1})
        event = self.event(reserve("a", {"A": 1}, timestamp=self.now()), None, [1])
        response = handle(event, Context(), harness.consumer)
        assert response == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]}
        assert '"MessagesFailed":[2.0]' in capsys.readouterr().out.replace(" ", "")
        assert {entry["correlation_id"] for entry in logs()} == {"request-1"}

    def test_names_none_if_all_messages_are_settled(self) -> None:
        harness = ConsumerHarness({"A": 1})
        event = self.event(reserve("a", {"A": 1}, timestamp=self.now()))
        assert handle(event, Context(), harness.consumer) == {"batchItemFailures": []}

    def test_the_reserve_is_the_slowest_call_but_at_most_half_of_the_limit(self) -> None:
        class Limited(Context):
            def __init__(self, seconds: float) -> None:
                self.seconds = seconds

            def get_remaining_time_in_millis(self) -> float:
                return self.seconds * 1000

        assert Deadline.of(Limited(60)).remaining() == 60
        margins = {seconds: Deadline.of(Limited(seconds)).margin for seconds in (60, 20, 3)}
        assert margins == {60: MARGIN_SECONDS, 20: MARGIN_SECONDS, 3: 1.5}
