"""The input of every contestant: the initial stock, and orders as SQS events in the format of Lambda."""

from __future__ import annotations

import itertools
import json
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

PLENTY: Final = 1_000_000_000
MAX_LINES: Final = 5
_QUEUE_ARN: Final = "arn:aws:sqs:us-east-1:000000000000:IMS-InventoryQueue"

Event = dict[str, Any]


class Spread(StrEnum):
    """The distribution of demand over the SKUs."""

    EVEN = "even"
    ZIPF = "Zipf 1.1"


class Level(StrEnum):
    """The stock at the start of each round."""

    ALL = "in stock"
    HALF = "half sold out"  # every other SKU has none
    RUNS_OUT = "runs out midway"  # each SKU has half of the units that the round orders
    NONE = "all sold out"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: the orders, the stock, and the added latency of each AWS call."""

    batch: int
    skus: int
    spread: Spread = Spread.EVEN
    level: Level = Level.ALL
    duplicates: bool = False
    latency_ms: int = 0

    @property
    def stock_name(self) -> str:
        """Rows with the same name share their stock, but not those with duplicates: threads take it twice."""
        return f"{self.skus} {self.level} {self.duplicates}"


def sku(number: int) -> str:
    """The name of SKU `number`."""
    return f"SKU-{number:06}"


def stock(row: Row) -> Iterator[tuple[str, int]]:
    """The stock of each SKU of `row` before the first round."""
    for number in range(row.skus):
        empty = row.level is Level.NONE or (row.level is Level.HALF and number % 2 == 1)
        yield sku(number), 0 if empty else PLENTY


def half_of(bodies: Sequence[str]) -> dict[str, int]:
    """Half of the units that `bodies` order of each SKU, rounded up."""
    return {name: (units + 1) // 2 for name, units in ordered(bodies).items()}


def ordered(bodies: Sequence[str]) -> dict[str, int]:
    """The units that `bodies` order of each SKU."""
    asked: dict[str, int] = {}
    for body in bodies:
        for line in json.loads(body)["items"]:
            asked[line["sku"]] = asked.get(line["sku"], 0) + line["quantity"]
    return asked


class Orders:
    """An endless series of orders for `row`; the same `seed` gives the same orders."""

    def __init__(self, row: Row, seed: int) -> None:
        self._rng = random.Random(seed)
        self._row = row
        self._number = itertools.count()
        self._prefix = f"order-{uuid.UUID(int=self._rng.getrandbits(128))}"
        weights = [(rank + 1) ** (-1.1 if row.spread is Spread.ZIPF else 0.0) for rank in range(row.skus)]
        self._cumulative = list(itertools.accumulate(weights))

    def bodies(self, count: int) -> list[str]:
        """The next `count` messages; if the row has duplicates, a tenth of them are redeliveries."""
        fresh = count - count // 10 if self._row.duplicates else count
        bodies = [self._order() for _ in range(fresh)]
        for _ in range(count - fresh):
            again = self._rng.randrange(len(bodies))
            bodies.insert(self._rng.randint(again + 1, len(bodies)), bodies[again])
        return bodies

    def _order(self) -> str:
        lines = self._rng.randint(1, min(MAX_LINES, self._row.skus))
        numbers: set[int] = set()
        while len(numbers) < lines:
            numbers.update(self._rng.choices(range(self._row.skus), cum_weights=self._cumulative))
        return json.dumps(
            {
                "type": "ReserveInventory",
                "order_id": f"{self._prefix}-{next(self._number):06}",
                "customer_id": f"customer-{self._rng.randrange(10**6):06}",
                "items": [{"sku": sku(n), "quantity": self._rng.randint(1, 3)} for n in sorted(numbers)],
                "timestamp": datetime.now(UTC).isoformat(),
            }
        )


def events(bodies: Sequence[str], batch: int) -> list[Event]:
    """`bodies` as the events that Lambda would pass on; a repeated body is a redelivery.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    received: dict[str, int] = {}
    records = []
    for body in bodies:
        received[body] = received.get(body, 0) + 1
        records.append(_record(body, received[body]))
    return [{"Records": records[start : start + batch]} for start in range(0, len(records), batch)]


def _record(body: str, receives: int) -> dict[str, Any]:
    sent = str(int(datetime.now(UTC).timestamp() * 1000))
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "AQEB" + uuid.uuid4().hex,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": sent,
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": sent,
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": _QUEUE_ARN,
        "awsRegion": "us-east-1",
    }
