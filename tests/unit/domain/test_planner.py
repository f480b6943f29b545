from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from chalicelib.domain.commands import Invalid, Reserve, TooMany
from chalicelib.domain.planner import Failure, Plan, Shortage, Snapshot, pack, plan
from chalicelib.domain.reservation import Outcome, Reservation
from chalicelib.domain.writes import MoveStock, ProveAbsent, ProveBelow, RecordReservation, Write
from chalicelib.errors import FieldError
from tests.unit.domain.model_store import NOW, ModelStore

Stock = dict[str, int | None]


def order(order_id: str, **items: int) -> Reserve:
    return Reserve(order_id, "customer", items)


def failures(decided: Plan[Reserve]) -> dict[str, str | None]:
    return {decision.order.order_id: decision.failure for decision in decided.decisions}


class TestActions:
    def test_the_takes_of_admitted_orders_are_added_up(self) -> None:
        decided = plan([order("a", A=1, B=2), order("b", A=3)], {})
        assert decided.writes == (MoveStock("A", -4, 4), MoveStock("B", -2, 2))
        assert failures(decided) == {"a": None, "b": None}

    def test_unknown_stock_is_assumed_to_be_sufficient(self) -> None:
        assert failures(plan([order("a", A=10**9)], {})) == {"a": None}

    def test_stock_that_is_used_up_exactly_is_sufficient(self) -> None:
        decided = plan([order("a", A=2), order("b", A=3)], {"A": 5})
        assert decided.writes == (MoveStock("A", -5, 5),)

    def test_a_rejection_beside_a_take_is_proved_by_the_condition_of_the_take(self) -> None:
        decided = plan([order("a", A=3), order("b", A=4), order("c", A=3)], {"A": 5})
        assert failures(decided) == {"a": None, "b": "INSUFFICIENT_STOCK", "c": "INSUFFICIENT_STOCK"}
        assert decided.writes == (MoveStock("A", -3, 3, below=6),)

    def test_the_limit_is_that_of_the_smallest_rejected_demand(self) -> None:
        decided = plan([order("a", A=9), order("b", A=7), order("c", A=8)], {"A": 5})
        assert decided.writes == (ProveBelow("A", 7),)

    def test_a_sku_that_does_not_exist_is_proved_absent_once(self) -> None:
        decided = plan([order("a", X=1), order("b", X=2)], {"X": None})
        assert failures(decided) == {"a": "SKU_NOT_FOUND", "b": "SKU_NOT_FOUND"}
        assert decided.writes == (ProveAbsent("X"),)

    def test_sku_not_found_takes_precedence_and_is_proved(self) -> None:
        decided = plan([order("a", A=9, X=1), order("b", A=1)], {"A": 5, "X": None})
        assert failures(decided) == {"a": "SKU_NOT_FOUND", "b": None}
        assert decided.writes == (MoveStock("A", -1, 1), ProveAbsent("X"))
        assert decided.decisions[0].shortages == (Shortage("A", 9, 4), Shortage("X", 1, None))

    def test_a_witness_that_is_already_in_the_transaction_is_preferred(self) -> None:
        decided = plan([order("a", B=1), order("b", A=2, B=2)], {"A": 0, "B": 1})
        assert decided.writes == (MoveStock("B", -1, 1, below=3),)

    def test_orders_that_share_a_shortage_share_a_witness(self) -> None:
        decided = plan([order("a", B=1), order("b", A=1, B=1), order("c", A=2)], {"A": 0, "B": 0})
        assert set(decided.writes) == {ProveBelow("B", 1), ProveBelow("A", 2)}
        decided = plan([order("a", B=1), order("b", A=1, B=1)], {"A": 0, "B": 0})
        assert decided.writes == (ProveBelow("B", 1),)

    def test_a_later_smaller_order_may_fit_where_an_earlier_one_did_not(self) -> None:
        decided = plan([order("a", A=6), order("b", A=5)], {"A": 5})
        assert failures(decided) == {"a": "INSUFFICIENT_STOCK", "b": None}
        assert decided.writes == (MoveStock("A", -5, 5, below=11),)

    def test_a_rejected_order_takes_nothing(self) -> None:
        decided = plan([order("a", A=1, B=9), order("b", A=5)], {"A": 5, "B": 0})
        assert failures(decided) == {"a": "INSUFFICIENT_STOCK", "b": None}
        assert MoveStock("A", -5, 5) in decided.writes or MoveStock("A", -5, 5, below=6) in decided.writes

    def test_available_is_what_the_group_leaves(self) -> None:
        decided = plan([order("a", A=3), order("b", A=4)], {"A": 5})
        assert decided.decisions[1].shortages == (Shortage("A", 4, 2),)

    @pytest.mark.parametrize(
        ("refusal", "failure"),
        [(Invalid((FieldError("items", "is empty"),)), "INVALID_REQUEST"), (TooMany(100), "TOO_MANY_ITEMS")],
    )
    def test_an_invalid_order_needs_no_stock(self, refusal: Invalid | TooMany, failure: str) -> None:
        decided = plan([Reserve("a", None, refusal=refusal), order("b", A=1)], {"A": 1})
        assert failures(decided) == {"a": failure, "b": None}
        assert decided.writes == (MoveStock("A", -1, 1),)
        assert not decided.rejects

    @pytest.mark.parametrize(
        ("expires_at", "failure"),
        [("2026-06-01T11:59:59.999Z", "EXPIRED"), (NOW, "EXPIRED"), ("2026-06-01T12:00:00.001Z", None)],
    )
    def test_a_hold_that_has_ended_before_takes_nothing_and_needs_no_proof(
        self, expires_at: str, failure: str | None
    ) -> None:
        hold = Reserve("a", "customer", {"A": 1}, expires_at=expires_at)
        decided = plan([hold, order("b", A=1)], {"A": 2}, NOW)
        assert failures(decided) == {"a": failure, "b": None}
        assert decided.writes == (MoveStock("A", -1, 1) if failure else MoveStock("A", -2, 2),)
        assert not decided.rejects
        assert not plan([hold], {}, NOW).unseen

    def test_no_orders_make_an_empty_plan(self) -> None:
        assert plan([], {"A": 1}) == Plan((), (), frozenset())

    def test_the_unknown_skus_of_rejected_orders_are_named(self) -> None:
        decided = plan([order("a", A=2, B=1), order("b", C=1)], {"A": 1})
        assert decided.unseen == {"B"}
        assert decided.rejects


