"""Any messages, calls, faults and sweeps in any order: the invariants hold after each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from chalicelib.domain.commands import ChangeOrder, ChangeType, Reserve
from chalicelib.errors import AwsError, Contended, NotFound, OperationIdReused, OrderIdReused, OrderRejected
from tests.support.engines import Crash
from tests.support.engines.faults import (
    Conflict,
    crash_after,
    crash_before,
    throttled,
    timed_out_after_effect,
    unreachable,
)
from tests.support.messages import confirm, extend, fulfill, release, reserve
from tests.unit.consumer.consumer_harness import (
    READ,
    REMOVE,
    SEND,
    TRANSACT,
    ConsumerHarness,
    as_version_1_1,
)

ORDERS = st.sampled_from(["o", "p", "q"])
UNITS = st.dictionaries(st.sampled_from(["A", "B", "X"]), st.integers(1, 4), min_size=1, max_size=2)
NAMES = st.sampled_from(["x1", "x2", "x3"])
ENDS = st.sampled_from(["2025-06-15T15:00:00Z", "2025-06-15T15:30:00Z", "2025-06-15T17:00:00.000Z"])

MESSAGES = st.one_of(
    st.builds(reserve, ORDERS, UNITS),
    st.builds(lambda order, units, end: reserve(order, units, expires_at=end), ORDERS, UNITS, ENDS),
    st.builds(confirm, ORDERS),
    st.builds(lambda order: confirm(order, timestamp="x"), ORDERS),
    st.builds(extend, ORDERS, NAMES, ENDS),
    st.builds(fulfill, ORDERS),
    st.builds(fulfill, ORDERS, NAMES, UNITS),
    st.builds(release, ORDERS),
    st.builds(release, ORDERS, st.sampled_from(["w1", "w2"])),  # a part under such an id would be a mistake
    st.builds(release, ORDERS, NAMES, UNITS),
    st.builds(lambda order, name: release(order, name, {"A": 0}), ORDERS, NAMES),
)
CALLS = st.one_of(
    st.builds(
        lambda order, units, end: Reserve(order, "c", units, expires_at=end), ORDERS, UNITS, st.none() | ENDS
    ),
    st.builds(lambda order: ChangeOrder(order, ChangeType.CONFIRM, "ConfirmInventory"), ORDERS),
    st.builds(
        lambda order, name, end: ChangeOrder(order, ChangeType.EXTEND, name, expires_at=end),
        ORDERS,
        NAMES,
        ENDS,
    ),
    st.builds(lambda order: ChangeOrder(order, ChangeType.RELEASE, "ReleaseInventory"), ORDERS),
    st.builds(
        lambda order, name, units: ChangeOrder(order, ChangeType.FULFILL, name, units), ORDERS, NAMES, UNITS
    ),
)
FAULTS = st.tuples(
    st.sampled_from([READ, TRANSACT, SEND, REMOVE]),
    st.sampled_from(
        [throttled, unreachable, timed_out_after_effect, crash_before, crash_after, Conflict([0])]
    ),
)

Step = Callable[[ConsumerHarness], None]


def batch(messages: list[Any], receives: int) -> Step:
    def step(harness: ConsumerHarness) -> None:
        harness.settle(*messages, receives=receives)

    return step


def call(command: Any) -> Step:
    def step(harness: ConsumerHarness) -> None:
        service = harness.orders
        do: Any = service.reserve if isinstance(command, Reserve) else service.change
        try:
            do(command, harness.deadline())
        except (OrderRejected, OrderIdReused, OperationIdReused, NotFound, AwsError, Contended) as refused:
            event(type(refused).__name__)

    return step


def pause(seconds: float) -> Step:
    return lambda harness: harness.end_holds(after=seconds)


def fault(broken: tuple[str, Any]) -> Step:
    return lambda harness: harness.fail(*broken)


def older(order_id: str) -> Step:
    """An open record becomes one of version 1.1, if that could have written it."""

    def step(harness: ConsumerHarness) -> None:
        record = harness.record(order_id) or {}
        newer = {"operations", "due_at", "queued", "fulfilled"}
        if record.get("outcome") == {"S": "RESERVED"} and "change" in record and not record.keys() & newer:
            as_version_1_1(harness, order_id)

    return step


STEPS = st.one_of(
    st.builds(batch, st.lists(MESSAGES, min_size=1, max_size=5), st.integers(1, 2)),
    st.builds(batch, st.lists(MESSAGES, min_size=1, max_size=5), st.integers(1, 2)),
    st.builds(call, CALLS),
    st.builds(pause, st.sampled_from([60.0, 1_400.0, 7_200.0])),
    st.builds(fault, FAULTS),
    st.builds(older, ORDERS),
    st.just(lambda harness: harness.sweep()),
)


@settings(max_examples=100)
@given(st.lists(STEPS, max_size=12))
def test_the_invariants_hold_after_any_steps(steps: list[Step]) -> None:
    harness = ConsumerHarness({"A": 9, "B": 5})
    for step in steps:
        try:
            step(harness)
        except (Crash, AwsError):
            harness.consumer = harness.new_consumer()
        harness.check()
    harness.script.faults.clear()
    harness.sweep()
    harness.check()
    assert harness.outbox == []
    assert not [error for error in harness.script.errors if isinstance(error, AssertionError)]
