"""The load: what the OMS sends in a busy hour, and callers of REST who adjust stock meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

from chalicelib.domain.reservation import MAX_OPERATIONS
from local.client import Api
from local.oms import new_id
from tests.support.messages import confirm, extend, fulfill, lines, release, reserve

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

SKUS: Final = [f"SKU-{number}" for number in range(6)]
_NEVER: Final = "never-"
"""How the ids of orders begin that only changes name."""
_RETRYABLE: Final = (500, 502, 503, 504)
"""Statuses after which the caller retries with the same idempotency key."""


Planned = tuple[float, str]
"""After how many seconds a message is sent, and its body."""


def messages(rng: Random, orders: int, seconds: float) -> list[Planned]:
    """About three messages per order, sent over about `seconds`, in the order in which they are sent."""
    load = _Load(rng, seconds / orders, datetime.now(UTC))
    for number in range(orders):
        load.add_order(number)
    load.add_busy_order("busy", orders / 2 * load.slot)
    return sorted((min(max(0.0, after), seconds), body) for after, body in load.sent)


def is_stray(order_id: str) -> bool:
    """Whether nobody ever reserves anything under that id."""
    return order_id.startswith(_NEVER)


@dataclass
class _Load:
    """Plans messages: an order every `slot` seconds from `began` on, and what becomes of it."""

    rng: Random
    slot: float
    began: datetime
    sent: list[Planned] = field(default_factory=list)

    def add_order(self, number: int) -> None:
        """Plan an order: perhaps a hold, perhaps a bad one, with its repeats and changes."""
        rng, order_id, moment = self.rng, f"order-{number}", (number + self.rng.random()) * self.slot
        items = {sku: rng.randint(1, 3) for sku in rng.sample(SKUS, rng.randint(1, 3))}
        order = reserve(order_id, items, customer_id=f"customer-{number}", timestamp=self._time(moment))
        end = moment
        if rng.random() < 0.5:
            end += 3600 if rng.random() < 0.1 else rng.uniform(1, 15)
            order["expires_at"] = self._time(end)
        match rng.random():
            case draw if draw < 0.04:
                order["items"][0]["quantity"] = rng.choice([0, 1.5, "2", True, None])
            case draw if draw < 0.06:
                order["items"].append({"sku": "NO-SUCH-SKU", "quantity": 1})
            case draw if draw < 0.07:
                order["items"] = lines({f"SKU-{each}": 1 for each in range(100)})
            case draw if draw < 0.10:
                body = rng.choice(["?", "{", "[]", '{"type": "ReserveInventory"}', f'"{order_id}"'])
                self.sent.append((moment, body))
            case draw if draw < 0.12:
                self._send(fulfill(f"{_NEVER}{number}", timestamp=self._time(moment)), moment)
        self._send(order, moment)
        if rng.random() < 0.15:
            self._send(order, self._later(moment, least=0))  # a duplicate, at once or much later
        if rng.random() < 0.03:
            other = lines({rng.choice(SKUS): 9})
            self._send({**order, "items": other}, self._later(moment, least=0))  # with other items
        for change, after in [
            *self._of_hold(order_id, moment, end),
            *self._of_units(order_id, moment, items),
        ]:
            self._send(change | {"timestamp": self._time(after)}, after)
            if rng.random() < 0.15:
                self._send(change | {"timestamp": self._time(after)}, self._later(after))

    def add_busy_order(self, order_id: str, moment: float) -> None:
        """Plan an order with more operations than an order takes; they ask for more than it holds."""
        self._send(reserve(order_id, {SKUS[0]: 1}, timestamp=self._time(moment)), moment)
        for number in range(MAX_OPERATIONS + 5):
            operation = fulfill(order_id, f"ship-{number}", {SKUS[0]: 2}, timestamp=self._time(moment))
            self._send(operation, self._later(moment, least=0))

    def _of_hold(self, order_id: str, moment: float, end: float) -> Iterator[tuple[dict[str, Any], float]]:
        """Confirmations and extensions, some of them before the order, some too late. Firm orders get few."""
        rng, often = self.rng, 1.0 if end > moment else 0.1
        near = min(end, moment + 15)
        if rng.random() < 0.5 * often:
            yield confirm(order_id), rng.uniform(moment - 2 * self.slot, near + 5)
        if rng.random() < 0.3 * often:
            until = self._time(near + rng.uniform(-1, 4))
            if rng.random() < 0.1:
                until = "soon"
            yield extend(order_id, "extend-1", until), rng.uniform(moment - 2 * self.slot, near + 0.5)

    def _of_units(
        self, order_id: str, moment: float, items: dict[str, int]
    ) -> Iterator[tuple[dict[str, Any], float]]:
        """Shipments and releases, in parts or whole, some before the order, some of more than it holds."""
        rng = self.rng
        for make, name, share in ((fulfill, "ship", 0.25), (release, "back", 0.12)):
            if rng.random() > share:
                continue
            for number in range(rng.randint(1, 2)):
                sku = rng.choice(list(items))
                units = rng.randint(1, items[sku]) + (9 if rng.random() < 0.1 else 0)
                operation_id = None if rng.random() < 0.05 else f"{name}-{number}"  # needed, so it is invalid
                yield make(order_id, operation_id, {sku: units}), self._later(moment)
        if rng.random() < 0.15:
            yield fulfill(order_id), self._later(moment)
        if rng.random() < 0.15:
            yield release(order_id, reason="CUSTOMER_CANCELLED"), self._later(moment)

    def _send(self, message: dict[str, Any], after: float) -> None:
        self.sent.append((after, json.dumps(message)))

    def _later(self, moment: float, least: float = -3) -> float:
        """At most 30 orders after `moment`, or some orders before it."""
        return moment + self.rng.uniform(least, 30) * self.slot

    def _time(self, after: float) -> str:
        return (self.began + timedelta(seconds=after)).isoformat(timespec="milliseconds")


def send(sqs: SQSClient, queue_url: str, planned: Sequence[Planned]) -> None:
    """Send messages in batches, each when its last message is due."""
    began = time.monotonic()
    for start in range(0, len(planned), 10):
        batch = planned[start : start + 10]
        time.sleep(max(0.0, began + batch[-1][0] - time.monotonic()))
        entries: Any = [{"Id": str(each), "MessageBody": body} for each, (_, body) in enumerate(batch)]
        response = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        assert len(response["Successful"]) == len(batch)


@dataclass
class StockAdjuster:
    """A caller of REST: creates the products, and adjusts their stock until `stop`.

    It retries with the same key until it gets a final response. `changed` is by how much the stock changed
    according to the responses; the `adjusted` adjustments took `requests` requests.
    """

    api: Api
    rng: Random
    changed: Counter[str] = field(default_factory=Counter)
    adjusted: int = 0
    requests: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def create_products(self, units: int) -> None:
        """Create the products, with `units` each."""
        for sku in SKUS:
            product = {"sku": sku, "name": sku, "price": 1}
            assert self._call("POST", "/products", product).status == 201
            self.adjust(sku, units, "RECEIVED")

    def run(self) -> None:
        """Adjust until `stop`, and finish the current adjustment."""
        while not self._over.wait(self.rng.uniform(0, 0.05)):
            self.adjust(self.rng.choice(SKUS), self.rng.choice([-4, -3, -2, -1, 1, 2, 3, 4]), "CORRECTION")

    def stop(self) -> None:
        self._over.set()

    def adjust(self, sku: str, delta: int, reason: str) -> None:
        path, body, key = f"/inventory/{sku}/adjustments", {"delta": delta, "reason": reason}, new_id("key")
        response = self._call("POST", path, body, Idempotency_Key=key)
        self.adjusted += 1
        assert response.status in (200, 409), response
        if response.status == 200:
            self.changed[sku] += delta
            if self.rng.random() < 0.2:
                assert self._call("POST", path, body, Idempotency_Key=key).body == response.body

    def _call(self, method: str, path: str, body: Any, **headers: str) -> Any:
        while True:
            self.requests += 1
            try:
                response = self.api.call(method, path, body, **headers)
            except OSError:  # the instance that served it was killed
                time.sleep(0.05)
                continue
            if response.status not in _RETRYABLE:
                return response
            time.sleep(0.05)
