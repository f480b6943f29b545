"""The rows that are run. The full cross product has 432 rows and would take hours.

The base is batches of 10 and 50 orders of 20 SKUs in stock; each row varies one dimension of it. Two
dimensions vary together if they make each other worse: with many SKUs, some of them sold out, there is
nothing to merge, and tries are cancelled.
"""

from __future__ import annotations

from itertools import product

from bench.changes import ChangeRow
from bench.orders import Level, Row, Spread

SHORT = [
    Row(10, 20),
    Row(50, 20),
    Row(10, 20, level=Level.HALF),
    Row(10, 20, latency_ms=5),
    Row(50, 20, latency_ms=5),
    Row(50, 1_000, latency_ms=5),
    Row(10, 100_000),
    Row(10, 100_000, level=Level.HALF),
]

FULL = [
    *(Row(batch, skus) for skus, batch in product((20, 1_000, 100_000), (10, 50, 100))),
    *(Row(batch, skus, spread=Spread.ZIPF) for skus, batch in product((20, 1_000, 100_000), (10, 50))),
    *(
        Row(batch, 20, level=level)
        for level, batch in product((Level.HALF, Level.RUNS_OUT, Level.NONE), (10, 50))
    ),
    *(Row(batch, 1_000, level=level) for level, batch in product((Level.HALF, Level.NONE), (10, 50))),
    Row(10, 100_000, level=Level.HALF),
    Row(10, 20, duplicates=True),
    Row(50, 20, duplicates=True),
    *(Row(batch, 20, latency_ms=ms) for ms, batch in product((2, 5), (10, 50))),
    Row(50, 1_000, latency_ms=5),
]

CHANGES = [
    ChangeRow(kind, Row(50, 20, latency_ms=5))
    for kind in ("ConfirmInventory", "FulfillInventory", "ReleaseInventory")
]
