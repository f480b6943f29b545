"""Which rows are run. Not the full cross product (432 rows: hours).

Each dimension is varied from batches of 10 and 50 orders of 20 SKUs in stock, and where two dimensions make
each other worse (a large catalogue and sold-out SKUs: nothing to merge, and tries that are cancelled) both.
"""

from __future__ import annotations

from itertools import product

from bench.orders import Level, Row, Spread

SHORT = [
    Row(10, 20),
    Row(50, 20),
    Row(50, 1_000, spread=Spread.ZIPF),
    Row(10, 20, level=Level.HALF),
    Row(10, 20, latency_ms=2),
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
