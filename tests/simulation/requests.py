"""What the messages and the calls over REST of a scenario ask for, by order."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.simulation.model import Asked
from tests.simulation.records import Done, first
from tests.simulation.scenario import Scenario

INVALID = "invalid#"
"""How the ids of operations begin that came without a usable id."""


class Requests:
    """The reservations and the changes that are asked for, and which of them by a message."""

    def __init__(self, scenario: Scenario) -> None:
        self.reserves: defaultdict[str, list[Any]] = defaultdict(list)
        self.changes: defaultdict[str, list[Asked]] = defaultdict(list)
        self._by_message: set[str] = set()
        self._released: set[str] = set()
        for message in scenario.messages:
            if message.poison:
                continue
            if (asked := message.asked) is not None:
                self.changes[message.order_id].append(asked)
                self._by_message.add(name_of(asked))
                if asked.whole_release:
                    self._released.add(message.order_id)
                continue
            self._by_message.add(first(message.order_id))
            of_interest = message.kind == "reserve"
            wanted = self.reserves[message.order_id]
            wanted.append(
                (message.kind, dict(message.items), message.expires_at)
                if of_interest
                else (message.kind, {}, None)
            )
            if message.old and message.items:  # version 1.1 took one SKU more, and no holds
                wanted.append(("reserve", dict(message.items), None))
        for calls in scenario.life.calls:
            for call in calls:
                if call.change:
                    self.changes[call.order_id].append(call.change)
                else:
                    self.reserves[call.order_id].append(("reserve", dict(call.items), call.expires_at))

    def of(self, order_id: str, done: Done) -> list[Asked]:
        """The changes that an operation on record may be."""
        id_ = None if done.id.startswith(INVALID) else done.id
        return [a for a in self.changes[order_id] if a.id == id_ and a.type == done.type]

    def by_message(self, name: str, *, rejected: bool = False) -> bool:
        """Whether a message is about the answer of that name, so that the OMS queue must have it.

        If the order is `rejected`, that also answers its release.
        """
        order_id, _, id_ = name.partition("\n")
        if id_ == "EXPIRED" or (rejected and name in self._released):
            return True
        return (f"{order_id}\n{INVALID}" if id_.startswith(INVALID) else name) in self._by_message


def name_of(asked: Asked) -> str:
    """The reference of the answer to a change; of an invalid one without an id, its beginning."""
    return f"{asked.order_id}\n{INVALID if asked.id is None else asked.id}"