SKUS = [f"S{n}" for n in range(6)]
ITEMS = st.dictionaries(st.sampled_from(SKUS), st.integers(1, 6), min_size=1, max_size=4)
REFUSALS = st.sampled_from([Invalid((FieldError("items", "is empty"),)), TooMany(100)])


@st.composite
def orders(draw: st.DrawFn, most: int = 12) -> list[Reserve]:
    bodies: list[Any] = draw(st.lists(ITEMS | REFUSALS, min_size=1, max_size=most))
    return [
        Reserve(f"o{n}", "customer", body)
        if isinstance(body, dict)
        else Reserve(f"o{n}", "customer", refusal=body)
        for n, body in enumerate(bodies)
    ]


STOCK = st.dictionaries(st.sampled_from(SKUS), st.integers(0, 15))
VIEW = st.dictionaries(st.sampled_from(SKUS), st.none() | st.integers(0, 15))


@st.composite
def truths_and_views(draw: st.DrawFn) -> tuple[dict[str, int], Stock]:
    """The stock, and a view of it: for each SKU the truth, another value, or nothing."""
    stock, view = draw(STOCK), draw(VIEW)
    for sku in draw(st.sets(st.sampled_from(SKUS))):
        view[sku] = stock.get(sku)
    return stock, view


def transaction(decided: Plan[Reserve]) -> list[Write]:
    records = [
        RecordReservation(
            Reservation(
                decision.order.order_id,
                Outcome.REJECTED if decision.failure else Outcome.RESERVED,
                NOW,
                decision.order.customer_id,
                decision.order.items,
            )
        )
        for decision in decided.decisions
    ]
    return [*decided.writes, *records]


