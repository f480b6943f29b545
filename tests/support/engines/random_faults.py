"""Random faults, which are the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.support.engines import faults
from tests.support.engines.network import Call, Fault

ANY: Final[tuple[Fault, ...]] = (
    faults.throttled,
    faults.unavailable,
    faults.failed_after_effect,
    faults.unreachable,
    faults.timed_out_before_effect,
    faults.timed_out_after_effect,
    faults.reset_after_effect,
    faults.sent_twice,
)
_CRASHES: Final[tuple[Fault, ...]] = (faults.crash_before, faults.crash_after)
_TRANSACTION_CODES: Final = (
    "TransactionConflict",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
)
_PARTS: Final = {
    "batch_get_item": "RequestItems",
    "batch_write_item": "RequestItems",
    "delete_message_batch": "Entries",
    "send_message_batch": "Entries",
    "transact_write_items": "TransactItems",
}


@dataclass(slots=True)
class RandomFaults:
    """Injects faults at random; each call may meet any fault that its operation can meet.

    `rate` and `crash_rate` are probabilities per call; set a rate to 0 at any time to let the system
    settle. `counts` has the number of times that each fault occurred.
    """

    rng: Random
    rate: float = 0.1
    crash_rate: float = 0.01
    counts: dict[str, int] = field(default_factory=dict)

    def before(self, call: Call) -> Fault | None:
        draw = self.rng.random()
        if draw < self.crash_rate:
            return self._counted(self.rng.choice(_CRASHES))
        if draw < self.crash_rate + self.rate:
            return self._counted(self.rng.choice((*ANY, *self._special(call) * 3)))
        return None

    def after(self, call: Call, result: Any) -> None:
        pass

    def _counted(self, fault: Fault) -> Fault:
        name = getattr(fault, "__name__", type(fault).__name__)
        self.counts[name] = self.counts.get(name, 0) + 1
        return fault

    def _special(self, call: Call) -> tuple[Fault, ...]:
        match call.operation:
            case "transact_write_items":
                return (
                    faults.Conflict(self._some(call), self.rng.choice(_TRANSACTION_CODES)),
                    faults.FewReasons(self.rng),
                )
            case "update_item" | "put_item" | "delete_item":
                return (faults.Conflict(),)
            case "batch_get_item" | "batch_write_item":
                return (faults.Partial(self._some(call)),)
            case "send_message_batch" | "delete_message_batch":
                return (faults.Partial(self._some(call), "InternalError"),)
        return ()

    def _some(self, call: Call) -> list[int]:
        entries = call.parameters[_PARTS[call.operation]]
        if isinstance(entries, dict):
            count = sum(len(part["Keys"] if isinstance(part, dict) else part) for part in entries.values())
        else:
            count = len(entries)
        return self.rng.sample(range(count), self.rng.randint(1, count))
