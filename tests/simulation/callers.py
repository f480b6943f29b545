"""Others who change orders: clients of the REST API, and the migration of records of version 1.1."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from bench.null_report import NullReport
from chalicelib.domain.commands import ChangeOrder, ChangeType, Reserve
from chalicelib.errors import AwsError, Contended, ImsError, NotFound, OrderRejected
from chalicelib.services.orders import Orders
from chalicelib.services.settler import Hints
from chalicelib.store.order_store import OrderStore
from deploy.migrate import Migrator, Silent
from tests.simulation.actors import Simulation
from tests.simulation.life import Call
from tests.simulation.timeline import Responded
from tests.support.deadlines import endless
from tests.support.engines.network import Crash


class Caller:
    """A client that reserves and changes orders over REST; it repeats what failed, and some of the rest."""

    def __init__(self, simulation: Simulation, name: str, calls: tuple[Call, ...]) -> None:
        self._simulation = simulation
        self._actor = simulation.actor(name)
        self._calls = calls
        dynamodb, _ = simulation.clients(self._actor)
        aging = simulation.scenario.life.aging
        store = OrderStore(dynamodb, simulation.stage.tables)
        self._orders = Orders(store, None if aging is None else timedelta(seconds=aging))
        self._deadline = endless(simulation.stage.clock, self._actor.wait, self._actor.rng)
        simulation.consumers += 1

    def __call__(self) -> None:
        """Make all calls, in order."""
        for call in self._calls:
            self._actor.wait(max(0.0, call.at - self._actor.scheduler.now))
            self._request(call)
        self._simulation.consumers -= 1

    def _request(self, call: Call) -> None:
        for _ in range(4):
            try:
                answer = self._do(call)
            except (AwsError, Contended, NotFound) as error:
                self._simulation.log_action(self._actor.name, "fails", f"{call}: {error}")
                self._actor.wait(self._actor.rng.uniform(0, 0.5))
                continue
            except (ImsError, Crash) as error:
                self._simulation.log_action(self._actor.name, "ends", f"{call}: {error}")
                return
            self._simulation.log_action(self._actor.name, "is told", f"{call}: {answer}")
            self._simulation.timeline.append(Responded(_key(call), answer))
            if self._actor.rng.random() < 0.8:
                return

    def _do(self, call: Call) -> Any:
        """The part of the response that must always be the same."""
        asked = call.change
        try:
            if asked is None:
                order = Reserve(
                    call.order_id, f"customer of {call.order_id}", call.items, expires_at=call.expires_at
                )
                self._orders.reserve(order, self._deadline)
                return "reserved"
            command = ChangeOrder(
                call.order_id, ChangeType(asked.type), asked.id or "", asked.items, asked.expires_at
            )
            record = self._orders.change(command, self._deadline)
        except OrderRejected as rejected:
            return rejected.code, json.dumps([dict(line) for line in rejected.items], default=str)
        done = record.operation(command.operation_id)
        return done.event if done else None


def _key(call: Call) -> tuple[Any, ...]:
    if call.change:
        return (str(call.change),)
    return call.order_id, json.dumps(dict(call.items)), call.expires_at


class Migration:
    """Turns all records of version 1.1 into today's form."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self._actor = simulation.actor(name)
        dynamodb, _ = simulation.clients(self._actor)
        self._store = OrderStore(dynamodb, simulation.stage.tables)
        simulation.consumers += 1

    def __call__(self) -> None:
        """Migrate what there is; after a crash, begin again."""
        tables, stage = self._simulation.stage.dynamodb.tables, self._simulation.stage
        deadline = endless(stage.clock, self._actor.wait, self._actor.rng)
        aging = self._simulation.scenario.life.aging
        for _ in range(20):
            records = tables[stage.tables.processed_events_table].items
            orders = sorted(key for key in records if not key.startswith("adjustment#"))
            migrator = Migrator(
                self._store,
                Silent(),
                Hints(),
                deadline,
                NullReport(),
                None if aging is None else timedelta(seconds=aging),
            )
            try:
                found = self._store.read(orders, (), deadline).reservations.values()
                migrator.run([record for record in found if record is not None])
                if not migrator.tally.failed:
                    break
            except (AwsError, Crash) as error:
                self._simulation.log_action(self._actor.name, "fails", error)
            self._actor.wait(self._actor.rng.uniform(0, 2))
        self._simulation.consumers -= 1
