"""The load: what the OMS sends in a busy hour, and callers of REST who adjust stock meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from local.client import Api
from local.oms import new_id, release, reserve

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

SKUS: Final = [f"SKU-{number}" for number in range(6)]
_RETRYABLE: Final = (500, 502, 503, 504)
"""Statuses after which the caller retries with the same idempotency key."""


def messages(rng: Random, orders: int) -> list[str]:
    """The bodies of about 1.4 messages per order, in the order in which they are sent."""
    sent: list[tuple[float, str]] = []

    def send(message: Any, after: float) -> None:
        body = message if isinstance(message, str) else json.dumps(message)
        sent.append((after, body))

    for number in range(orders):
        order_id, moment = f"order-{number}", number + rng.random()
        order = reserve(
            order_id,
            {sku: rng.randint(1, 3) for sku in rng.sample(SKUS, rng.randint(1, 3))},
            f"customer-{number}",
        )
        match rng.random():
            case draw if draw < 0.04:
                order["items"][0]["quantity"] = rng.choice([0, 1.5, "2", True, None])
            case draw if draw < 0.06:
                order["items"].append({"sku": "NO-SUCH-SKU", "quantity": 1})
            case draw if draw < 0.07:
                order["items"] = [{"sku": f"SKU-{each}", "quantity": 1} for each in range(100)]
            case draw if draw < 0.10:
                send(rng.choice(["?", "{", "[]", '{"type": "ReserveInventory"}', f'"{order_id}"']), moment)
        send(order, moment)
        if rng.random() < 0.15:
            send(order, moment + rng.uniform(0, 30))  # a duplicate, at once or much later
        if rng.random() < 0.03:
            send(reserve(order_id, {rng.choice(SKUS): 9}), moment + rng.uniform(0, 30))  # with other items
        if rng.random() < 0.15:
            send(release(order_id), moment + rng.uniform(-3, 30))  # sometimes before the order
            if rng.random() < 0.2:
                send(release(order_id), moment + rng.uniform(0, 40))
    return [body for _, body in sorted(sent)]


def send(sqs: SQSClient, queue_url: str, bodies: Sequence[str], seconds: float) -> None:
    """Send `bodies` in batches, spread over about `seconds`."""
    batches = [bodies[start : start + 10] for start in range(0, len(bodies), 10)]
    began = time.monotonic()
    for number, batch in enumerate(batches):
        entries: Any = [{"Id": str(each), "MessageBody": body} for each, body in enumerate(batch)]
        response = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        assert len(response["Successful"]) == len(batch)
        time.sleep(max(0.0, began + seconds * (number + 1) / len(batches) - time.monotonic()))


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
