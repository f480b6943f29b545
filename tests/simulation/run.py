"""One history, from an empty stage until everything has come to rest."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from unittest import mock
from uuid import UUID

from chalicelib.consumer import outbox
from chalicelib.core.adjustments import Adjustment
from chalicelib.core.catalogue import Product
from chalicelib.core.moments import iso
from chalicelib.store import adjustments
from chalicelib.store.products import Products
from tests.simulation.actors import Cast, Worker, Writer, post_letters
from tests.simulation.invariants import Violation, check
from tests.simulation.scenario import Scenario
from tests.simulation.timeline import Feed, Timeline
from tests.simulation.wire import Line
from tests.simulation.world import Restless, World
from tests.support.engines import Disorder, FakeStage, fake_stage

REST_AT_LAST = "7 it comes to rest"
NO_SURPRISE = "8 no unforeseen error"


@dataclass(frozen=True, slots=True)
class History:
    """One run: what was asked for, what happened (for people, and for the invariants), what was violated."""

    scenario: Scenario
    log: list[Line]
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
    stage.dynamodb.history, stage.sqs.history = Feed(timeline), Feed(timeline)
    cast = Cast(scenario, World(stage.clock), stage, timeline)
    chance = scenario.chance("deliveries")
    with (
        mock.patch.object(adjustments, "uuid4", side_effect=(UUID(int=n) for n in count())),
        # Most histories have few orders; smaller deliveries let these too have several at once.
        mock.patch.object(outbox, "DELIVERY", chance.choice((1, 2, 20))),
        mock.patch.object(outbox, "UNDER_WAY", chance.choice((1, 2, 8))),
    ):
        _stock_up(scenario, stage)
        post_letters(cast)
        for number, writes in enumerate(scenario.writes):
            cast.world.spawn(Writer(cast, f"writer {number}", writes))
        violation = _until_rest(cast, "consumer")
        if violation is None and scenario.redrive:
            _redrive(stage)
            violation = _until_rest(cast, "later consumer")
    dead = {cast.letters[id_] for id_ in stage.sqs.find(stage.dlq_url).messages}
    return History(scenario, cast.log, timeline, violation or check(scenario, timeline, dead))


def _stage(scenario: Scenario) -> FakeStage:
    disorder = Disorder(scenario.chance("queue"), scenario.repeats)
    return fake_stage(
        visibility_seconds=scenario.visibility,
        max_receive_count=scenario.max_receives,
        disorder=disorder,
        checked=False,
    )


def _stock_up(scenario: Scenario, stage: FakeStage) -> None:
    now = datetime.fromtimestamp(stage.clock.now, UTC)
    products = Products(stage.dynamodb, stage.tables)
    levels = adjustments.Adjustments(stage.dynamodb, stage.tables)
    for sku, units in scenario.stock.items():
        products.create(Product(sku, sku, Decimal("9.99"), None, None, iso(now), iso(now)))
        if units:
            levels.adjust(sku, Adjustment(units, "RECEIVED"), now)


def _until_rest(cast: Cast, name: str) -> Violation | None:
    for number in range(cast.scenario.consumers):
        cast.world.spawn(Worker(cast, f"{name} {number}"), cast.world.now)
    try:
        cast.world.run()
    except Restless as restless:
        return Violation(REST_AT_LAST, str(restless), len(cast.timeline))
    except Exception:  # noqa: BLE001 - whatever an actor does not handle is a finding
        return Violation(NO_SURPRISE, traceback.format_exc(), len(cast.timeline))
    return None


def _redrive(stage: FakeStage) -> None:
    """An operator sends the dead letters back to the queue that they came from."""
    dead, inventory = stage.sqs.find(stage.dlq_url), stage.sqs.find(stage.inventory_queue_url)
    for message in dead.messages.values():
        message.received, message.visible_at = 0, stage.clock.now
    inventory.messages |= dead.messages
    dead.messages.clear()
