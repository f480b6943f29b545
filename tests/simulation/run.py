"""One history, from an empty stage until nothing is left to do."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from random import Random
from unittest import mock
from uuid import UUID

from chalicelib.aws import dynamodb
from chalicelib.consumer import delivery, holds, sweep
from chalicelib.domain import reservation
from chalicelib.domain.reservation import Reference
from chalicelib.domain.stock import Adjustment, Product
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import OweAnswers
from chalicelib.services import change_settler, groups, settler, stock_changes
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store import items, product_store
from chalicelib.store.items import owed_to_item
from chalicelib.store.product_store import ProductStore
from chalicelib.store.stock_store import StockStore
from tests.simulation.actors import Simulation, Writer, schedule_messages
from tests.simulation.callers import Caller, Migration
from tests.simulation.functions import HoldSweeper, Sweeper, Worker
from tests.simulation.invariants import Violation, check
from tests.simulation.life import LATER
from tests.simulation.network import LogLine
from tests.simulation.old_version import OldConsumer
from tests.simulation.scenario import Scenario
from tests.simulation.scheduler import NeverQuiet, Scheduler
from tests.simulation.timeline import MirroredHistory, Timeline
from tests.support.deadlines import endless
from tests.support.engines import Disorder, FakeStage, fake_stage, store

QUIET = "8 the system becomes quiet"
EXPECTED_ERRORS = "9 no unexpected error"


@dataclass(frozen=True, slots=True)
class History:
    """One run: its scenario, what happened (`log` for people, `timeline` for invariants), the violation."""

    scenario: Scenario
    log: list[LogLine]
    timeline: Timeline
    violation: Violation | None

    @property
    def faults(self) -> frozenset[tuple[str, int]]:
        """The faults that happened: the actor, and the number of its call."""
        return frozenset((line.actor, line.call) for line in self.log if line.fault)


def run(scenario: Scenario) -> History:
    """Run a scenario and check it; the same scenario gives the same history."""
    stage = _stage(scenario)
    timeline = Timeline()
    stage.dynamodb.history, stage.sqs.history = MirroredHistory(timeline), MirroredHistory(timeline)
    simulation = Simulation(scenario, Scheduler(stage.clock), stage, timeline)
    rng = scenario.rng("deliveries")
    # A sweep of 6 s has 1.5 s to read what an item names, and to begin to send it.
    page = scenario.life.page if scenario.time_limit > 6 else max(scenario.life.page, 10)
    ids = mock.Mock(side_effect=(UUID(int=n) for n in count()))
    with (
        mock.patch.object(stock_changes, "uuid4", ids),
        mock.patch.object(product_store, "uuid4", ids),
        # Most histories have few orders; smaller parts and pages let them have several, too.
        mock.patch.object(delivery, "MAX_ENTRIES", rng.choice((1, 2, 10))),
        mock.patch.object(delivery, "IN_PROGRESS", rng.choice((1, 2, 16))),
        mock.patch.object(groups, "HALVE_AFTER", rng.choice((1, 1, 3))),
        mock.patch.object(sweep, "MAX_KEYS", rng.choice((1, 3, 100))),
        mock.patch.object(sweep, "PATIENCE", timedelta(seconds=scenario.patience)),
        mock.patch.object(store, "MAX_PAGE", rng.choice((1, 300, 1_000_000))),
        mock.patch.object(settler, "uuid4", ids),
        mock.patch.object(change_settler, "MAX_KEYS", page),
        mock.patch.object(dynamodb, "MAX_KEYS", page),
        mock.patch.object(holds, "HOLD_SHARDS", scenario.life.shards),
        mock.patch.object(items, "HOLD_SHARDS", scenario.life.shards),
        mock.patch.object(reservation, "MAX_OPERATIONS", scenario.life.max_operations),
    ):
        _create_products(scenario, stage)
        _owe(scenario.strays, stage)
        _run_old_version(simulation)
        schedule_messages(simulation)
        for number, writes in enumerate(scenario.writes):
            simulation.scheduler.spawn(Writer(simulation, f"writer {number}", writes))
        for number, calls in enumerate(scenario.life.calls):
            simulation.scheduler.spawn(Caller(simulation, f"caller {number}", calls))
        for number, at in enumerate(scenario.life.migrations):
            if at < LATER / 2:
                simulation.scheduler.spawn(Migration(simulation, f"migration {number}"), at)
        violation = _run_until_quiet(simulation, "")
        if violation is None and scenario.redrive:
            _redrive(stage)
            violation = _run_until_quiet(simulation, "later ")
        if violation is None and scenario.life.later:
            _expire(simulation)
            violation = _run_until_quiet(simulation, "last ")
    dead = {simulation.message_numbers[id_] for id_ in stage.sqs.find(stage.dlq_url).messages}
    return History(
        scenario, simulation.log, timeline, violation or check(scenario, timeline, dead, stage.clock.now)
    )


def _stage(scenario: Scenario) -> FakeStage:
    disorder = Disorder(scenario.rng("queue"), scenario.repeats)
    return fake_stage(
        visibility_seconds=scenario.visibility,
        max_receive_count=scenario.max_receives,
        disorder=disorder,
        index_lag=scenario.life.index_lag,
        checked=False,
    )


def _create_products(scenario: Scenario, stage: FakeStage) -> None:
    deadline = endless(stage.clock)
    now = iso(deadline.now())
    products = ProductStore(stage.dynamodb, stage.tables)
    changes = StockChanges(StockStore(stage.dynamodb, stage.tables))
    for sku, units in scenario.stock.items():
        products.create(Product(sku, sku, Decimal("9.99"), None, None, now, now), deadline)
        if units:
            changes.adjust(sku, Adjustment(units, "RECEIVED"), deadline)


def _owe(references: Sequence[str], stage: FakeStage) -> None:
    """Let the outbox owe answers that are on no record."""
    if references:
        now = endless(stage.clock).now()
        item = owed_to_item(OweAnswers("stray", [Reference.parse(name) for name in references]), now)
        stage.dynamodb.put_item(TableName=stage.tables.outbox_table, Item=item)


def _run_old_version(simulation: Simulation) -> None:
    """Let version 1.1 handle some messages: before the beginning, or in the middle."""
    for number, message in enumerate(simulation.scenario.messages):
        if message.old is None:
            continue
        name = f"old {number}"
        at, steps = message.old
        rng = simulation.scenario.rng(name)
        log = partial(simulation.log_action, name)
        if at < 0:
            OldConsumer(simulation.stage, message, steps, lambda: None, log)()
        else:
            pause = partial(_pause, simulation, rng)
            simulation.scheduler.spawn(OldConsumer(simulation.stage, message, steps, pause, log), at)


def _expire(simulation: Simulation) -> None:
    """Let time pass until records have expired, and DynamoDB delete them; then the OMS goes on."""
    stage = simulation.stage
    for number, at in enumerate(simulation.scenario.life.migrations):
        if at >= LATER / 2:
            simulation.scheduler.spawn(Migration(simulation, f"last migration {number}"), at)
            simulation.scheduler.run()
    stage.clock.now = max(stage.clock.now, simulation.scheduler.start + LATER)
    records = stage.dynamodb.tables[stage.tables.processed_events_table].items
    for key, record in list(records.items()):
        if "ttl" in record and int(record["ttl"]["N"]) < stage.clock.now:
            stage.dynamodb.delete_item(
                TableName=stage.tables.processed_events_table, Key={"order_id": {"S": key}}
            )
    simulation.later = True
    schedule_messages(simulation)


def _pause(simulation: Simulation, rng: Random) -> None:
    simulation.scheduler.wait(rng.expovariate(1 / simulation.scenario.latency))


def _run_until_quiet(simulation: Simulation, prefix: str) -> Violation | None:
    now = simulation.scheduler.now
    for number in range(simulation.scenario.consumers):
        simulation.scheduler.spawn(Worker(simulation, f"{prefix}consumer {number}"), now)
    for number in range(simulation.scenario.sweepers):
        simulation.scheduler.spawn(Sweeper(simulation, f"{prefix}sweep {number}"), now)
    for number in range(simulation.scenario.life.sweepers):
        simulation.scheduler.spawn(HoldSweeper(simulation, f"{prefix}holds {number}"), now)
    try:
        simulation.scheduler.run()
    except NeverQuiet as never_quiet:
        return Violation(QUIET, str(never_quiet), len(simulation.timeline))
    except Exception:  # noqa: BLE001 - an error that no actor handles is a finding
        return Violation(EXPECTED_ERRORS, traceback.format_exc(), len(simulation.timeline))
    return None


def _redrive(stage: FakeStage) -> None:
    """An operator sends the dead messages back to the queue that they came from."""
    dead, inventory = stage.sqs.find(stage.dlq_url), stage.sqs.find(stage.inventory_queue_url)
    for message in dead.messages.values():
        message.received, message.visible_at = 0, stage.clock.now
    inventory.messages |= dead.messages
    dead.messages.clear()
