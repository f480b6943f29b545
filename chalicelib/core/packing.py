"""Packing: a batch of orders into groups that one transaction can hold."""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

MAX_ACTIONS: Final = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
MAX_BYTES: Final = 3_000_000
"""Under DynamoDB's 4 MB a transaction, since sizes are estimated here."""


class Packable(Protocol):
    """What takes one action of its own in a transaction, and one for each SKU that nobody before it named."""

    @property
    def skus(self) -> Iterable[str]: ...
    @property
    def size(self) -> int: ...


_P = TypeVar("_P", bound=Packable)


def pack(orders: Iterable[_P]) -> Iterator[list[_P]]:
    """Split `orders` into groups of at most `MAX_ACTIONS` actions and about `MAX_BYTES`, keeping their order.

    An order that is too large on its own gets a group of its own.
    """
    group: list[_P] = []
    skus: set[str] = set()
    size = 0
    for order in orders:
        joint = skus.union(order.skus)
        if group and (len(group) + 1 + len(joint) > MAX_ACTIONS or size + order.size > MAX_BYTES):
            yield group
            group, joint, size = [], set(order.skus), 0
        group.append(order)
        skus = joint
        size += order.size
    if group:
        yield group
