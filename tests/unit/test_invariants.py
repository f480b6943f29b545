"""The checker detects each way in which a state can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.invariants import State, check, check_transaction
from tests.support.messages import release, reserve
from tests.unit.consumer.consumer_harness import TRANSACT, ConsumerHarness

INITIAL = {"A": 9, "B": 1}


def settled() -> tuple[ConsumerHarness, State]:
    harness = ConsumerHarness(INITIAL)
    bodies = [
        reserve("kept", {"A": 2}),
        reserve("short", {"A": 1, "B": 2}),
        reserve("undone", {"A": 3}),
        release("tomb"),
    ]
    assert harness.settle(*bodies, "poison") == [4]
    assert harness.settle(release("undone"), release("short")) == []
    tables = harness.stage.dynamodb.snapshot()
    state = State(
        inventory=json.loads(json.dumps(list(tables[harness.stage.tables.inventory_table].values()))),
        records=json.loads(json.dumps(list(tables[harness.stage.tables.processed_events_table].values()))),
        answers=[sent.body for sent in harness.stage.sqs.history],
        sent=[*harness.sent, "poison"],
        dead=["poison"],
    )
    return harness, state


def record(state: State, order_id: str) -> Any:
    (found,) = [item for item in state.records if item["order_id"]["S"] == order_id]
    return found


def answer(state: State, order_id: str, kind: str) -> str:
    (found,) = [
        body for body in state.answers if order_id in body and json.loads(body)["type"] == f"Inventory{kind}"
    ]
    return found


def without_answer(state: State, order_id: str, kind: str) -> State:
    lost = answer(state, order_id, kind)
    return replace(state, answers=[body for body in state.answers if body != lost])


def test_a_correct_state_passes() -> None:
    _, state = settled()
    check(state, INITIAL)
    check(replace(state, answers=[*state.answers, *state.answers]), INITIAL)


def oversold(state: State) -> State:
    state.inventory[0]["quantity"]["N"] = "6"
    return state


def unexplained_stock(state: State) -> State:
    more = {"sku": {"S": "C"}, "quantity": {"N": "1"}}
    return replace(state, inventory=[*state.inventory, more])


def lost_record(state: State) -> State:
    return replace(state, records=[item for item in state.records if item["order_id"]["S"] != "short"])


def taken_without_a_record(state: State) -> State:
    return replace(state, records=[item for item in state.records if item["order_id"]["S"] != "kept"])


def lost_first_answer(state: State) -> State:
    return without_answer(state, "kept", "Reserved")


def lost_first_answer_of_a_released_order(state: State) -> State:
    return without_answer(state, "undone", "Reserved")


def lost_rejection(state: State) -> State:
    return without_answer(state, "short", "ReservationFailed")


def lost_release(state: State) -> State:
    return without_answer(state, "undone", "Released")


def lost_tombstone(state: State) -> State:
    return without_answer(state, "tomb", "Released")


def lost_poison(state: State) -> State:
    return replace(state, dead=[])


def another_timestamp(state: State) -> State:
    body = json.loads(answer(state, "kept", "Reserved"))
    return replace(state, answers=[*state.answers, json.dumps({**body, "timestamp": "later"})])


def another_event_id(state: State) -> State:
    body = json.loads(answer(state, "kept", "Reserved"))
    return replace(state, answers=[*state.answers, json.dumps({**body, "event_id": "another"})])


def one_event_id_for_two(state: State) -> State:
    first = json.loads(answer(state, "kept", "Reserved"))
    changed = [
        json.dumps({**json.loads(body), "event_id": first["event_id"]}) if "short" in body else body
        for body in state.answers
    ]
    return replace(state, answers=changed)


def reserved_and_rejected(state: State) -> State:
    body = json.loads(answer(state, "kept", "Reserved"))
    both = {**body, "type": "InventoryReservationFailed", "event_id": "another"}
    return replace(state, answers=[*state.answers, json.dumps(both)])


def released_over_the_first_answer(state: State) -> State:
    item = record(state, "undone")
    item["event"] = item["operations"]["L"][0]["M"]["event"]
    return state


def released_without_an_answer(state: State) -> State:
    del record(state, "undone")["operations"]
    return state


def owed_but_on_no_record(state: State) -> State:
    return replace(state, outbox=[{"id": {"S": "1"}, "owed": {"SS": ["kept\nReleaseInventory"]}}])


def reserved_again_after_a_release(state: State) -> State:
    item = record(state, "undone")
    item["outcome"] = {"S": "RESERVED"}
    return state


def outcome_changed(state: State) -> State:
    record(state, "short")["outcome"] = {"S": "RESERVED"}
    return state


def answer_without_record(state: State) -> State:
    body = json.loads(answer(state, "kept", "Reserved"))
    return replace(state, answers=[*state.answers, json.dumps({**body, "order_id": "x", "event_id": "x"})])


def test_an_answer_that_the_outbox_owes_is_not_lost() -> None:
    _, state = settled()
    owed = [{"id": {"S": "1"}, "owed": {"SS": ["kept"]}}]
    check(replace(lost_first_answer(state), outbox=owed), INITIAL)


@pytest.mark.parametrize(
    ("corrupt", "invariant"),
    [
        (oversold, "1"),
        (unexplained_stock, "1"),
        (taken_without_a_record, "1"),
        (reserved_again_after_a_release, "1"),
        (outcome_changed, "1"),
        (released_over_the_first_answer, "4"),
        (released_without_an_answer, "2"),
        (owed_but_on_no_record, "4"),
        (reserved_and_rejected, "4"),
        (lost_record, "4"),
        (answer_without_record, "4"),
        (lost_first_answer, "3"),
        (lost_first_answer_of_a_released_order, "3"),
        (lost_rejection, "3"),
        (lost_release, "3"),
        (lost_tombstone, "3"),
        (lost_poison, "3"),
        (another_timestamp, "3"),
        (another_event_id, "3"),
        (one_event_id_for_two, "3"),
    ],
)
def test_a_corrupt_state_is_detected(corrupt: Callable[[State], State], invariant: str) -> None:
    _, state = settled()
    with pytest.raises(AssertionError, match=f"^{invariant}: "):
        check(corrupt(state), INITIAL)


class TestTransaction:
    def committed(self) -> list[Any]:
        harness = ConsumerHarness({"A": 3, "B": 1})
        harness.settle(
            reserve("a", {"A": 2}), reserve("b", {"A": 2}), reserve("c", {"B": 9}), reserve("d", {"X": 1})
        )
        (*_, last) = [call for call in harness.script.calls if call.operation == TRANSACT]
        return list(json.loads(json.dumps(last.parameters["TransactItems"])))

    def test_a_correct_transaction_passes(self) -> None:
        check_transaction(self.committed())

    def test_a_record_whose_answer_nobody_owes_is_detected(self) -> None:
        actions = self.committed()
        for action in actions:
            if "owed" in action.get("Put", {}).get("Item", {}):
                action["Put"]["Item"]["owed"]["SS"].remove("a")
        with pytest.raises(AssertionError, match=r"^3: "):
            check_transaction(actions)

    @pytest.mark.parametrize("sku", ["A", "B", "X"])
    def test_a_rejection_without_its_proof_is_detected(self, sku: str) -> None:
        actions = self.committed()
        for action in actions:
            ((kind, request),) = action.items()
            if request.get("Key") == {"sku": {"S": sku}}:
                request["ConditionExpression"] = (
                    "quantity >= :units" if kind == "Update" else "attribute_exists(sku)"
                )
        with pytest.raises(AssertionError, match=r"^5: "):
            check_transaction(actions)

    def test_a_limit_that_proves_too_little_is_detected(self) -> None:
        actions = self.committed()
        for action in actions:
            if "Update" in action:
                action["Update"]["ExpressionAttributeValues"][":limit"]["N"] = "5"
        with pytest.raises(AssertionError, match=r"^5: "):
            check_transaction(actions)

    def test_taking_more_than_is_admitted_is_detected(self) -> None:
        actions = self.committed()
        for action in actions:
            if "Update" in action:
                action["Update"]["ExpressionAttributeValues"][":units"]["N"] = "3"
        with pytest.raises(AssertionError, match=r"^[15]: "):
            check_transaction(actions)

    def test_taking_without_a_condition_is_detected(self) -> None:
        actions = self.committed()
        for action in actions:
            if "Update" in action:
                action["Update"]["ConditionExpression"] = "quantity < :limit"
        with pytest.raises(AssertionError, match=r"^1: "):
            check_transaction(actions)
