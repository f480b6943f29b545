"""What was last seen of each SKU, kept between invocations: a hint, since conditions guard each write."""

from collections.abc import Iterable, Mapping
from typing import Final

MAX_SKUS: Final = 10_000


class Hints:
    """Stock as last seen, of the SKUs seen lately."""

    def __init__(self) -> None:
        self._stock: dict[str, int | None] = {}

    def of(self, skus: Iterable[str]) -> dict[str, int | None]:
        """What was last seen of `skus`: those never seen are left out."""
        return {sku: self._stock[sku] for sku in skus if sku in self._stock}

    def learn(self, stock: Mapping[str, int | None]) -> None:
        """Keep `stock`, and forget the SKUs that were seen longest ago."""
        for sku, units in stock.items():
            self._stock.pop(sku, None)
            self._stock[sku] = units
        while len(self._stock) > MAX_SKUS:
            del self._stock[next(iter(self._stock))]
