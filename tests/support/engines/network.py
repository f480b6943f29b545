"""The network between clients and engines; a script injects faults into its calls.

network = Network(Scripted(at={3: crash_after}))
dynamodb, sqs = network.client(stage.dynamodb), network.client(stage.sqs)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.engines.errors import Refusal


class Crash(BaseException):
    """The process crashes here; not an `Exception`, so that no handler catches it."""


@dataclass(slots=True)
class Call:
    """One call: `number` counts from 0 over all calls of the network; `proceed()` makes the call."""

    number: int
    client: Any
    operation: str
    parameters: dict[str, Any]

    def proceed(self) -> Any:
        """Make the call and return the service's answer."""
        return getattr(self.client, self.operation)(**self.parameters)

    def refuse(self, refusal: Refusal) -> Exception:
        """The error as botocore raises it for this call."""
        return refusal.as_client_error("".join(word.capitalize() for word in self.operation.split("_")))


Fault = Callable[[Call], Any]
"""Replaces the plain call: may make the call or not, and answers or raises."""


class Script(Protocol):
    """Chooses the faults of one run."""

    def before(self, call: Call) -> Fault | None:
        """Return the fault that the call meets, or None."""

    def after(self, call: Call, result: Any) -> None:
        """Receive the result of the call: the answer or the exception."""


class Network:
    """Numbers the calls of all its clients and asks the script about each."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls = 0

    def client(self, client: Any) -> Any:
        """A client like `client` that sends its calls over this network."""
        return _Client(client, self)

    def carry(self, client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        """Make one call, or run the fault that replaces it."""
        call = Call(self.calls, client, operation, parameters)
        self.calls += 1
        fault = self.script.before(call)
        try:
            result = call.proceed() if fault is None else fault(call)
        except BaseException as error:
            self.script.after(call, error)
            raise
        self.script.after(call, result)
        return result


class _Client:
    def __init__(self, client: Any, network: Network) -> None:
        self._client = client
        self._network = network

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not _is_operation(self._client, name):
            return attribute
        return lambda **parameters: self._network.carry(self._client, name, parameters)


def _is_operation(client: Any, name: str) -> bool:
    meta = getattr(client, "meta", None)  # boto3's clients have `meta`, the engines do not
    if meta is not None:
        return name in meta.method_to_api_mapping
    return hasattr(getattr(type(client), name, None), "__wrapped__")


@dataclass(slots=True)
class Scripted:
    """Faults at chosen calls: `at` by the number of the call, `by_operation` in order of a method's calls."""

    at: Mapping[int, Fault] = field(default_factory=dict)
    by_operation: dict[str, list[Fault | None]] = field(default_factory=dict)
    results: list[tuple[Call, Any]] = field(default_factory=list)

    def before(self, call: Call) -> Fault | None:
        queued = self.by_operation.get(call.operation)
        fault = queued.pop(0) if queued else None
        return self.at.get(call.number, fault)

    def after(self, call: Call, result: Any) -> None:
        self.results.append((call, result))
