import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Any

import pytest
from chalice.local import LambdaContext

from chalicelib import bootstrap
from chalicelib.aws.deadline import MARGIN_SECONDS, Deadline
from chalicelib.contracts.events import event_id
from chalicelib.domain.reservation import AnswerType, Outcome, Reference, Reservation
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import OweAnswers
from chalicelib.errors import AwsError
from chalicelib.handlers.inventory_queue import respond
from chalicelib.store.items import owed_to_item, reservation_to_item
from local.emulator import HOST
from local.oms import release, reserve
from local.stack import FUNCTION_SECONDS
from local.stage import Stage, open_stage
from tests.faults import http_faults
from tests.faults.conftest import Report
from tests.faults.faulty_proxy import Exchange, Fault, FaultyProxy, Response, Script, no_fault
from tests.support.messages import confirm, fulfill, text
from tests.support.rest import reset_clients

MESSAGES = 99
COMMITS, ANSWERS = 60, 20
"""In the outbox: more than a sweep can send to a slow queue."""
HOLDS = 200
TERRAFORMS_LEAST, USUAL, LOCAL = 20.0, 60.0, float(FUNCTION_SECONDS)
USUAL_SWEEP = 50.0
SLOWEST_CALL = 9.0
"""Seconds; more than half of the local limit, which therefore cannot be kept."""


def just_in_time(exchange: Exchange) -> Response:
    """A response shortly before the client times out."""
    exchange.wait(2.8)
    return exchange.proceed()


def always(fault: Fault) -> Callable[[], Script]:
    return lambda: lambda _: fault


def slowest() -> Script:
    """No response to a first try, and a late one to the second: no successful call takes longer."""
    faults = itertools.cycle([http_faults.timed_out_before_effect, just_in_time])
    return lambda _: next(faults)


def never() -> Script:
    return no_fault


CASES: list[tuple[str, Callable[[], Script], Callable[[], Script]]] = [
    ("DynamoDB silent", always(http_faults.timed_out_before_effect), never),
    ("DynamoDB silent after effect", always(http_faults.timed_out_after_effect), never),
    ("DynamoDB just in time", always(just_in_time), never),
    ("SQS silent", never, always(http_faults.timed_out_after_effect)),
    ("SQS at its slowest", never, slowest),
    ("both just in time", always(just_in_time), always(just_in_time)),
    ("both at their slowest", slowest, slowest),
]


def batch(count: int) -> dict[str, Any]:
    """New and redelivered reservations, some of them short of stock, and releases of some."""
    records = []
    for number in range(count):
        message = release(f"order-{number - 1}") if number % 3 == 2 else reserve(f"order-{number}", {"A": 2})
        attributes = {"SentTimestamp": "0", "ApproximateReceiveCount": str(1 + number % 2)}
        records.append({"messageId": str(number), "body": text(message), "attributes": attributes})
    return {"Records": records}


Work = Callable[[Deadline], object]
Run = tuple[str, Work]


def changes(count: int) -> dict[str, Any]:
    """A confirmation and two shipments, a part and the rest, of each order; half of them redelivered."""
    made = []
    for number in range(count // 3):
        order = f"order-{number}"
        made += [confirm(order), fulfill(order, "part", {"A": 1}), fulfill(order)]
    records = []
    for number, message in enumerate(made):
        attributes = {"SentTimestamp": "0", "ApproximateReceiveCount": str(1 + number % 2)}
        body = text(message | {"timestamp": iso(datetime.now(UTC))})
        records.append({"messageId": str(number), "body": body, "attributes": attributes})
    return {"Records": records}


def stock_up(stage: Stage, reserved: int) -> None:
    item = {"sku": {"S": "A"}, "quantity": {"N": "9"}, "updated_at": {"S": "2026-11-22T00:00:00Z"}}
    item["reserved"] = {"N": str(reserved)}
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item)


def record(stage: Stage, reservations: Sequence[Reservation]) -> None:
    """Put records in place, as if they had been settled some time ago."""
    requests: list[Any] = [
        {"PutRequest": {"Item": reservation_to_item(each, int(time.time()) + 3600)}} for each in reservations
    ]
    for start in range(0, len(requests), 25):
        batch = {stage.tables.processed_events_table: requests[start : start + 25]}
        stage.dynamodb.batch_write_item(RequestItems=batch)


def hold(order: str, units: int, end: datetime) -> Reservation:
    """A hold of some units until `end`."""
    held, until = {"A": units}, iso(end)
    created = iso(datetime.now(UTC) - timedelta(hours=1))
    asked = Reservation(order, Outcome.RESERVED, created, "c", held, answer(order), change="before")
    return replace(asked, held=held, expires_at=until, due_at=until)


def settling(stage: Stage) -> Work:
    """The consumer's work on new orders."""
    stock_up(stage, reserved=0)
    consumer, event = bootstrap.consumer(), batch(MESSAGES)
    return lambda deadline: respond(event, consumer, deadline)


