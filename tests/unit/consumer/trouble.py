"""Faults and looks at calls that several tests of trouble share."""

from __future__ import annotations

from typing import Any

from tests.support.engines.errors import Refusal
from tests.support.engines.network import Call, Fault
from tests.support.messages import reserve
from tests.unit.consumer.shop import SEND, Shop

FOREVER = 100_000


def orders(count: int, **items: int) -> list[dict[str, Any]]:
    return [reserve(f"o{n}", items) for n in range(count)]


def refused(code: str) -> Fault:
    def fault(call: Call) -> Any:
        raise call.refuse(Refusal(code, "no"))

    return fault


def names(call: Call) -> set[str]:
    """The SKUs and orders in a transaction."""
    found = set()
    for action in call.parameters["TransactItems"]:
        ((_, request),) = action.items()
        ((_, key),) = (
            request["Key"].items() if "Key" in request else [("order_id", request["Item"]["order_id"])]
        )
        found.add(key["S"])
    return found


def if_it_holds(name: str, fault: Fault) -> Fault:
    """`fault` for transactions with a SKU or an order of that name."""
    return lambda call: fault(call) if name in names(call) else call.proceed()


def sent_batches(shop: Shop) -> list[list[str]]:
    return [
        [entry["MessageBody"] for entry in call.parameters["Entries"]]
        for call in shop.script.calls
        if call.operation == SEND
    ]