def check_commit(decided: Plan[Reserve], before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Check that what the plan says is true right after its takes."""
    taken: Counter[str] = Counter()
    for decision in decided.decisions:
        if decision.failure is None:
            taken.update(decision.order.items)
    assert {sku: units - after[sku] for sku, units in before.items() if units != after[sku]} == dict(taken)
    assert after.keys() == before.keys()
    for decision in decided.decisions:
        asked = decision.order.items
        match decision.failure:
            case None:
                assert asked
                assert not decision.shortages
            case Failure.SKU_NOT_FOUND:
                assert any(sku not in after for sku in asked)
            case Failure.INSUFFICIENT_STOCK:
                assert any(sku in after and after[sku] < units for sku, units in asked.items())
            case Failure.INVALID_REQUEST:
                assert isinstance(decision.order.refusal, Invalid)
            case Failure.TOO_MANY_ITEMS:
                assert isinstance(decision.order.refusal, TooMany)
        for shortage in decision.shortages:
            assert shortage.requested == asked[shortage.sku] > (shortage.available or 0) >= 0


def check_exact(decided: Plan[Reserve], before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Check a plan from true knowledge: orders are admitted greedily as they arrive, answers are complete."""
    left = dict(before)
    for decision in decided.decisions:
        asked = decision.order.items
        if decision.order.refusal:
            continue
        fits = all(units <= left.get(sku, -1) for sku, units in asked.items())
        assert fits is (decision.failure is None)
        if fits:
            left.update({sku: left[sku] - units for sku, units in asked.items()})
    assert left == after
    for decision in decided.decisions:
        if decision.failure is None or decision.order.refusal:
            continue
        lost = any(sku not in after for sku in decision.order.items)
        assert decision.failure == ("SKU_NOT_FOUND" if lost else "INSUFFICIENT_STOCK")
        assert decision.shortages == tuple(
            Shortage(sku, units, after.get(sku))
            for sku, units in decision.order.items.items()
            if after.get(sku, 0) < units
        )


class TestAnyKnowledge:
    @settings(max_examples=300)
    @given(orders(), truths_and_views())
    def test_every_answer_is_true_if_the_conditions_hold(
        self, group: list[Reserve], truth_and_view: tuple[dict[str, int], Stock]
    ) -> None:
        stock, view = truth_and_view
        store = ModelStore(dict(stock))
        decided = plan(group, view)
        assert [decision.order for decision in decided.decisions] == group
        told = store.execute(transaction(decided))
        event("cancelled" if told else "committed")
        if told:
            assert (store.stock, store.reservations) == (stock, {})
        else:
            check_commit(decided, stock, store.stock)
            assert {record.outcome for record in store.reservations.values()} <= {
                Outcome.RESERVED,
                Outcome.REJECTED,
            }

    @given(orders(), STOCK)
    def test_the_first_try_succeeds_and_is_exact_if_all_is_known(
        self, group: list[Reserve], stock: dict[str, int]
    ) -> None:
        store = ModelStore(dict(stock))
        decided = plan(group, store.read(SKUS).stock)
        assert not decided.unseen
        assert not store.execute(transaction(decided))
        check_commit(decided, stock, store.stock)
        check_exact(decided, stock, store.stock)

    @given(orders(), VIEW)
    def test_all_skus_of_rejected_orders_are_read(self, group: list[Reserve], view: Stock) -> None:
        decided = plan(group, view)
        rejected = [decision.order for decision in decided.decisions if decision.shortages]
        assert decided.unseen == {sku for order in rejected for sku in order.items} - view.keys()

    @given(orders(), VIEW)
    def test_there_are_no_more_actions_than_distinct_skus(self, group: list[Reserve], view: Stock) -> None:
        decided = plan(group, view)
        assert len(decided.writes) <= len({sku for order in group for sku in order.items})


def settle(
    group: Sequence[Reserve], store: ModelStore, snapshot: Snapshot, rng: Random | None = None
) -> tuple[int, Plan[Reserve]]:
    """Plan and execute till it is done, as the settler does; `rng` returns only some failures at once."""
    for tries in range(1, 100):
        new = [order for order in group if snapshot.reservations.get(order.order_id) is None]
        decided = plan(new, snapshot.stock)
        while decided.unseen:
            snapshot.update(store.read(decided.unseen))
            decided = plan(new, snapshot.stock)
        failed = store.execute(transaction(decided))
        if not failed:
            return tries, decided
        for current in rng.sample(failed, rng.randint(1, len(failed))) if rng else failed:
            snapshot.update(current)
    raise AssertionError("the plans do not converge")


class TestReplanning:
    @given(orders(), STOCK, st.sets(st.integers(0, 11)))
    def test_five_tries_are_enough_without_knowledge_of_unchanging_stock(
        self, group: list[Reserve], stock: dict[str, int], recorded: set[int]
    ) -> None:
        store = ModelStore(
            dict(stock), {f"o{n}": Reservation(f"o{n}", Outcome.REJECTED, NOW) for n in recorded}
        )
        before = dict(store.reservations)
        tries, decided = settle(group, store, Snapshot())
        event(f"{tries} tries")
        assert tries <= 5
        fresh = [order for order in group if order.order_id not in before]
        assert [decision.order for decision in decided.decisions] == fresh
        assert {order_id: store.reservations[order_id] for order_id in before} == before
        check_commit(decided, stock, store.stock)

    @settings(max_examples=300)
    @given(orders(), truths_and_views(), st.sets(st.integers(0, 11)), st.randoms(use_true_random=False))
    def test_planning_converges_from_any_wrong_view(
        self,
        group: list[Reserve],
        truth_and_view: tuple[dict[str, int], Stock],
        recorded: set[int],
        rng: Random,
    ) -> None:
        stock, view = truth_and_view
        store = ModelStore(
            dict(stock), {f"o{n}": Reservation(f"o{n}", Outcome.REJECTED, NOW) for n in recorded}
        )
        tries, decided = settle(group, store, Snapshot(dict(view)), rng)
        event(f"{tries} tries")
        # Each try but the last corrects at least one SKU or finds one record.
        assert tries <= 1 + len(SKUS) + len(group)
        check_commit(decided, stock, store.stock)


WIDE = st.lists(st.lists(st.integers(0, 149), min_size=1, max_size=99, unique=True), min_size=1, max_size=12)


@given(WIDE, st.dictionaries(st.integers(0, 149), st.integers(0, 6)), st.sets(st.integers(0, 149)))
def test_packed_groups_of_orders_of_up_to_99_skus_fit_into_transactions(
    wide: list[list[int]], stock: dict[int, int], seen: set[int]
) -> None:
    group = [Reserve(f"o{n}", "c", {f"S{sku}": 1 + sku % 3 for sku in skus}) for n, skus in enumerate(wide)]
    store = ModelStore({f"S{sku}": units for sku, units in stock.items()})
    for packed in pack(group):
        before = dict(store.stock)
        _, decided = settle(packed, store, store.read(f"S{sku}" for sku in seen))
        check_commit(decided, before, store.stock)
    assert store.reservations.keys() == {order.order_id for order in group}


def test_an_order_of_99_skus_fills_a_transaction_whether_admitted_or_rejected() -> None:
    full = order("full", **{f"S{n}": 1 for n in range(99)})
    assert len(transaction(plan([full], {}))) == 100
    decided = plan([full], dict.fromkeys(full.items, 0))
    assert len(decided.decisions[0].shortages) == 99
    assert len(transaction(decided)) == 2
