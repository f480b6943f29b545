"""Changes of orders: the usual way and ours confirm, ship and release the same orders, in turns.

The orders are reserved before each round, outside the measured time, by our consumer in both accounts. So
both find the same records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.meter import Lap
from bench.orders import Orders, Row, events
from bench.race import ROUND, Stages, worker
from bench.units import Accounts, Units
from local.stage import Stage

NAMES: Final = ("usual", "ours")
_RESERVED_TOGETHER: Final = 50
_HOLD: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One row of the table of changes: the type of the message, and what the orders are like."""

    type: str
    orders: Row

    @property
    def title(self) -> str:
        row = self.orders
        return f"{self.type}, batches of {row.batch}, {row.skus:,} SKUs, +{row.latency_ms} ms"


def race_changes(
    row: ChangeRow, stages: Stages, rounds: int, seed: int
) -> dict[str, list[tuple[Lap, Units]]]:
    """Let both contestants change `rounds` rounds of `ROUND` orders, in turns, after one round of warm-up.

    Raises `AssertionError` if they end with different stock, or if one does not settle all changes.
    """
    orders = Orders(row.orders, seed)
    with ExitStack() as stack:
        homes = {name: stages.get(row.orders, f"{row.type}, {name}") for name in NAMES}
        reserving = {name: stack.enter_context(worker("ours", 0, home)) for name, home in homes.items()}
        changing = {
            name: stack.enter_context(worker(name, row.orders.latency_ms / 1000, home))
            for name, home in homes.items()
        }
        accounts = {name: Accounts() for name in NAMES}
        laps: dict[str, list[tuple[Lap, Units]]] = {name: [] for name in NAMES}
        for number in range(-1, rounds):
            bodies = [_hold(body) for body in orders.bodies(ROUND)]
            changes = events([_change(row.type, body) for body in bodies], row.orders.batch)
            for name in NAMES if number % 2 else reversed(NAMES):
                stages.stock_up(row.orders, f"{row.type}, {name}", bodies)
                reserved = reserving[name].run(events(bodies, _RESERVED_TOGETHER))
                accounts[name].charge(reserved.calls)
                lap = changing[name].run(changes)
                assert not reserved.failures + lap.failures, f"{name} did not settle all messages"
                units = accounts[name].charge(lap.calls)
                if number >= 0:
                    laps[name].append((lap, units))
            _compare(row, homes)
        for home in homes.values():
            home.sqs.purge_queue(QueueUrl=home.oms_queue_url)
    return laps


def _hold(body: str) -> str:
    """The same order, until tomorrow: so that there is something to confirm."""
    order = json.loads(body)
    return json.dumps(order | {"expires_at": (datetime.now(UTC) + _HOLD).isoformat()})


def _change(kind: str, body: str) -> str:
    """The message that changes the whole order in `body`."""
    order_id = json.loads(body)["order_id"]
    return json.dumps({"type": kind, "order_id": order_id, "timestamp": datetime.now(UTC).isoformat()})


def _compare(row: ChangeRow, homes: Mapping[str, Stage]) -> None:
    """Check that both have the same available and reserved units."""
    usual, ours = (_levels(homes[name]) for name in NAMES)
    assert usual == ours, f"stock differs: {row.title}"


def _levels(stage: Stage) -> dict[str, Sequence[str]]:
    pages = stage.dynamodb.get_paginator("scan").paginate(TableName=stage.tables.inventory_table)
    items: list[Any] = [item for page in pages for item in page["Items"]]
    return {item["sku"]["S"]: (item["quantity"]["N"], item["reserved"]["N"]) for item in items}
