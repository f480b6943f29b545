import json
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from chalicelib.domain.stock import MAX_STOCK, Adjustment, IdempotencyKey, Stock
from chalicelib.domain.timestamps import iso
from chalicelib.errors import (
    Contended,
    IdempotencyKeyReused,
    ImsError,
    InsufficientStock,
    NotFound,
    OutcomeUnknown,
    StockLimit,
    Throttled,
    Unreachable,
)
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.stock_store import StockStore
from tests.support.deadlines import at
from tests.support.engines import Call, Crash, FakeStage, Network, RandomFaults, Scripted, faults
from tests.support.engines.transactions import cancelled
from tests.unit.builders import (
    NOW,
    change_items,
    concurrent_write,
    put_old_stock,
    put_stock,
    quantity_of,
    stock_item,
)

KEY = IdempotencyKey("alice", "k-1")
DEADLINE = at(NOW)
RECEIVED = Adjustment(5, "RECEIVED", "po-7")


def only_reason(index: int) -> Any:
    """A fault: a cancelled transaction reports only one of its reasons."""

    def fault(call: Call) -> Any:
        reasons = call.client.cancellation_reasons(call.parameters["TransactItems"])
        assert reasons[index]["Code"] == "ConditionalCheckFailed"
        shown = [reason if at == index else {"Code": "None"} for at, reason in enumerate(reasons)]
        raise call.refuse(cancelled(shown))

    return fault


