"""The checker detects each way in which a state can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.invariants import State, check, check_transaction
from tests.support.messages import confirm, fulfill, release, reserve
from tests.unit.consumer.consumer_harness import TRANSACT, ConsumerHarness

INITIAL = {"A": 13, "B": 1}


END = "2025-06-15T16:06:40Z"


def settled() -> tuple[ConsumerHarness, State]:
    harness = ConsumerHarness(INITIAL)
    bodies = [
        reserve("kept", {"A": 2}),
        reserve("hold", {"A": 3}, expires_at="2025-06-20T00:00:00Z"),
        reserve("shipped", {"A": 1}, expires_at=END),
        reserve("short", {"A": 1, "B": 2}),
        reserve("undone", {"A": 3}),
        release("tomb"),
    ]
    assert harness.settle(*bodies, "poison") == [6]
    harness.end_holds(after=3_700)
    more = [
        confirm("shipped"),
        fulfill("shipped"),
        release("hold", "R1", {"A": 1}),
        fulfill("hold", "F1", {"A": 9}),
    ]
    assert harness.settle(release("undone"), release("short"), *more) == []
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


def reserved_for_nobody(state: State) -> State:
    state.inventory[0]["reserved"]["N"] = "5"
    return state


def lifetime_of_an_open_order(state: State) -> State:
    record(state, "kept")["ttl"] = {"N": "1"}
    return state


def closed_for_ever(state: State) -> State:
    del record(state, "undone")["ttl"]
    return state


def hold_in_no_index(state: State) -> State:
    del record(state, "hold")["hold_shard"]
    return state


def hold_without_an_end(state: State) -> State:
    item = record(state, "hold")
    del item["hold_shard"], item["due_at"]
    return state


def closed_and_due(state: State) -> State:
    record(state, "shipped").update({"due_at": {"S": END}, "hold_shard": {"S": "1"}})
    return state


def operation_twice(state: State) -> State:
    item = record(state, "hold")
    item["operations"]["L"].append(item["operations"]["L"][0])
    return state


def another_part_than_told(state: State) -> State:
    event = record(state, "hold")["operations"]["L"][0]["M"]["event"]
    body = event["S"]
    event["S"] = body.replace('"quantity":1}', '"quantity":2}', 1)
    return replace(state, answers=[event["S"] if each == body else each for each in state.answers])


def shipped_without_telling(state: State) -> State:
    item = record(state, "shipped")
    item["operations"]["L"] = [o for o in item["operations"]["L"] if o["M"]["id"]["S"] != "FulfillInventory"]
    return replace(state, answers=[body for body in state.answers if "InventoryFulfilled" not in body])


def lost_confirmation(state: State) -> State:
    return without_answer(state, "shipped", "Confirmed")


def lost_refusal(state: State) -> State:
    return without_answer(state, "hold", "ChangeRejected")


def unrecorded_operation(state: State) -> State:
    body = json.dumps(fulfill("hold", "F2", {"A": 1}))
    return replace(state, sent=[*state.sent, body])


def beyond_the_limit_that_was_not_reached(state: State) -> State:
    return replace(state, outbox=[{"id": {"S": "1"}, "owed": {"SS": ["hold\nF3\nFulfillInventory"]}}])


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
        (reserved_for_nobody, "1"),
        (lifetime_of_an_open_order, "2"),
        (closed_for_ever, "2"),
        (hold_in_no_index, "6"),
        (hold_without_an_end, "6"),
        (closed_and_due, "2"),
        (operation_twice, "2"),
        (another_part_than_told, "2"),
        (shipped_without_telling, "2"),
        (lost_confirmation, "3"),
        (lost_refusal, "3"),
        (unrecorded_operation, "3"),
        (beyond_the_limit_that_was_not_reached, "4"),
        (released_over_the_first_answer, "4"),
        (released_without_an_answer, "2"),
        (owed_but_on_no_record, "4"),
        (reserved_and_rejected, "2"),
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

    def confirmed_late(self, units: int) -> list[Any]:
        harness = ConsumerHarness({"A": 3})
        harness.settle(reserve("a", {"A": 2}, expires_at=END))
        harness.end_holds(after=3_700)
        harness.settle(reserve("b", {"A": units}))
        harness.settle(confirm("a"))
        (*_, last) = [call for call in harness.script.calls if call.operation == TRANSACT]
        return list(json.loads(json.dumps(last.parameters["TransactItems"])))

    @pytest.mark.parametrize("units", [1, 2])
    def test_a_correct_late_confirmation_passes(self, units: int) -> None:
        check_transaction(self.confirmed_late(units))

    def test_a_late_confirmation_that_takes_nothing_is_detected(self) -> None:
        actions = [action for action in self.confirmed_late(1) if "Update" not in action]
        with pytest.raises(AssertionError, match=r"^1: "):
            check_transaction(actions)

    def test_a_refused_late_confirmation_without_its_proof_is_detected(self) -> None:
        actions = [action for action in self.confirmed_late(2) if "ConditionCheck" not in action]
        with pytest.raises(AssertionError, match=r"^5: "):
            check_transaction(actions)

    @pytest.mark.parametrize("sku", ["A", "B", "X"])
    def test_a_rejection_without_its_proof_is_detected(self, sku: str) -> None:
        actions = self.committed()
        for action in actions:
            ((kind, request),) = action.items()
            if request.get("Key") == {"sku": {"S": sku}}:
                request["ConditionExpression"] = (
                    "quantity >= :taken" if kind == "Update" else "attribute_exists(sku)"
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
                action["Update"]["ExpressionAttributeValues"][":units"]["N"] = "-3"
                action["Update"]["ExpressionAttributeValues"][":taken"]["N"] = "3"
        with pytest.raises(AssertionError, match=r"^[15]: "):
            check_transaction(actions)

    def test_taking_without_a_condition_is_detected(self) -> None:
        actions = self.committed()
        for action in actions:
            if "Update" in action:
                action["Update"]["ConditionExpression"] = "quantity < :limit"
        with pytest.raises(AssertionError, match=r"^1: "):
            check_transaction(actions)
