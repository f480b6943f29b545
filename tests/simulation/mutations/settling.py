"""Bugs in working through a batch: what is tried again, given up, or taken for done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from chalicelib.consumer import consumer
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.groups import Group
from chalicelib.core.inbox import Inbox
from chalicelib.errors import Unreachable
from chalicelib.store.transactions import OrderStore
from tests.simulation.mutations.mutation import Bugs, Patch

BUGS = Bugs()


@BUGS("halving drops a half", 400)
def _(patch: Patch) -> None:
    original = Group.halves
    patch(Group, "halves", lambda self: original(self)[:1])


@BUGS("a time-out is read as success")
def _(patch: Patch) -> None:
    original = OrderStore.commit

    def commit(self: OrderStore, actions: Any, now: Any, known: Any) -> bool:
        try:
            return original(self, actions, now, known)
        except Unreachable:
            return True

    patch(OrderStore, "commit", commit)


@BUGS("what could not be settled is taken for done")
def _(patch: Patch) -> None:
    original = consumer.work_through

    def work_through(*args: Any) -> set[str]:
        original(*args)
        return set()

    patch(consumer, "work_through", work_through)


@BUGS("the id of a failure is its neighbour's")
def _(patch: Patch) -> None:
    original = Consumer.settle

    def settle(self: Consumer, messages: Any, pace: Any) -> set[str]:
        ids = [message.id for message in messages]
        return {ids[ids.index(failed) - 1] for failed in original(self, messages, pace)}

    patch(Consumer, "settle", settle)


def _inbox(patch: Patch, change: Callable[[Inbox], None]) -> None:
    original = consumer.sort

    def sort(messages: Any, oldest: Any) -> Inbox:
        inbox = original(messages, oldest)
        change(inbox)
        return inbox

    patch(consumer, "sort", sort)


@BUGS("poison is dropped")
def _(patch: Patch) -> None:
    _inbox(patch, lambda inbox: inbox.poison.clear())


@BUGS("of two messages about an order the first is forgotten", 400)
def _(patch: Patch) -> None:
    def change(inbox: Inbox) -> None:
        for task in (*inbox.reserves.values(), *inbox.releases.values()):
            del task.messages[:-1]

    _inbox(patch, change)


@BUGS("messages older than the records are applied")
def _(patch: Patch) -> None:
    original = consumer.sort
    patch(consumer, "sort", lambda messages, oldest: original(messages, datetime.min.replace(tzinfo=UTC)))
