"""The faults that a call to AWS may meet, by name."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any, Final

from tests.support.engines import faults
from tests.support.engines.errors import Refusal
from tests.support.engines.network import Call, Fault


def _refuse(code: str) -> Fault:
    def refuse(call: Call) -> Any:
        raise call.refuse(Refusal(code, "injected"))

    return refuse


_ANY: Final[dict[str, Fault]] = {
    "throttled": faults.throttled,
    "unavailable": faults.unavailable,
    "failed after effect": faults.failed_after_effect,
    "unreachable": faults.unreachable,
    "timed out before effect": faults.timed_out_before_effect,
    "timed out after effect": faults.timed_out_after_effect,
    "reset after effect": faults.reset_after_effect,
    "crash before": faults.crash_before,
    "crash after": faults.crash_after,
    "refused": _refuse("ValidationException"),
    "denied": _refuse("AccessDeniedException"),
}
_TIMED: Final = ("sent twice", "effect delayed")  # these take time, so tests.simulation.network does them
_SPECIAL: Final = {
    "conflict": {"transact_write_items", "update_item", "delete_item"},
    "few reasons told": {"transact_write_items"},
    "partial": {"batch_get_item", "send_message_batch", "delete_message_batch"},
    "partial for good": {"send_message_batch"},
}
_CODES: Final = (*("TransactionConflict",) * 3, "ThrottlingError", "ProvisionedThroughputExceeded")
AWAY: Final = ("unreachable", "unavailable", "timed out before effect", "refused", "denied")
"""How a queue fails that is away."""
KINDS: Final = (*_ANY, *_TIMED, *_SPECIAL)


def draw(rng: Random, kinds: Collection[str], operation: str) -> str:
    """The name of one of `kinds` that this operation can meet; empty if there is none."""
    special = [name for name, operations in _SPECIAL.items() if operation in operations and name in kinds]
    possible = [*special * 2, *(name for name in (*_ANY, *_TIMED) if name in kinds)]
    return rng.choice(possible) if possible else ""


def fault(name: str, rng: Random) -> Fault:
    """The fault of that name."""
    # Which entries of a call fail: the faults take the numbers modulo how many entries there are.
    some = [rng.randrange(100) for _ in range(rng.choice((1, 1, 2, 5)))]
    match name:
        case "conflict":
            return faults.Conflict(some, rng.choice(_CODES))
        case "few reasons told":
            return faults.FewReasons(rng)
        case "partial":
            return faults.Partial(some)
        case "partial for good":
            return faults.Partial(some, "InvalidMessageContents", sender_fault=True)
    return _ANY[name]