def changing(stage: Stage) -> Work:
    """The consumer's work on orders on record: holds, and holds that have ended, which are confirmed late.

    There is not enough stock for all of those.
    """
    end = datetime.now(UTC) + timedelta(hours=1)
    orders = [hold(f"order-{number}", 4, end) for number in range(MESSAGES // 3)]
    for number in range(0, len(orders), 3):
        before = replace(orders[number], held={}, expires_at=None, due_at=None)
        orders[number] = replace(before, outcome=Outcome.RELEASED, expired=before.items)
    record(stage, orders)
    stock_up(stage, reserved=sum(order.counted.get("A", 0) for order in orders))
    consumer, event = bootstrap.consumer(), changes(MESSAGES)
    return lambda deadline: respond(event, consumer, deadline)


def sweeping(stage: Stage) -> Work:
    """The sweep's work: an outbox to which a minute ago nobody sent anything, and holds that are due."""
    then = datetime.now(UTC) - timedelta(minutes=1)
    for commit in map(str, range(COMMITS)):
        orders = [f"{commit}-{number}" for number in range(ANSWERS)]
        record(
            stage,
            [
                Reservation(order, Outcome.RESERVED, iso(then), "c", {"A": 1}, answer(order), change=commit)
                for order in orders
            ],
        )
        owed = OweAnswers(commit, [Reference(order) for order in orders])
        stage.dynamodb.put_item(TableName=stage.tables.outbox_table, Item=owed_to_item(owed, then))
    due = ending(stage)
    sweep = bootstrap.sweep()

    def work(deadline: Deadline) -> None:  # as chalicelib.handlers.sweep does
        due(deadline.share(2))
        with suppress(AwsError):  # the outbox cannot be read
            sweep.run(deadline)

    return work


def ending(stage: Stage) -> Work:
    """The sweep's work if only holds are due, in each part of their index."""
    stock_up(stage, reserved=HOLDS)
    then = datetime.now(UTC) - timedelta(minutes=1)
    record(stage, [hold(f"hold-{number}", 1, then) for number in range(HOLDS)])
    holds = bootstrap.hold_sweep()

    def work(deadline: Deadline) -> None:
        with suppress(AwsError):  # the index cannot be read
            holds.run(deadline)

    return work


def answer(order: str) -> str:
    kind = AnswerType.RESERVED
    return json.dumps({"type": kind.value, "event_id": event_id(order, kind), "order_id": order})


Runs = Callable[[Callable[[Stage], Work]], list[Run]]


@pytest.fixture
def runs_of(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Makes a run of each case, with its own stage and clients, so that all can run at once."""
    monkeypatch.setenv("NO_PROXY", HOST)
    with ExitStack() as stack:

        def make(function: Callable[[Stage], Work]) -> list[Run]:
            made = []
            for name, *scripts in CASES:
                stage = open_stage(emulator, f"{SystemRandom().randrange(10**11, 10**12)}")
                with faulty(stage, monkeypatch, stack, scripts):
                    made.append((name, function(stage)))
            return made

        yield make
    reset_clients()


@contextmanager
def faulty(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, stack: ExitStack, scripts: list[Callable[[], Script]]
) -> Iterator[None]:
    """Let what `chalicelib.bootstrap` makes meet the faults of `scripts`, until `stack` closes."""
    proxies = [FaultyProxy(client.meta.endpoint_url) for client in (stage.dynamodb, stage.sqs)]
    with monkeypatch.context() as patched:
        for name, value in stage.env.items():
            patched.setenv(name, value)
        for service, proxy, script in zip(("DYNAMODB", "SQS"), proxies, scripts, strict=True):
            proxy.script = script()
            patched.setenv(f"AWS_ENDPOINT_URL_{service}", proxy.url)
            stack.callback(proxy.close)
        reset_clients()
        yield
        for client in (bootstrap.dynamodb(), bootstrap.sqs(), stage.dynamodb, stage.sqs):
            stack.callback(client.close)


def longest(runs: list[Run], pace: Callable[[], Deadline], report: Report) -> float:
    """The seconds of the slowest run, when all start at once."""

    def seconds(run: Run) -> float:
        _, work = run
        began = time.monotonic()
        work(pace())
        return time.monotonic() - began

    with ThreadPoolExecutor(len(runs)) as threads:
        taken = list(threads.map(seconds, runs))
    report({f"{name} (s)": f"{each:.1f}" for (name, _), each in zip(runs, taken, strict=True)})
    return max(taken)


def invocation(limit: float) -> Deadline:
    return Deadline.of(LambdaContext("function", memory_size=512, max_runtime_ms=int(limit * 1000)))


consumer_work = pytest.mark.parametrize("function", [settling, changing])
sweep_work = pytest.mark.parametrize("function", [sweeping, ending])


@consumer_work
@pytest.mark.parametrize(
    "more", [0.2, pytest.param(3.0, marks=pytest.mark.faults), pytest.param(6.0, marks=pytest.mark.faults)]
)
def test_work_that_starts_before_the_reserve_ends_in_time(
    runs_of: Runs, more: float, function: Callable[[Stage], Work], report: Report
) -> None:
    limit = MARGIN_SECONDS + more

    def pace() -> Deadline:
        end = time.monotonic() + limit
        return Deadline(remaining=lambda: end - time.monotonic(), margin=MARGIN_SECONDS)

    assert longest(runs_of(function), pace, report) < limit


@pytest.mark.faults
@consumer_work
@pytest.mark.parametrize(
    ("limit", "most"),
    [(USUAL, USUAL), (TERRAFORMS_LEAST, TERRAFORMS_LEAST), (LOCAL, LOCAL / 2 + SLOWEST_CALL)],
)
def test_a_function_ends_in_time_however_slow_the_services_are(
    runs_of: Runs, limit: float, most: float, function: Callable[[Stage], Work], report: Report
) -> None:
    assert longest(runs_of(function), lambda: invocation(limit), report) < most


@pytest.mark.faults
@sweep_work
@pytest.mark.parametrize("limit", [USUAL_SWEEP, TERRAFORMS_LEAST])
def test_a_sweep_ends_in_time_however_slow_the_services_are(
    runs_of: Runs, limit: float, function: Callable[[Stage], Work], report: Report
) -> None:
    assert longest(runs_of(function), lambda: invocation(limit), report) < limit
