"""Between an actor and the in-memory AWS: every call takes time, may go wrong, and is logged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation import mishaps
from tests.simulation.meddler import Meddler
from tests.simulation.scenario import Scenario
from tests.simulation.world import Actor
from tests.support.engines.network import Call, Fault


@dataclass(slots=True)
class Line:
    """One line of a history's log; `fault` names what befell the actor's call number `call`.

    `entry` is how long the timeline was by then.
    """

    time: float
    actor: str
    what: str
    details: Any = None
    result: Any = None
    fault: str = ""
    call: int = 0
    entry: int = 0


@dataclass(frozen=True, slots=True)
class _Flight:
    """A call under way: a process may have several."""

    line: Line
    rng: Random
    reply_after: float


class Wire:
    """The script of one actor's clients: it decides what befalls each call."""

    def __init__(
        self,
        scenario: Scenario,
        actor: Actor,
        note: Callable[[Line], None],
        meddler: Meddler | None = None,
    ) -> None:
        self._scenario = scenario
        self._actor = actor
        self._note = note
        self._meddler = meddler
        self._flights: dict[int, _Flight] = {}

    def before(self, call: Call) -> Fault | None:
        actor, scenario = self._actor, self._scenario
        actor.calls += 1
        # Of the seed, the actor and the number of its call alone: when a history is shrunk, what is left
        # goes on as it was.
        number = actor.calls
        rng = scenario.chance(f"{actor.name}/{number}")
        takes, reply_after = self._latency(rng), self._latency(rng)
        name = self._mishap(rng, call)
        line = Line(0, actor.name, call.operation, call.parameters, None, name, number)
        self._flights[call.number] = _Flight(line, rng, reply_after)
        actor.wait(takes)
        line.time = actor.world.now
        self._note(line)
        match name:
            case "":
                return None
            case "sent twice":
                return lambda call: self._twice(call, self._latency(rng))
            case "effect delayed":
                return lambda call: self._late(call, rng.choice((0.01, 0.3, 5)) * rng.random())
        return mishaps.fault(name, rng)

    def after(self, call: Call, result: Any) -> None:
        flight = self._flights.pop(call.number)
        flight.line.result = result
        if isinstance(result, Exception | dict):  # and not a crash
            chaos = self._actor.world.now < self._scenario.chaos_until
            if self._meddler and chaos and flight.rng.random() < self._scenario.meddling:
                self._meddler.meddle(call, flight.rng, flight.reply_after + self._scenario.latency)
            self._actor.wait(flight.reply_after)

    def _latency(self, rng: Random) -> float:
        if rng.random() < self._scenario.pauses and self._actor.world.now < self._scenario.chaos_until:
            return rng.uniform(0, 2 * self._scenario.visibility)
        return rng.expovariate(1 / self._scenario.latency)

    def _mishap(self, rng: Random, call: Call) -> str:
        """The name of what befalls the call, or nothing."""
        scenario, actor = self._scenario, self._actor
        if call.operation == "transact_write_items" and scenario.cursed and self._cursed(call):
            return "refused"
        meets = rng.random() < scenario.fault_rate and actor.world.now < scenario.chaos_until
        if not meets or (scenario.allowed is not None and (actor.name, actor.calls) not in scenario.allowed):
            return ""
        return mishaps.draw(rng, scenario.faults, call.operation)

    def _cursed(self, call: Call) -> bool:
        return any(
            action["Put"]["Item"].get("order_id", {}).get("S") == self._scenario.cursed
            for action in call.parameters["TransactItems"]
            if "Put" in action
        )

    def _twice(self, call: Call, apart: float) -> Any:
        """The first answer is lost; botocore asks again, with the same token if it is a transaction."""
        if call.operation == "transact_write_items":
            call.parameters = {
                **call.parameters,
                "ClientRequestToken": f"{self._actor.name}-{call.number}",
            }
        with contextlib.suppress(ClientError):
            call.proceed()
        self._actor.wait(apart)
        return call.proceed()

    def _late(self, call: Call, seconds: float) -> Any:
        """No answer in time; the request is still on its way and takes effect afterwards."""
        world = self._actor.world
        line = Line(0, self._actor.name, f"(late) {call.operation}", call.parameters)

        def arrive() -> None:
            line.time = world.now
            self._note(line)
            try:
                line.result = call.proceed()
            except ClientError as error:  # there is nobody left to be told
                line.result = error

        world.at(world.now + seconds, arrive)
        raise ReadTimeoutError(endpoint_url="https://aws.invalid/")
