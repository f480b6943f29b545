"""The network between an actor and the in-memory AWS: every call takes time, may fail, and is logged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation import faults
from tests.simulation.adversary import Adversary
from tests.simulation.scenario import Scenario
from tests.simulation.scheduler import Actor
from tests.support.engines.network import Call, Fault


@dataclass(slots=True)
class LogLine:
    """One line of a history's log; `fault` names the fault of the actor's call number `call`.

    `entry` is the length of the timeline at that moment.
    """

    time: float
    actor: str
    action: str
    details: Any = None
    result: Any = None
    fault: str = ""
    call: int = 0
    entry: int = 0


@dataclass(frozen=True, slots=True)
class _PendingCall:
    """A call in progress: a process may have several."""

    line: LogLine
    rng: Random
    response_latency: float


class SimulatedNetwork:
    """The script of one actor's clients: it decides which fault each call meets."""

    def __init__(
        self,
        scenario: Scenario,
        actor: Actor,
        add_line: Callable[[LogLine], None],
        adversary: Adversary | None = None,
    ) -> None:
        self._scenario = scenario
        self._actor = actor
        self._add_line = add_line
        self._adversary = adversary
        self._pending: dict[int, _PendingCall] = {}

    def before(self, call: Call) -> Fault | None:
        actor, scenario = self._actor, self._scenario
        actor.calls += 1
        # The generator depends on the seed, the actor and the number of its call alone: when a history is
        # shrunk, the calls that are left behave as before.
        number = actor.calls
        rng = scenario.rng(f"{actor.name}/{number}")
        request_latency, response_latency = self._latency(rng), self._latency(rng)
        name = self._choose_fault(rng, call)
        line = LogLine(0, actor.name, call.operation, call.parameters, None, name, number)
        self._pending[call.number] = _PendingCall(line, rng, response_latency)
        actor.wait(request_latency)
        line.time = actor.scheduler.now
        self._add_line(line)
        match name:
            case "":
                return None
            case "sent twice":
                return lambda call: self._send_twice(call, self._latency(rng))
            case "effect delayed":
                return lambda call: self._delay_effect(call, rng.choice((0.01, 0.3, 5)) * rng.random())
        return faults.fault(name, rng)

    def after(self, call: Call, result: Any) -> None:
        pending = self._pending.pop(call.number)
        pending.line.result = result
        if isinstance(result, Exception | dict):  # and not a crash
            chaos = self._actor.scheduler.now < self._scenario.chaos_until
            if self._adversary and chaos and pending.rng.random() < self._scenario.adversary_rate:
                self._adversary.interfere(
                    call, pending.rng, pending.response_latency + self._scenario.latency
                )
            self._actor.wait(pending.response_latency)

    def _latency(self, rng: Random) -> float:
        if rng.random() < self._scenario.pauses and self._actor.scheduler.now < self._scenario.chaos_until:
            return rng.uniform(0, 2 * self._scenario.visibility)
        return rng.expovariate(1 / self._scenario.latency)

    def _choose_fault(self, rng: Random, call: Call) -> str:
        """The name of the fault that the call meets, or an empty text."""
        scenario, actor = self._scenario, self._actor
        if (
            call.operation == "transact_write_items"
            and scenario.refused_order
            and self._records_refused_order(call)
        ):
            return "refused"
        if (
            call.operation == "send_message_batch"
            and scenario.away[0] <= actor.scheduler.now < scenario.away[1]
        ):
            return scenario.rng("away").choice(faults.AWAY)
        meets = rng.random() < scenario.fault_rate and actor.scheduler.now < scenario.chaos_until
        if not meets or (scenario.allowed is not None and (actor.name, actor.calls) not in scenario.allowed):
            return ""
        return faults.draw(rng, scenario.faults, call.operation)

    def _records_refused_order(self, call: Call) -> bool:
        return any(
            action["Put"]["Item"].get("order_id", {}).get("S") == self._scenario.refused_order
            for action in call.parameters["TransactItems"]
            if "Put" in action
        )

    def _send_twice(self, call: Call, apart: float) -> Any:
        """The first response is lost; botocore retries, with the same token if it is a transaction."""
        if call.operation == "transact_write_items":
            call.parameters = {
                **call.parameters,
                "ClientRequestToken": f"{self._actor.name}-{call.number}",
            }
        with contextlib.suppress(ClientError):
            call.proceed()
        self._actor.wait(apart)
        return call.proceed()

    def _delay_effect(self, call: Call, seconds: float) -> Any:
        """The caller times out; the request is still on its way and takes effect afterwards."""
        scheduler = self._actor.scheduler
        line = LogLine(0, self._actor.name, f"(late) {call.operation}", call.parameters)

        def arrive() -> None:
            line.time = scheduler.now
            self._add_line(line)
            try:
                line.result = call.proceed()
            except ClientError as error:  # nobody waits for the response any more
                line.result = error

        scheduler.call_at(scheduler.now + seconds, arrive)
        raise ReadTimeoutError(endpoint_url="https://aws.invalid/")
