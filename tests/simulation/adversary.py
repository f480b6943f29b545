"""A REST writer that acts at the worst moment, and the old version that does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

from chalicelib.domain.stock import Adjustment, Product
from chalicelib.domain.timestamps import iso
from chalicelib.errors import ImsError
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.product_store import ProductStore
from chalicelib.store.stock_store import StockStore
from tests.simulation.messages import OmsMessage
from tests.simulation.old_version import OldConsumer
from tests.simulation.scheduler import Scheduler
from tests.support.deadlines import endless
from tests.support.engines import FakeStage
from tests.support.engines.network import Call


class Adversary:
    """Changes the stock that a consumer has just read, before the consumer can act on it.

    It finds in few histories what random writes would find in many.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        stage: FakeStage,
        log_action: Callable[[str, str, Any], None],
        messages: Iterable[OmsMessage],
    ) -> None:
        self._scheduler = scheduler
        self._stage = stage
        self._log_action = log_action
        self._old = {message.order_id: message for message in messages if message.old}
        self._changes = StockChanges(StockStore(stage.dynamodb, stage.tables))
        self._products = ProductStore(stage.dynamodb, stage.tables)

    def interfere(self, call: Call, rng: Random, within: float) -> None:
        """Act on a SKU or an order that `call` named, `within` so many seconds."""
        keys = _keys(call)
        moment = self._scheduler.now + rng.uniform(0, within)
        orders = [key["order_id"]["S"] for key in keys if "order_id" in key]
        if self._old and (known := [order for order in orders if order in self._old]):
            message = self._old[rng.choice(known)]
            log = partial(self._log_action, "old version")
            act = OldConsumer(self._stage, message, rng.randint(1, 4), lambda: None, log)
            self._scheduler.call_at(moment, act)
        elif skus := [key["sku"]["S"] for key in keys if "sku" in key]:
            sku = rng.choice(skus)
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


def _keys(call: Call) -> Sequence[Any]:
    """The keys of the SKUs and orders that a call reads or writes."""
    if call.operation == "transact_write_items":
        requests = [request for action in call.parameters["TransactItems"] for request in action.values()]
        return [request.get("Key") or request["Item"] for request in requests]
    if call.operation == "batch_get_item":
        return [key for part in call.parameters["RequestItems"].values() for key in part["Keys"]]
    return ()
