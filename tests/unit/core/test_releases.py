from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions import Absent, GiveBack, Record, TurnReleased
from chalicelib.core.answers import Answer, AnswerType, event_id
from chalicelib.core.fields import Outcome
from chalicelib.core.packing import pack
from chalicelib.core.records import Known, OrderRecord
from chalicelib.core.releases import Cancelled, plan_releases
from tests.unit.core.model_store import NOW, ModelStore

LATER = "2026-06-02T12:00:00.000Z"


def reserved(order_id: str, **items: int) -> OrderRecord:
    return OrderRecord(order_id, Outcome.RESERVED, NOW, "customer", items, event="{}", published_at=NOW)


def cancelled(order_id: str, **items: int) -> Cancelled:
    return Cancelled(order_id, reserved(order_id, **items))


def bodies(answers: tuple[Answer, ...]) -> list[Any]:
    return [json.loads(answer.body) for answer in answers]


class TestCancelled:
    def test_a_reserved_order_returns_its_units(self) -> None:
        order = cancelled("a", A=2, B=1)
        assert order.releasable
        assert order.items == {"A": 2, "B": 1}
        assert list(order.skus) == ["A", "B"]

    def test_an_unknown_order_is_released_and_returns_nothing(self) -> None:
        order = Cancelled("a", None)
        assert order.releasable
        assert not order.items

    def test_a_rejected_or_released_order_is_left_unchanged(self) -> None:
        for outcome in (Outcome.REJECTED, Outcome.RELEASED):
            order = Cancelled("a", OrderRecord("a", outcome, NOW, "customer", {"A": 2}))
            assert not order.releasable
            assert not order.items

    def test_an_order_learns_of_its_own_record_only(self) -> None:
        order = cancelled("a", A=1)
        released = OrderRecord("a", Outcome.RELEASED, NOW)
        assert order.as_known(Known(records={"a": released})) == Cancelled("a", released)
        assert order.as_known(Known(records={"a": None})) == Cancelled("a", None)
        assert order.as_known(Known(records={"b": released})) == order


class TestPlan:
    def test_nothing_to_release_makes_no_transaction(self) -> None:
        plan = plan_releases([], set(), LATER)
        assert (plan.actions, plan.answers) == ((), ())

    def test_units_of_one_sku_are_returned_in_one_action(self) -> None:
        plan = plan_releases([cancelled("a", A=2), cancelled("b", A=3, B=1)], set(), LATER)
        assert plan.actions[:2] == (GiveBack("A", 5), GiveBack("B", 1))
        assert plan.actions[2:] == (
            TurnReleased("a", plan.answers[0].body),
            TurnReleased("b", plan.answers[1].body),
        )

    def test_a_deleted_sku_is_proved_absent_and_named(self) -> None:
        plan = plan_releases([cancelled("a", A=2, X=3), cancelled("b", X=1)], {"X", "Y"}, LATER)
        assert plan.actions[:2] == (GiveBack("A", 2), Absent("X"))
        first, second = bodies(plan.answers)
        assert (first["items"], first["missing"]) == ([{"sku": "A", "quantity": 2}], ["X"])
        assert (second["items"], second["missing"]) == ([], ["X"])

    def test_an_unknown_order_leaves_a_tombstone_that_still_owes_its_answer(self) -> None:
        plan = plan_releases([Cancelled("a", None)], set(), LATER)
        tombstone = OrderRecord("a", Outcome.RELEASED, LATER, release_event=plan.answers[0].body)
        assert plan.actions == (Record(tombstone),)
        assert bodies(plan.answers)[0]["items"] == []

    def test_every_release_has_an_answer_with_its_own_id(self) -> None:
        plan = plan_releases([cancelled("a", A=1), Cancelled("b", None)], set(), LATER)
        assert [(body["event_id"], body["order_id"], body["timestamp"]) for body in bodies(plan.answers)] == [
            (event_id("a", AnswerType.RELEASED), "a", LATER),
            (event_id("b", AnswerType.RELEASED), "b", LATER),
        ]


SKUS = [f"S{n}" for n in range(40)]
HELD = st.none() | st.dictionaries(st.sampled_from(SKUS), st.integers(1, 9), min_size=1, max_size=30)
STOCK = st.dictionaries(st.sampled_from(SKUS), st.integers(0, 9))


@given(st.lists(HELD, min_size=1, max_size=12), STOCK, st.sets(st.sampled_from(SKUS)))
def test_units_are_returned_once_from_any_knowledge(
    held: list[dict[str, int] | None], stock: dict[str, int], missing: set[str]
) -> None:
    records = {f"o{n}": reserved(f"o{n}", **items) for n, items in enumerate(held) if items is not None}
    store = ModelStore(dict(stock), dict(records))
    for group in pack(Cancelled(f"o{n}", records.get(f"o{n}")) for n in range(len(held))):
        known = Known(dict.fromkeys(missing))
        for _tries in range(3):
            plan = plan_releases(group, known.missing, LATER)
            told = store.execute(plan.actions)
            if not told:
                break
            for news in told:
                known.learn(news)
        assert not told
        for body in bodies(plan.answers):
            items = records[body["order_id"]].items if body["order_id"] in records else {}
            assert {line["sku"]: line["quantity"] for line in body["items"]} == {
                sku: units for sku, units in items.items() if sku in stock
            }
            assert set(body.get("missing", ())) == items.keys() - stock.keys()
    back = {sku: sum(record.items.get(sku, 0) for record in records.values()) for sku in stock}
    assert store.stock == {sku: units + back[sku] for sku, units in stock.items()}
    assert all(record.outcome is Outcome.RELEASED for record in store.records.values())
    assert len(store.records) == len(held)
