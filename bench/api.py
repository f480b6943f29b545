"""`python -m bench.api`: times each route against its AWS calls alone, with a growing number of products.

Each route runs in this process. Its AWS calls are recorded, then replayed by an identical client (bare) in
another account. What the route adds is the processor time outside its AWS calls. It waits for nothing else,
and the time by the clock would grow with the load of the machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import mean, median, quantiles
from typing import Any, Final

from bench.goals import Goal, at_most, verdicts
from bench.meter import Meter
from bench.orders import sku
from bench.output import arguments, machine, write
from bench.race import fill
from bench.routes import ROUTES, Call
from bench.tables import table
from bench.worker import Context, Floor
from local import environment
from local.emulator import running
from local.stage import Stage, open_stage

_MS_PER_ENTRY: Final = 0.005


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one request to a route, and of its AWS calls alone (bare).

    added_p50: processor time outside the AWS calls; the others are by the clock.
    """

    route: str
    products: int
    entries: int
    aws_calls: float
    p50: float
    p99: float
    per_second: float
    bare_p50: float
    bare_p99: float
    added_p50: float


class Bench:
    """The app on one stage, and a bare client on a second stage with the same data."""

    def __init__(self, app_stage: Stage, bare_stage: Stage) -> None:
        os.environ.update(app_stage.env)
        # The import is here because the app reads its environment when it is imported.
        from app import app
        from chalicelib import bootstrap

        self._app = app
        self._meter = Meter(latency=0)
        self._meter.watch(bootstrap.dynamodb())
        bootstrap.dynamodb().meta.events.register("provide-client-params", self._enter)
        bootstrap.dynamodb().meta.events.register("after-call", self._leave)
        self._floor = Floor({"dynamodb": bare_stage.dynamodb})

    def time(self, call: Call, products: int, count: int, first: int = 0) -> Timing:
        """Send `count` requests, numbered from `first`, each followed by its bare AWS calls."""
        context = Context()
        for warm_up in range(first, first + 5):
            self._once(call, warm_up, context)
        laps = [self._once(call, number, context) for number in range(first + 5, first + 5 + count)]
        whole, bare, added, calls = zip(*laps, strict=True)
        ours, theirs = quantiles(whole, n=100), quantiles(bare, n=100)
        return Timing(
            call.title,
            products,
            call.entries,
            mean(calls),
            ours[49],
            ours[98],
            1000 / mean(whole),
            theirs[49],
            theirs[98],
            median(added),
        )

    def _once(self, call: Call, number: int, context: Context) -> tuple[float, float, float, int]:
        event = call.event(number)
        self._meter.start()
        self._in_calls = 0.0
        began, own = time.perf_counter(), time.thread_time()
        response = self._app(event, context)
        whole, added = time.perf_counter() - began, time.thread_time() - own - self._in_calls
        assert response["statusCode"] < 400, f"{call.title}: {response['body']}"
        began = time.perf_counter()
        for recorded in self._meter.calls:
            self._floor.handle(recorded, None)
        bare = time.perf_counter() - began
        return whole * 1000, bare * 1000, added * 1000, len(self._meter.calls)

    def _enter(self, **_: object) -> None:
        self._entered = time.thread_time()

    def _leave(self, **_: object) -> None:
        self._in_calls += time.thread_time() - self._entered


def load(stage: Stage, first: int, last: int) -> None:
    """Add the products `first` to `last` - 1, with stock."""
    numbers = range(first, last)
    for start in range(0, len(numbers), 25):
        puts: Any = [{"PutRequest": {"Item": _product(number)}} for number in numbers[start : start + 25]]
        stage.dynamodb.batch_write_item(RequestItems={stage.tables.product_table: puts})
    fill(stage, iter([(sku(number), 1_000_000) for number in numbers]))


def _product(number: int) -> dict[str, Any]:
    moment = {"S": "2026-11-22T19:30:00.123Z"}
    return {
        "sku": {"S": sku(number)},
        "name": {"S": f"Product {number}"},
        "price": {"N": "9.99"},
        "created_at": moment,
        "updated_at": moment,
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Discard all output to standard output."""
    sys.stdout.flush()
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


def growing() -> list[Call]:
    """The routes whose time could grow with the number of products."""
    page = {"limit": "100"}
    return [
        Call("GET", "/products", query=lambda _: page, entries=100, note=" (100)"),
        Call("GET", "/inventory", query=lambda _: page, entries=100, note=" (100)"),
        next(call for call in ROUTES if call.route == "/inventory/check"),
    ]


def main() -> None:
    """Time each route, then lists and checks with ever more products; print tables and write JSON."""
    environment.isolate()
    options = arguments("bench.api", __doc__).parse_args()
    count = 40 if options.short else 300
    sizes = (100, 1_000) if options.short else (100, 1_000, 10_000, 100_000)
    with running() as emulator:
        stages = [open_stage(emulator.endpoint_url, account) for account in ("500000000001", "500000000002")]
        for stage in stages:
            load(stage, 0, 100)
        with quiet():
            bench = Bench(*stages)
            routes = [bench.time(call, 100, count) for call in ROUTES]
            growth: list[Timing] = []
            for before, size in zip((100, *sizes), sizes, strict=False):
                for stage in stages:
                    load(stage, before, size)
                growth += [bench.time(call, size, count // 5) for call in growing()]
    print(show(routes), show_growth(growth), verdicts(goals(routes + growth)), machine(), sep="\n\n")
    write(options.out, "api", [asdict(timing) for timing in [*routes, *growth]])


def show(timings: Sequence[Timing]) -> str:
    """A table of each route and the time that it adds."""
    head = ["route", "AWS calls", "p50 ms", "p99 ms", "requests/s", "bare p50", "bare p99", "added p50"]
    return table(
        head,
        (
            [
                t.route,
                f"{t.aws_calls:.1f}",
                *(f"{value:.2f}" for value in (t.p50, t.p99)),
                f"{t.per_second:,.0f}",
                *(f"{value:.2f}" for value in (t.bare_p50, t.bare_p99, t.added_p50)),
            ]
            for t in timings
        ),
    )


def show_growth(timings: Sequence[Timing]) -> str:
    """A table of the routes by the number of products."""
    head = ["one page or check", "products", "AWS calls", "p50 ms", "bare p50", "added p50"]
    return table(
        head,
        (
            [
                t.route,
                f"{t.products:,}",
                f"{t.aws_calls:.1f}",
                f"{t.p50:.2f}",
                f"{t.bare_p50:.2f}",
                f"{t.added_p50:.2f}",
            ]
            for t in timings
        ),
    )


def goals(timings: Sequence[Timing]) -> list[Goal]:
    """What a route may add to its AWS calls: 1 ms; one that lists entries 0.5 ms, and 0.005 ms for each."""
    single = [(t.added_p50, t.route) for t in timings if not t.entries]
    listing = [
        (t.added_p50 - _MS_PER_ENTRY * t.entries, f"{t.route}, {t.products:,} products")
        for t in timings
        if t.entries
    ]
    return [
        *at_most("ms added to AWS calls, p50, routes without a list", 1, single),
        *at_most(f"the same but {_MS_PER_ENTRY} ms an entry, routes with a list", 0.5, listing),
    ]


if __name__ == "__main__":
    main()
