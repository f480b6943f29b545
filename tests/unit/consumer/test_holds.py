"""The sweep of holds: what it ends, leaves and tells, and what it does when it fails half way."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.errors import Throttled
from chalicelib.store.items import HOLD_SHARDS, shard_of
from tests.support.engines import Crash
from tests.support.engines.faults import crash_after, crash_before, throttled
from tests.support.engines.network import Call
from tests.support.messages import confirm, extend, fulfill, lines, release, reserve
from tests.unit.consumer.consumer_harness import (
    FOREVER,
    HAPPY_PATH,
    QUERY,
    READ,
    SEND,
    TRANSACT,
    ConsumerHarness,
    if_it_names,
    refused,
)
from tests.unit.consumer.test_metrics_and_logs import emitted

HOUR = 3600.0
END = "2025-06-15T16:06:40.000Z"


def holding(count: int = 1, **options: Any) -> ConsumerHarness:
    """Holds of one unit each, which end after an hour."""
    harness = ConsumerHarness({"A": 10_000}, **options)
    assert harness.settle(*(reserve(f"o{n}", {"A": 1}, expires_at=END) for n in range(count))) == []
    return harness


def same_shard(count: int) -> list[str]:
    names = (f"o{n}" for n in range(100_000))
    return [name for name in names if shard_of(name) == "0"][:count]


def held(harness: ConsumerHarness) -> int:
    return harness.reserved["A"]


class TestEnds:
    def test_without_holds_it_reads_each_part_of_the_index_once(self) -> None:
        harness = ConsumerHarness()
        harness.end_holds()
        assert harness.calls == [QUERY] * HOLD_SHARDS

    def test_a_hold_that_has_ended_is_released_and_answered(self) -> None:
        harness = holding()
        harness.end_holds(after=HOUR + 5)
        assert [call for call in harness.calls if call != QUERY] == [READ, *HAPPY_PATH]
        assert (harness.stock, harness.reserved) == ({"A": 10_000}, {"A": 0})
        got = harness.answers[-1]
        assert (got["type"], got["reason"], got["expired_at"]) == ("InventoryReleased", "EXPIRED", END)
        assert (got["items"], got["remaining"]) == (lines({"A": 1}), [])
        record = harness.record("o0")
        assert record is not None
        assert (record["outcome"], "ttl" in record) == ({"S": "RELEASED"}, True)
        harness.check()

    @pytest.mark.parametrize("seconds", [0.0, HOUR - 1, HOUR, HOUR + 4.9])
    def test_no_hold_is_released_before_its_end_and_the_grace(self, seconds: float) -> None:
        harness = holding()
        harness.end_holds(after=seconds)
        assert harness.calls == [QUERY] * HOLD_SHARDS
        assert held(harness) == 1

    def test_what_is_shipped_before_stays_shipped(self) -> None:
        harness = ConsumerHarness({"A": 9})
        harness.settle(reserve("o", {"A": 3}, expires_at=END), fulfill("o", "F", {"A": 1}))
        harness.end_holds(after=HOUR + 5)
        assert (harness.stock, harness.reserved) == ({"A": 8}, {"A": 0})
        record = harness.record("o")
        assert record is not None
        assert record["outcome"] == {"S": "FULFILLED"}
        harness.check()

    def test_it_ends_once(self) -> None:
        harness = holding()
        harness.end_holds(after=HOUR + 5)
        harness.end_holds(after=60)
        assert harness.calls == [QUERY] * HOLD_SHARDS
        assert harness.answer_types() == {"o0": ["Reserved", "Released"]}

    def test_holds_of_all_parts_are_ended(self) -> None:
        harness = holding(60)
        harness.end_holds(after=HOUR + 5)
        assert held(harness) == 0
        assert harness.counts[TRANSACT] == HOLD_SHARDS
        harness.check()

    def test_more_holds_than_a_page_has_are_ended(self) -> None:
        harness = ConsumerHarness({"A": 10_000})
        names = same_shard(230)
        harness.settle(*(reserve(name, {"A": 1}, expires_at=END) for name in names))
        harness.end_holds(after=HOUR + 5)
        assert harness.counts[QUERY] == HOLD_SHARDS + 2
        assert held(harness) == 0
        harness.check()


class TestRaces:
    @pytest.mark.parametrize(
        ("message", "left"),
        [
            (confirm("o0"), 1),
            (extend("o0", "E", "2025-06-16T00:00:00Z"), 1),
            (release("o0"), 0),
            (fulfill("o0"), 0),
        ],
    )
    @pytest.mark.parametrize("operation", [READ, TRANSACT])
    def test_a_change_that_comes_first_wins(self, message: dict[str, Any], left: int, operation: str) -> None:
        harness = holding()

        def overtaken(call: Call) -> Any:
            assert harness.settle(message) == []
            return call.proceed()

        harness.fail(operation, overtaken)
        harness.end_holds(after=HOUR + 5)
        assert held(harness) == left
        assert "EXPIRED" not in {answer.get("reason") for answer in harness.answers}
        harness.check()

    def test_an_index_that_lags_ends_nothing_that_is_firm(self) -> None:
        harness = holding(index_lag=0.0)
        harness.stage.clock.advance(HOUR + 5)
        harness.settle(confirm("o0"))
        harness.stage.dynamodb.index_lag = 60.0
        harness.end_holds(after=1)
        assert (harness.counts[READ], harness.counts[TRANSACT]) == (1, 0)
        assert held(harness) == 1
        harness.check()

    def test_two_sweeps_at_once_end_a_hold_once(self) -> None:
        harness = holding()

        def another(call: Call) -> Any:
            harness.end_holds()
            return call.proceed()

        harness.fail(TRANSACT, another)
        harness.end_holds(after=HOUR + 5)
        assert held(harness) == 0
        assert harness.answer_types() == {"o0": ["Reserved", "Released"]}
        harness.check()


class TestFailures:
    def test_an_order_that_fails_holds_back_no_other(self) -> None:
        harness = holding(60)
        harness.fail(TRANSACT, *[if_it_names("o7", refused("ValidationException"))] * FOREVER)
        harness.end_holds(after=HOUR + 5)
        assert held(harness) == 1
        harness.script.faults.clear()
        harness.end_holds(after=60)
        assert held(harness) == 0
        harness.check()

    def test_a_part_with_more_holds_than_there_is_time_for_holds_back_no_other(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness({"A": 10_000})
        many = same_shard(1_000)
        others = [name for n in range(20) if shard_of(name := f"x{n}") != "0"]
        harness.settle(*(reserve(name, {"A": 1}, expires_at=END) for name in [*many, *others]))
        emitted(capsys)
        harness.script.seconds = 0.4
        harness.end_holds(after=HOUR + 65)
        left = {
            name for name in [*many, *others] if (harness.record(name) or {})["outcome"]["S"] == "RESERVED"
        }
        assert 0 < len(left) < len(many)
        assert left <= set(many)
        assert emitted(capsys)["HoldsOverdue"] == [65.0]
        for _ in range(10):
            harness.end_holds(after=60)
        assert held(harness) == 0

    @pytest.mark.parametrize("fault", [crash_before, crash_after])
    @pytest.mark.parametrize("operation", [QUERY, READ, TRANSACT, SEND])
    def test_a_sweep_that_dies_leaves_the_rest_to_the_next(self, operation: str, fault: Any) -> None:
        harness = holding(20)
        harness.fail(operation, fault)
        with pytest.raises(Crash):
            harness.end_holds(after=HOUR + 5)
        harness.check()
        harness.end_holds(after=60)
        harness.sweep()
        assert held(harness) == 0
        assert all(set(types) == {"Reserved", "Released"} for types in harness.answer_types().values())
        harness.check()

    def test_an_oms_queue_that_is_away_fills_the_outbox(self) -> None:
        harness = holding(20)
        harness.fail(SEND, *[refused("AccessDenied")] * FOREVER)
        harness.end_holds(after=HOUR + 5)
        assert held(harness) == 0
        assert sum(map(len, harness.outbox)) == 20
        harness.check()


class TestTold:
    def test_what_was_ended_is_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        harness = holding(3)
        emitted(capsys)
        harness.end_holds(after=HOUR + 35)
        values = emitted(capsys)
        assert sum(values["HoldsExpired"]) == 3
        assert values["HoldsOverdue"] == [35.0]
        assert "OrdersReleased" not in values

    def test_that_nothing_is_due_is_told_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        ConsumerHarness().end_holds()
        assert emitted(capsys) == {"HoldsOverdue": [0.0]}

    def test_a_sweep_that_cannot_read_the_index_is_silent_and_fails(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = holding()
        emitted(capsys)
        harness.fail(QUERY, None, throttled)
        with pytest.raises(Throttled):
            harness.end_holds(after=HOUR + 5)
        with pytest.warns(UserWarning, match="No application metrics"):
            assert emitted(capsys) == {}

    def test_a_sweep_without_time_to_read_the_index_is_silent(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        harness = ConsumerHarness()
        harness.script.seconds = 30.0
        harness.end_holds()
        assert 0 < harness.counts[QUERY] < HOLD_SHARDS
        with pytest.warns(UserWarning, match="No application metrics"):
            assert emitted(capsys) == {}
