from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.planner import OrderToRelease, Released, ReleasePlan, Snapshot, pack, plan_releases
from chalicelib.domain.reservation import Outcome, Reservation
from chalicelib.domain.writes import ProveAbsent, RecordReservation, ReturnStock, Write
from tests.unit.domain.model_store import NOW, ModelStore


def reserved(order_id: str, **items: int) -> Reservation:
    return Reservation(order_id, Outcome.RESERVED, NOW, "customer", items, event="{}")


def cancelled(order_id: str, **items: int) -> OrderToRelease:
    return OrderToRelease(order_id, reserved(order_id, **items))


def record(released: Released) -> Write:
    seen = released.order.reservation
    before = seen or Reservation(released.order.order_id, Outcome.RELEASED, NOW)
    return RecordReservation(replace(before, outcome=Outcome.RELEASED), seen)


class TestCancelled:
    def test_a_reserved_order_returns_its_units(self) -> None:
        order = cancelled("a", A=2, B=1)
        assert order.releasable
        assert order.items == {"A": 2, "B": 1}
        assert list(order.skus) == ["A", "B"]

    def test_an_unknown_order_is_released_and_returns_nothing(self) -> None:
        order = OrderToRelease("a", None)
        assert order.releasable
        assert not order.items

    def test_a_rejected_or_released_order_is_left_unchanged(self) -> None:
        for outcome in (Outcome.REJECTED, Outcome.RELEASED):
            order = OrderToRelease("a", Reservation("a", outcome, NOW, "customer", {"A": 2}))
            assert not order.releasable
            assert not order.items

    def test_takes_over_its_newer_reservation_and_only_its_own(self) -> None:
        order = cancelled("a", A=1)
        released = Reservation("a", Outcome.RELEASED, NOW)
        assert order.as_seen(Snapshot(reservations={"a": released})) == OrderToRelease("a", released)
        assert order.as_seen(Snapshot(reservations={"a": None})) == OrderToRelease("a", None)
        assert order.as_seen(Snapshot(reservations={"b": released})) == order


class TestPlan:
    def test_nothing_to_release_makes_no_transaction(self) -> None:
        assert plan_releases([], set()) == ReleasePlan((), ())

    def test_stock_of_one_sku_goes_back_in_one_write(self) -> None:
        orders = cancelled("a", A=2), cancelled("b", A=3, B=1)
        plan = plan_releases(orders, set())
        assert plan.writes == (ReturnStock("A", 5), ReturnStock("B", 1))
        assert plan.released == (Released(orders[0], {"A": 2}, ()), Released(orders[1], {"A": 3, "B": 1}, ()))

    def test_a_sku_that_is_gone_is_proved_absent_and_reported(self) -> None:
        orders = cancelled("a", A=2, X=3), cancelled("b", X=1)
        plan = plan_releases(orders, {"X", "Y"})
        assert plan.writes == (ReturnStock("A", 2), ProveAbsent("X"))
        assert plan.released == (Released(orders[0], {"A": 2}, ("X",)), Released(orders[1], {}, ("X",)))

    def test_an_unknown_order_gives_nothing_back(self) -> None:
        unknown = OrderToRelease("a", None)
        assert plan_releases([unknown], set()) == ReleasePlan((Released(unknown, {}, ()),), ())


SKUS = [f"S{n}" for n in range(40)]
HELD = st.none() | st.dictionaries(st.sampled_from(SKUS), st.integers(1, 9), min_size=1, max_size=30)
STOCK = st.dictionaries(st.sampled_from(SKUS), st.integers(0, 9))


@given(st.lists(HELD, min_size=1, max_size=12), STOCK, st.sets(st.sampled_from(SKUS)))
def test_units_are_returned_once_from_any_snapshot(
    held: list[dict[str, int] | None], stock: dict[str, int], missing: set[str]
) -> None:
    found = {f"o{n}": reserved(f"o{n}", **items) for n, items in enumerate(held) if items is not None}
    store = ModelStore(dict(stock), dict(found))
    for group in pack(OrderToRelease(f"o{n}", found.get(f"o{n}")) for n in range(len(held))):
        snapshot = Snapshot(dict.fromkeys(missing))
        for _tries in range(3):
            plan = plan_releases(group, snapshot.missing)
            failures = store.execute([*plan.writes, *map(record, plan.released)])
            if not failures:
                break
            for current in failures:
                snapshot.update(current)
        assert not failures
        for released in plan.released:
            items = found[released.order.order_id].items if released.order.reservation else {}
            assert released.returned == {sku: units for sku, units in items.items() if sku in stock}
            assert set(released.missing) == items.keys() - stock.keys()
    back = {sku: sum(order.items.get(sku, 0) for order in found.values()) for sku in stock}
    assert store.stock == {sku: units + back[sku] for sku, units in stock.items()}
    assert all(order.outcome is Outcome.RELEASED for order in store.reservations.values())
    assert len(store.reservations) == len(held)
