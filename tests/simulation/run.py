"""One history, from an empty stage until nothing is left to do."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from unittest import mock
from uuid import UUID

from chalicelib.consumer import delivery
from chalicelib.domain.stock import Adjustment, Product
from chalicelib.domain.timestamps import iso
from chalicelib.services import stock_changes
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.product_store import ProductStore
from chalicelib.store.stock_store import StockStore
from tests.simulation.actors import Simulation, Worker, Writer, schedule_messages
from tests.simulation.invariants import Violation, check
from tests.simulation.network import LogLine
from tests.simulation.scenario import Scenario
from tests.simulation.scheduler import NeverQuiet, Scheduler
from tests.simulation.timeline import MirroredHistory, Timeline
from tests.support.deadlines import endless
from tests.support.engines import Disorder, FakeStage, fake_stage

QUIET = "7 the system becomes quiet"
EXPECTED_ERRORS = "8 no unexpected error"


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
    with (
        mock.patch.object(stock_changes, "uuid4", side_effect=(UUID(int=n) for n in count())),
        # Most histories have few orders; smaller deliveries let them have several at once, too.
        mock.patch.object(delivery, "DELIVERY", rng.choice((1, 2, 20))),
        mock.patch.object(delivery, "IN_PROGRESS", rng.choice((1, 2, 8))),
    ):
        _create_products(scenario, stage)
        schedule_messages(simulation)
        for number, writes in enumerate(scenario.writes):
            simulation.scheduler.spawn(Writer(simulation, f"writer {number}", writes))
        violation = _run_until_quiet(simulation, "consumer")
        if violation is None and scenario.redrive:
            _redrive(stage)
            violation = _run_until_quiet(simulation, "later consumer")
    dead = {simulation.message_numbers[id_] for id_ in stage.sqs.find(stage.dlq_url).messages}
    return History(scenario, simulation.log, timeline, violation or check(scenario, timeline, dead))


def _stage(scenario: Scenario) -> FakeStage:
    disorder = Disorder(scenario.rng("queue"), scenario.repeats)
    return fake_stage(
        visibility_seconds=scenario.visibility,
        max_receive_count=scenario.max_receives,
        disorder=disorder,
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


def _run_until_quiet(simulation: Simulation, name: str) -> Violation | None:
    for number in range(simulation.scenario.consumers):
        simulation.scheduler.spawn(Worker(simulation, f"{name} {number}"), simulation.scheduler.now)
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
