from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from chalicelib.core.adjustments import Adjustment, IdempotencyKey
from chalicelib.core.catalogue import Stock
from chalicelib.core.moments import iso
from chalicelib.errors import (
    Contended,
    IdempotencyKeyReused,
    ImsError,
    InsufficientStock,
    NotFound,
    StockLimit,
    Throttled,
    Unreachable,
)
from chalicelib.store.adjustments import Adjustments
from tests.support.engines import Call, Crash, FakeStage, Network, RandomFaults, Scripted, faults
from tests.support.engines.transactions import cancelled
from tests.unit.store.builders import NOW, change_items, concurrent_write, put_stock, quantity_of

KEY = IdempotencyKey("alice", "k-1")
MAX_QUANTITY = 10**12
RECEIVED = Adjustment(5, "RECEIVED", "po-7")


def only_reason(index: int) -> Any:
    """A fault: a cancelled transaction reports only one of its reasons."""

    def fault(call: Call) -> Any:
        reasons = call.client.cancellation_reasons(call.parameters["TransactItems"])
        assert reasons[index]["Code"] == "ConditionalCheckFailed"
        shown = [reason if at == index else {"Code": "None"} for at, reason in enumerate(reasons)]
        raise call.refuse(cancelled(shown))

    return fault


def test_an_adjustment_changes_the_stock_and_returns_it(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    assert adjustments.adjust("A", RECEIVED, NOW) == Stock("A", 7, iso(NOW))
    assert adjustments.adjust("A", Adjustment(-7, "LOST"), NOW).quantity == 0


def test_an_adjustment_takes_three_calls(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    stage.dynamodb.counts.clear()
    adjustments.adjust("A", RECEIVED, NOW, KEY)
    assert stage.dynamodb.counts == {"transact_write_items": 1, "get_item": 1, "update_item": 1}


def test_an_adjustment_is_recorded(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    adjustments.adjust("A", RECEIVED, NOW, KEY)
    (record,) = change_items(stage)
    assert record.pop("order_id").startswith("adjustment#")
    assert len(record.pop("fingerprint")) == 64
    assert record == {
        "sku": "A",
        "delta": "5",
        "reason": "RECEIVED",
        "reference": "po-7",
        "created_at": iso(NOW),
        "ttl": str(int((NOW + timedelta(days=90)).timestamp())),
        "answer": f'{{"sku": "A", "quantity": 7, "updated_at": "{iso(NOW)}"}}',
    }


def test_an_adjustment_without_a_reference_is_recorded_without_one(
    adjustments: Adjustments, stage: FakeStage
) -> None:
    put_stock(stage, "A", 2)
    adjustments.adjust("A", Adjustment(1, "RETURNED"), NOW)
    assert "reference" not in change_items(stage)[0]


@pytest.mark.parametrize(
    ("quantity", "delta", "error"),
    [
        (3, -4, InsufficientStock),
        (0, -1, InsufficientStock),
        (MAX_QUANTITY, 1, StockLimit),
        (MAX_QUANTITY - 4, 5, StockLimit),
    ],
)
def test_an_adjustment_beyond_a_bound_changes_nothing(
    adjustments: Adjustments, stage: FakeStage, quantity: int, delta: int, error: type[ImsError]
) -> None:
    put_stock(stage, "A", quantity)
    with pytest.raises(error, match=str(quantity)):
        adjustments.adjust("A", Adjustment(delta, "CORRECTION"), NOW, KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (quantity, [])


@pytest.mark.parametrize(("quantity", "delta"), [(4, -4), (MAX_QUANTITY - 5, 5), (MAX_QUANTITY, -1), (0, 1)])
def test_an_adjustment_may_reach_a_bound(
    adjustments: Adjustments, stage: FakeStage, quantity: int, delta: int
) -> None:
    put_stock(stage, "A", quantity)
    assert adjustments.adjust("A", Adjustment(delta, "CORRECTION"), NOW).quantity == quantity + delta


@pytest.mark.parametrize("key", [None, KEY])
def test_an_adjustment_creates_no_stock_for_an_unknown_sku(
    adjustments: Adjustments, stage: FakeStage, key: IdempotencyKey | None
) -> None:
    with pytest.raises(NotFound):
        adjustments.adjust("A", RECEIVED, NOW, key)
    with pytest.raises(NotFound):
        adjustments.set_quantity("A", 1, NOW, key=key)
    assert (quantity_of(stage, "A"), change_items(stage)) == (None, [])


def test_a_repeat_gets_the_first_result_and_changes_nothing(
    adjustments: Adjustments, stage: FakeStage
) -> None:
    put_stock(stage, "A", 2)
    first = adjustments.adjust("A", RECEIVED, NOW, KEY)
    adjustments.adjust("A", Adjustment(-1, "LOST"), NOW)
    assert adjustments.adjust("A", RECEIVED, NOW + timedelta(days=1), KEY) == first
    assert quantity_of(stage, "A") == 6


def test_a_repeat_takes_precedence_over_a_refusal(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 5)
    lost = Adjustment(-5, "LOST")
    first = adjustments.adjust("A", lost, NOW, KEY)
    assert adjustments.adjust("A", lost, NOW, KEY) == first
    with pytest.raises(IdempotencyKeyReused):
        adjustments.adjust("A", Adjustment(-6, "LOST"), NOW, KEY)


@pytest.mark.parametrize("index", [0, 1])
def test_a_repeat_is_recognised_from_any_reported_reason(
    adjustments: Adjustments, stage: FakeStage, script: Scripted, index: int
) -> None:
    put_stock(stage, "A", 5)
    lost = Adjustment(-5, "LOST")
    first = adjustments.adjust("A", lost, NOW, KEY)
    script.by_operation["transact_write_items"] = [only_reason(index)]
    assert adjustments.adjust("A", lost, NOW, KEY) == first


def test_a_repeat_for_a_deleted_sku_gets_the_first_result(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 5)
    first = adjustments.adjust("A", Adjustment(-5, "LOST"), NOW, KEY)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", None)]
    assert adjustments.adjust("A", Adjustment(-5, "LOST"), NOW, KEY) == first


@pytest.mark.parametrize(
    "other", [Adjustment(6, "RECEIVED", "po-7"), Adjustment(5, "RETURNED", "po-7"), Adjustment(5, "RECEIVED")]
)
def test_another_request_under_the_same_key_is_refused(
    adjustments: Adjustments, stage: FakeStage, other: Adjustment
) -> None:
    put_stock(stage, "A", 2)
    adjustments.adjust("A", RECEIVED, NOW, KEY)
    with pytest.raises(IdempotencyKeyReused):
        adjustments.adjust("A", other, NOW, KEY)
    assert quantity_of(stage, "A") == 7


def test_a_key_is_shared_by_setting_and_adjusting(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    adjustments.adjust("A", RECEIVED, NOW, KEY)
    with pytest.raises(IdempotencyKeyReused):
        adjustments.set_quantity("A", 5, NOW, key=KEY)
    assert quantity_of(stage, "A") == 7


def test_keys_belong_to_a_caller_and_a_sku(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 0)
    put_stock(stage, "B", 0)
    for sku, key in (("A", KEY), ("A", replace(KEY, principal="bob")), ("B", KEY), ("A", None), ("A", None)):
        adjustments.adjust(sku, RECEIVED, NOW, key)
    assert (quantity_of(stage, "A"), quantity_of(stage, "B"), len(change_items(stage))) == (20, 5, 5)


def test_a_refused_request_leaves_its_key_unused(adjustments: Adjustments, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    with pytest.raises(InsufficientStock):
        adjustments.adjust("A", Adjustment(-3, "LOST"), NOW, KEY)
    assert adjustments.adjust("A", RECEIVED, NOW, KEY).quantity == 7


@pytest.mark.parametrize("crash", [faults.crash_after, faults.timed_out_after_effect])
def test_a_repeat_after_a_crash_gets_a_result_and_stores_it(
    adjustments: Adjustments, stage: FakeStage, script: Scripted, crash: Any
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [crash]
    with pytest.raises((Crash, Unreachable)):
        adjustments.adjust("A", RECEIVED, NOW, KEY)
    assert "answer" not in change_items(stage)[0]
    put_stock(stage, "A", 8)
    first = adjustments.adjust("A", RECEIVED, NOW, KEY)
    put_stock(stage, "A", 9)
    assert adjustments.adjust("A", RECEIVED, NOW, KEY) == first
    assert first.quantity == 8


def test_the_first_stored_result_is_final(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    answers: list[Stock] = []

    def concurrent_repeat(call: Call) -> Any:
        put_stock(stage, "A", 100)
        answers.append(Adjustments(stage.dynamodb, stage.tables).adjust("A", RECEIVED, NOW, KEY))
        return call.proceed()

    script.by_operation["update_item"] = [concurrent_repeat]
    assert [adjustments.adjust("A", RECEIVED, NOW, KEY)] == answers
    assert answers[0].quantity == 100


def test_stock_that_was_deleted_concurrently_was_0(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 5)
    script.by_operation["get_item"] = [concurrent_write(stage, "A", None)]
    assert adjustments.adjust("A", Adjustment(-5, "LOST"), NOW) == Stock("A", 0, iso(NOW))


@pytest.mark.parametrize("operation", ["get_item", "update_item"])
def test_a_caller_with_a_key_may_retry_when_the_response_is_lost(
    adjustments: Adjustments, stage: FakeStage, script: Scripted, operation: str
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation[operation] = [faults.throttled]
    with pytest.raises(Throttled):
        adjustments.adjust("A", RECEIVED, NOW, KEY)
    assert adjustments.adjust("A", RECEIVED, NOW, KEY).quantity == 7


@pytest.mark.parametrize("operation", ["get_item", "update_item"])
def test_a_caller_without_a_key_may_not_retry_when_the_response_is_lost(
    adjustments: Adjustments, stage: FakeStage, script: Scripted, operation: str
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation[operation] = [faults.throttled]
    with pytest.raises(Unreachable):
        adjustments.adjust("A", RECEIVED, NOW)
    assert quantity_of(stage, "A") == 7


def test_an_unexplained_cancellation_is_contention(
    adjustments: Adjustments, stage: FakeStage, script: Scripted
) -> None:
    def unexplained(call: Call) -> Any:
        reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
        raise call.refuse(cancelled(reasons))

    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [unexplained]
    with pytest.raises(Contended):
        adjustments.adjust("A", RECEIVED, NOW, KEY)


@pytest.mark.parametrize("seed", range(40))
def test_a_request_with_a_key_counts_once_and_has_one_result_with_any_faults(
    stage: FakeStage, seed: int
) -> None:
    rng = Random(seed)
    adjustments = Adjustments(
        Network(RandomFaults(rng, rate=0.4, crash_rate=0.1)).client(stage.dynamodb),
        stage.tables,
        lambda: iter(range(3)),
    )
    put_stock(stage, "A", 100)
    answers: dict[int, set[Stock]] = {number: set() for number in range(10)}
    for _ in range(200):
        number = rng.randrange(10)
        key = IdempotencyKey("alice", str(number))
        try:
            if number % 3 == 0:
                answer = adjustments.set_quantity("A", number * 10, NOW, key=key)
            else:
                answer = adjustments.adjust("A", Adjustment(number - 5 or 9, "CORRECTION"), NOW, key)
        except (ImsError, Crash):
            continue
        answers[number].add(answer)
    stored = change_items(stage)
    assert quantity_of(stage, "A") == 100 + sum(int(record["delta"]) for record in stored)
    assert len(stored) <= 10
    assert all(len(seen) <= 1 for seen in answers.values())
    assert sum(map(bool, answers.values())) > 5