def test_an_adjustment_changes_the_stock_and_returns_it(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    assert changes.adjust("A", RECEIVED, DEADLINE) == Stock("A", 7, iso(NOW), version=2)
    assert changes.adjust("A", Adjustment(-7, "LOST"), DEADLINE).quantity == 0


def test_an_adjustment_leaves_the_reserved_units_alone(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 2, reserved=3, version=6)
    level = changes.adjust("A", Adjustment(-2, "LOST"), DEADLINE)
    assert level == Stock("A", 0, iso(NOW), reserved=3, version=7)
    assert level.on_hand == 3


def test_stock_of_version_1_1_is_adjusted_and_counts_its_changes_from_then_on(
    changes: StockChanges, stage: FakeStage
) -> None:
    put_old_stock(stage, "A", 2)
    assert changes.adjust("A", RECEIVED, DEADLINE) == Stock("A", 7, iso(NOW), version=1)
    assert changes.adjust("A", RECEIVED, DEADLINE) == Stock("A", 12, iso(NOW), version=2)


def test_every_change_has_an_id_of_its_own(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    for _ in range(2):
        changes.adjust("A", RECEIVED, DEADLINE)
    changed = [record["change"] for record in change_items(stage)]
    assert len(set(changed)) == 2
    assert stock_item(stage, "A")["change"] in changed


def test_an_adjustment_takes_three_calls_and_two_without_a_key(
    changes: StockChanges, stage: FakeStage
) -> None:
    put_stock(stage, "A", 2)
    stage.dynamodb.counts.clear()
    changes.adjust("A", RECEIVED, DEADLINE, KEY)
    assert stage.dynamodb.counts == {"transact_write_items": 1, "get_item": 1, "update_item": 1}
    stage.dynamodb.counts.clear()
    assert changes.adjust("A", RECEIVED, DEADLINE).quantity == 12
    assert stage.dynamodb.counts == {"transact_write_items": 1, "get_item": 1}


def test_an_adjustment_is_recorded(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    changes.adjust("A", RECEIVED, DEADLINE, KEY)
    (record,) = change_items(stage)
    assert record.pop("order_id").startswith("adjustment#")
    assert len(record.pop("fingerprint")) == 64
    assert record == {
        "sku": "A",
        "change": stock_item(stage, "A")["change"],
        "delta": "5",
        "reason": "RECEIVED",
        "reference": "po-7",
        "created_at": iso(NOW),
        "ttl": str(int((NOW + timedelta(days=90)).timestamp())),
        "answer": (
            f'{{"sku": "A", "quantity": 7, "updated_at": "{iso(NOW)}", '
            '"reserved": 0, "version": 2, "reorder_point": null}'
        ),
    }


def test_an_adjustment_without_a_reference_is_recorded_without_one(
    changes: StockChanges, stage: FakeStage
) -> None:
    put_stock(stage, "A", 2)
    changes.adjust("A", Adjustment(1, "RETURNED"), DEADLINE)
    assert "reference" not in change_items(stage)[0]


@pytest.mark.parametrize(
    ("quantity", "delta", "error"),
    [
        (3, -4, InsufficientStock),
        (0, -1, InsufficientStock),
        (MAX_STOCK, 1, StockLimit),
        (MAX_STOCK - 4, 5, StockLimit),
    ],
)
def test_an_adjustment_beyond_a_bound_changes_nothing(
    changes: StockChanges, stage: FakeStage, quantity: int, delta: int, error: type[ImsError]
) -> None:
    put_stock(stage, "A", quantity)
    with pytest.raises(error, match=str(quantity)):
        changes.adjust("A", Adjustment(delta, "CORRECTION"), DEADLINE, KEY)
    assert (quantity_of(stage, "A"), change_items(stage)) == (quantity, [])


@pytest.mark.parametrize(("quantity", "delta"), [(4, -4), (MAX_STOCK - 5, 5), (MAX_STOCK, -1), (0, 1)])
def test_an_adjustment_may_reach_a_bound(
    changes: StockChanges, stage: FakeStage, quantity: int, delta: int
) -> None:
    put_stock(stage, "A", quantity)
    assert changes.adjust("A", Adjustment(delta, "CORRECTION"), DEADLINE).quantity == quantity + delta


@pytest.mark.parametrize("key", [None, KEY])
def test_an_adjustment_creates_no_stock_for_an_unknown_sku(
    changes: StockChanges, stage: FakeStage, key: IdempotencyKey | None
) -> None:
    with pytest.raises(NotFound):
        changes.adjust("A", RECEIVED, DEADLINE, key)
    with pytest.raises(NotFound):
        changes.set_quantity("A", 1, DEADLINE, key=key)
    assert (quantity_of(stage, "A"), change_items(stage)) == (None, [])


def test_a_repeat_gets_the_first_result_and_changes_nothing(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    first = changes.adjust("A", RECEIVED, DEADLINE, KEY)
    changes.adjust("A", Adjustment(-1, "LOST"), DEADLINE)
    assert changes.adjust("A", RECEIVED, at(NOW + timedelta(days=1)), KEY) == first
    assert quantity_of(stage, "A") == 6


def test_a_repeat_takes_precedence_over_a_refusal(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 5)
    lost = Adjustment(-5, "LOST")
    first = changes.adjust("A", lost, DEADLINE, KEY)
    assert changes.adjust("A", lost, DEADLINE, KEY) == first
    with pytest.raises(IdempotencyKeyReused):
        changes.adjust("A", Adjustment(-6, "LOST"), DEADLINE, KEY)


@pytest.mark.parametrize("index", [0, 1])
def test_a_repeat_is_recognised_from_any_reported_reason(
    changes: StockChanges, stage: FakeStage, script: Scripted, index: int
) -> None:
    put_stock(stage, "A", 5)
    lost = Adjustment(-5, "LOST")
    first = changes.adjust("A", lost, DEADLINE, KEY)
    script.by_operation["transact_write_items"] = [only_reason(index)]
    assert changes.adjust("A", lost, DEADLINE, KEY) == first


def test_a_repeat_for_a_deleted_sku_gets_the_first_result(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 5)
    first = changes.adjust("A", Adjustment(-5, "LOST"), DEADLINE, KEY)
    script.by_operation["transact_write_items"] = [concurrent_write(stage, "A", None)]
    assert changes.adjust("A", Adjustment(-5, "LOST"), DEADLINE, KEY) == first


@pytest.mark.parametrize(
    "other", [Adjustment(6, "RECEIVED", "po-7"), Adjustment(5, "RETURNED", "po-7"), Adjustment(5, "RECEIVED")]
)
def test_another_request_under_the_same_key_is_refused(
    changes: StockChanges, stage: FakeStage, other: Adjustment
) -> None:
    put_stock(stage, "A", 2)
    changes.adjust("A", RECEIVED, DEADLINE, KEY)
    with pytest.raises(IdempotencyKeyReused):
        changes.adjust("A", other, DEADLINE, KEY)
    assert quantity_of(stage, "A") == 7


def test_a_key_is_shared_by_setting_and_adjusting(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    changes.adjust("A", RECEIVED, DEADLINE, KEY)
    with pytest.raises(IdempotencyKeyReused):
        changes.set_quantity("A", 5, DEADLINE, key=KEY)
    assert quantity_of(stage, "A") == 7


def test_keys_belong_to_a_caller_and_a_sku(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 0)
    put_stock(stage, "B", 0)
    for sku, key in (("A", KEY), ("A", replace(KEY, principal="bob")), ("B", KEY), ("A", None), ("A", None)):
        changes.adjust(sku, RECEIVED, DEADLINE, key)
    assert (quantity_of(stage, "A"), quantity_of(stage, "B"), len(change_items(stage))) == (20, 5, 5)


def test_a_refused_request_leaves_its_key_unused(changes: StockChanges, stage: FakeStage) -> None:
    put_stock(stage, "A", 2)
    with pytest.raises(InsufficientStock):
        changes.adjust("A", Adjustment(-3, "LOST"), DEADLINE, KEY)
    assert changes.adjust("A", RECEIVED, DEADLINE, KEY).quantity == 7


@pytest.mark.parametrize("crash", [faults.crash_after, faults.timed_out_after_effect])
def test_a_repeat_after_a_crash_gets_a_result_and_stores_it(
    changes: StockChanges, stage: FakeStage, script: Scripted, crash: Any
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [crash]
    with pytest.raises((Crash, Unreachable)):
        changes.adjust("A", RECEIVED, DEADLINE, KEY)
    assert "answer" not in change_items(stage)[0]
    put_stock(stage, "A", 8)
    first = changes.adjust("A", RECEIVED, DEADLINE, KEY)
    put_stock(stage, "A", 9)
    assert changes.adjust("A", RECEIVED, DEADLINE, KEY) == first
    assert first.quantity == 8


def test_the_first_stored_result_is_final(changes: StockChanges, stage: FakeStage, script: Scripted) -> None:
    put_stock(stage, "A", 2)
    answers: list[Stock] = []

    def concurrent_repeat(call: Call) -> Any:
        put_stock(stage, "A", 100)
        answers.append(
            StockChanges(StockStore(stage.dynamodb, stage.tables)).adjust("A", RECEIVED, DEADLINE, KEY)
        )
        return call.proceed()

    script.by_operation["update_item"] = [concurrent_repeat]
    assert [changes.adjust("A", RECEIVED, DEADLINE, KEY)] == answers
    assert answers[0].quantity == 100


def test_stock_that_was_deleted_concurrently_was_0(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 5)
    script.by_operation["get_item"] = [concurrent_write(stage, "A", None)]
    assert changes.adjust("A", Adjustment(-5, "LOST"), DEADLINE) == Stock("A", 0, iso(NOW))


@pytest.mark.parametrize("operation", ["get_item", "update_item"])
def test_a_caller_with_a_key_may_retry_when_the_response_is_lost(
    changes: StockChanges, stage: FakeStage, script: Scripted, operation: str
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation[operation] = [faults.throttled]
    with pytest.raises(Throttled):
        changes.adjust("A", RECEIVED, DEADLINE, KEY)
    assert changes.adjust("A", RECEIVED, DEADLINE, KEY).quantity == 7


def test_a_caller_without_a_key_may_not_retry_when_the_response_is_lost(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    put_stock(stage, "A", 2)
    script.by_operation["get_item"] = [faults.throttled]
    with pytest.raises(OutcomeUnknown):
        changes.adjust("A", RECEIVED, DEADLINE)
    assert quantity_of(stage, "A") == 7


def test_an_unexplained_cancellation_is_contention(
    changes: StockChanges, stage: FakeStage, script: Scripted
) -> None:
    def unexplained(call: Call) -> Any:
        reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
        raise call.refuse(cancelled(reasons))

    put_stock(stage, "A", 2)
    script.by_operation["transact_write_items"] = [unexplained]
    with pytest.raises(Contended):
        changes.adjust("A", RECEIVED, DEADLINE, KEY)


@pytest.mark.parametrize("seed", range(40))
def test_a_request_with_a_key_counts_once_and_has_one_result_with_any_faults(
    stage: FakeStage, seed: int
) -> None:
    rng = Random(seed)
    client = Network(RandomFaults(rng, rate=0.4, crash_rate=0.1)).client(stage.dynamodb)
    changes = StockChanges(StockStore(client, stage.tables))
    put_stock(stage, "A", 100)
    answers: dict[int, set[Stock]] = {number: set() for number in range(10)}
    for _ in range(200):
        number = rng.randrange(10)
        key = IdempotencyKey("alice", str(number))
        try:
            if number % 3 == 0:
                answer = changes.set_quantity("A", number * 10, DEADLINE, key=key)
            else:
                answer = changes.adjust("A", Adjustment(number - 5 or 9, "CORRECTION"), DEADLINE, key)
        except (ImsError, Crash):
            continue
        answers[number].add(answer)
    stored = change_items(stage)
    assert quantity_of(stage, "A") == 100 + sum(int(record["delta"]) for record in stored)
    assert len(stored) <= 10
    assert all(len(seen) <= 1 for seen in answers.values())
    assert sum(map(bool, answers.values())) > 5


@pytest.mark.parametrize(
    ("more_fields", "version"), [({}, 0), ({"reserved": 0, "version": 2, "of_a_later_version": 4}, 2)]
)
def test_a_repeat_of_a_request_that_another_version_answered_gets_that_answer(
    changes: StockChanges, stage: FakeStage, more_fields: dict[str, int], version: int
) -> None:
    put_stock(stage, "A", 2)
    changes.adjust("A", RECEIVED, DEADLINE, KEY)
    table = stage.tables.processed_events_table
    (item,) = stage.dynamodb.snapshot()[table].values()
    answer = {"sku": "A", "quantity": 7, "updated_at": iso(NOW), **more_fields}
    stage.dynamodb.put_item(TableName=table, Item={**item, "answer": {"S": json.dumps(answer)}})
    again = changes.adjust("A", RECEIVED, DEADLINE, KEY)
    assert again == Stock("A", 7, iso(NOW), version=version)


def test_settings_and_adjustments_keep_the_reorder_point_and_show_it(
    changes: StockChanges, stage: FakeStage
) -> None:
    put_stock(stage, "A", 2, reorder_point=9)
    assert changes.set_quantity("A", 5, DEADLINE).reorder_point == 9
    assert changes.adjust("A", RECEIVED, DEADLINE, KEY).reorder_point == 9
    changes.store.set_reorder_point("A", None, DEADLINE)
    assert changes.adjust("A", RECEIVED, DEADLINE, KEY).reorder_point == 9
    assert changes.set_quantity("A", 5, DEADLINE).reorder_point is None
