"""Bugs in settling a batch: which messages are retried, given up, or reported as done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from chalicelib.consumer import consumer, inbox
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.inbox import Inbox
from chalicelib.errors import Unreachable
from chalicelib.services import change_settler, demand_settler, groups
from chalicelib.services.groups import Group
from chalicelib.store.order_store import OrderStore
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


@MUTATIONS("halving drops a half", 400)
def _(patch: Patch) -> None:
    original = Group.halves
    patch(Group, "halves", lambda self: original(self)[:1])


@MUTATIONS("a time-out is read as success")
def _(patch: Patch) -> None:
    original = OrderStore.commit

    def commit(self: OrderStore, writes: Any, *args: Any) -> bool:
        try:
            return original(self, writes, *args)
        except Unreachable:
            return True

    patch(OrderStore, "commit", commit)


@MUTATIONS("failed messages are reported as done")
def _(patch: Patch) -> None:
    original = groups.work_through

    def work_through(*args: Any) -> set[str]:
        original(*args)
        return set()

    patch(demand_settler, "work_through", work_through)
    patch(change_settler, "work_through", work_through)


@MUTATIONS("a failure is reported under its neighbour's id")
def _(patch: Patch) -> None:
    original = Consumer.settle

    def settle(self: Consumer, messages: Any, deadline: Any) -> set[str]:
        ids = [message.id for message in messages]
        return {ids[ids.index(failed) - 1] for failed in original(self, messages, deadline)}

    patch(Consumer, "settle", settle)


def _change_inbox(patch: Patch, change: Callable[[Inbox], None]) -> None:
    original = inbox.sort

    def sort(messages: Any, oldest: Any, newest: Any) -> Inbox:
        sorted_messages = original(messages, oldest, newest)
        change(sorted_messages)
        return sorted_messages

    patch(consumer, "sort", sort)


@MUTATIONS("poison is dropped")
def _(patch: Patch) -> None:
    _change_inbox(patch, lambda inbox: inbox.poison.clear())


@MUTATIONS("the first of two messages about an order is forgotten", 400)
def _(patch: Patch) -> None:
    def change(inbox: Inbox) -> None:
        for task in inbox.tasks:
            del task.messages[:-1]

    _change_inbox(patch, change)


@MUTATIONS("messages older than the records are applied")
def _(patch: Patch) -> None:
    original = inbox.sort
    beginning = datetime.min.replace(tzinfo=UTC)
    patch(consumer, "sort", lambda messages, oldest, newest: original(messages, beginning, newest))
