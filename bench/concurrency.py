"""`python -m bench.concurrency`: measures 1, 4 and 16 consumers on one hot SKU, with and without backoff.

The consumers are threads, because the model of conflicts must see every transaction in flight, and because 16
processes on a few cores would measure the scheduler. Each call takes `LATENCY` seconds more, as on AWS. A
consumer spends most of its time waiting for these calls.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from bench.orders import PLENTY, sku
from bench.output import arguments, machine, write
from bench.race import fill
from bench.tables import table
from local import environment
from local.emulator import running
from local.stage import open_stage

if TYPE_CHECKING:
    from bench.hot_sku import Sleep

LATENCY: Final = 0.01
CONSUMERS: Final = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of a number of consumers on one hot SKU."""

    way: str
    consumers: int
    orders_per_second: float
    tries_per_order: float
    refused_share: float
    left_share: float
    p50_ms: float
    p99_ms: float


def no_pause(_: float) -> None:
    """Retry at once."""


WAYS: Final[tuple[tuple[str, str, int, Sleep], ...]] = (
    ("usual way, backoff", "usual", 10, time.sleep),
    ("ours, batches of 10, no backoff", "ours", 10, no_pause),
    ("ours, batches of 10, backoff", "ours", 10, time.sleep),
    ("ours, batches of 50, no backoff", "ours", 50, no_pause),
    ("ours, batches of 50, backoff", "ours", 50, time.sleep),
)


def main() -> None:
    """Run each way with each number of consumers, print a table, and write JSON."""
    environment.isolate()
    # Not earlier: Powertools reads its settings when it is imported, and stops at an unknown LOG_LEVEL.
    from bench.hot_sku import HotSkuStage, run_consumers

    options = arguments("bench.concurrency", __doc__).parse_args()
    seconds, ways, numbers = (1.0, WAYS[:3], CONSUMERS[:2]) if options.short else (6.0, WAYS, CONSUMERS)
    accounts = itertools.count(400_000_000_000)
    results = []
    with running() as emulator:
        for (text, kind, batch, sleep), consumers in itertools.product(ways, numbers):
            stage = open_stage(emulator.endpoint_url, str(next(accounts)))
            fill(stage, iter([(sku(0), PLENTY)]))
            hot = HotSkuStage(stage, LATENCY)
            make = hot.ours if kind == "ours" else hot.usual
            tally, took = run_consumers([make(sleep) for _ in range(consumers)], batch, seconds)
            conflicts = hot.conflicts
            percentiles = quantiles(tally.batch_seconds * 2, n=100, method="inclusive")
            results.append(
                Measurement(
                    text,
                    consumers,
                    tally.settled / took,
                    conflicts.attempts / max(1, tally.settled),
                    conflicts.refused / conflicts.attempts,
                    tally.left / (tally.settled + tally.left),
                    percentiles[49] * 1000,
                    percentiles[98] * 1000,
                )
            )
    print(show(results), machine(), sep="\n\n")
    write(options.out, "concurrency", [asdict(result) for result in results])


def show(results: list[Measurement]) -> str:
    """The results as a table."""
    head = ["one hot SKU", "consumers", "orders/s", "transactions/order", "refused", "left to SQS"]
    return table(
        [*head, "batch p50 ms", "batch p99 ms"],
        (
            [
                r.way,
                str(r.consumers),
                f"{r.orders_per_second:,.0f}",
                f"{r.tries_per_order:.3f}",
                f"{r.refused_share:.0%}",
                f"{r.left_share:.1%}",
                f"{r.p50_ms:,.0f}",
                f"{r.p99_ms:,.0f}",
            ]
            for r in results
        ),
    )


if __name__ == "__main__":
    main()
