"""A REST writer that acts at the worst moment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

from chalicelib.domain.stock import Adjustment, Product
from chalicelib.domain.timestamps import iso
from chalicelib.errors import ImsError
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.product_store import ProductStore
from chalicelib.store.stock_store import StockStore
from tests.simulation.scheduler import Scheduler
from tests.support.deadlines import endless
from tests.support.engines import FakeStage
from tests.support.engines.network import Call


class Adversary:
    """Changes the stock that a consumer has just read, before the consumer can act on it.

    It finds in few histories what random writes would find in many.
    """

    def __init__(
        self, scheduler: Scheduler, stage: FakeStage, log_action: Callable[[str, str, Any], None]
    ) -> None:
        self._scheduler = scheduler
        self._stage = stage
        self._log_action = log_action
        self._changes = StockChanges(StockStore(stage.dynamodb, stage.tables))
        self._products = ProductStore(stage.dynamodb, stage.tables)

    def interfere(self, call: Call, rng: Random, within: float) -> None:
        """Change one of the SKUs that `call` named, `within` so many seconds."""
        if skus := _skus(call):
            sku, moment = rng.choice(skus), self._scheduler.now + rng.uniform(0, within)
            self._scheduler.call_at(moment, lambda: self._act(sku, rng))

    def _act(self, sku: str, rng: Random) -> None:
        deadline = endless(self._stage.clock)
        now = iso(deadline.now())
        exists = sku in self._stage.dynamodb.tables[self._stage.tables.inventory_table].items
        action = rng.choice(
            ("more", "more", "more", "fewer", "gone") if exists else ("back", "back with stock")
        )
        self._log_action("adversary", action, sku)
        with contextlib.suppress(ImsError):
            if action == "gone":
                self._changes.set_quantity(sku, 0, deadline)
                self._products.delete(sku, deadline)
            if action.startswith("back"):
                self._products.create(Product(sku, sku, Decimal("9.99"), None, None, now, now), deadline)
            if action in {"more", "back with stock"}:
                self._changes.adjust(sku, Adjustment(rng.choice((1, 1, 2, 5)), "RECEIVED"), deadline)
            if action == "fewer":
                self._changes.adjust(sku, Adjustment(-rng.choice((1, 2)), "LOST"), deadline)


def _skus(call: Call) -> Sequence[str]:
    """The SKUs whose stock a call reads or writes."""
    if call.operation == "transact_write_items":
        keys = [
            request["Key"]
            for action in call.parameters["TransactItems"]
            for request in action.values()
            if "Key" in request
        ]
    elif call.operation == "batch_get_item":
        keys = [key for part in call.parameters["RequestItems"].values() for key in part["Keys"]]
    else:
        return ()
    return [key["sku"]["S"] for key in keys if "sku" in key]
