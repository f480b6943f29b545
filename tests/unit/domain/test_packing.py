from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.planner import MAX_ACTIONS, pack


@dataclass(frozen=True)
class Parcel:
    skus: tuple[str, ...]


def sizes(parcels: list[Parcel]) -> list[int]:
    return [len(group) for group in pack(parcels)]


def test_no_orders_make_no_group() -> None:
    assert list(pack([])) == []


def test_an_order_and_each_sku_take_one_action() -> None:
    assert sizes([Parcel((f"S{n}",)) for n in range(49)]) == [49]
    assert sizes([Parcel((f"S{n}",)) for n in range(50)]) == [49, 1]


def test_a_sku_that_orders_share_takes_one_action() -> None:
    assert sizes([Parcel(("A",))] * 98) == [98]
    assert sizes([Parcel(("A",))] * 99) == [98, 1]


def test_orders_without_skus_fill_a_transaction() -> None:
    assert sizes([Parcel(())] * 100) == [99, 1]


def test_98_skus_and_their_order_fill_a_transaction() -> None:
    large = Parcel(tuple(f"S{n}" for n in range(98)))
    assert sizes([Parcel(()), large, Parcel(())]) == [1, 1, 1]
    assert sizes([large, large]) == [1, 1]


def test_an_order_that_is_too_large_gets_its_own_group() -> None:
    huge = Parcel(tuple(f"S{n}" for n in range(150)))
    assert sizes([Parcel(()), huge, Parcel(())]) == [1, 1, 1]


PARCELS = st.builds(
    Parcel,
    st.lists(st.integers(0, 200).map("S{}".format), unique=True, max_size=99).map(tuple),
)


@given(st.lists(PARCELS, max_size=40))
def test_groups_are_in_order_within_the_limit_and_as_large_as_possible(
    parcels: list[Parcel],
) -> None:
    groups = list(pack(parcels))
    assert [parcel for group in groups for parcel in group] == parcels
    for group in groups:
        assert fits(group)
    for group, following in pairwise(groups):
        assert not fits([*group, following[0]])


def fits(group: list[Parcel]) -> bool:
    actions = len(group) + len({sku for parcel in group for sku in parcel.skus})
    return len(group) >= 1 and actions <= MAX_ACTIONS
