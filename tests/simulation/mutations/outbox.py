"""Bugs in the outbox: what it is said to owe, when that goes, and how the sweep reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any, cast

from chalicelib.aws.errors import aws_errors
from chalicelib.consumer import sweep
from chalicelib.consumer.delivery import Relay, _Delivery
from chalicelib.consumer.sweep import Sweep
from chalicelib.domain.writes import OweAnswers
from chalicelib.services.settler import Settler
from chalicelib.store.items import outbox_key, owed_to_item
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


@MUTATIONS("an outbox item is removed before the send")
def _(patch: Patch) -> None:
    original = Relay._deliver

    def deliver(self: Relay, delivery: Any, answers: Any) -> Any:
        self._remove(delivery)
        return original(self, delivery, answers)

    patch(Relay, "_deliver", deliver)


@MUTATIONS("an outbox item is removed once its first part is sent")
def _(patch: Patch) -> None:
    original = _Delivery.part_done

    def part_done(self: _Delivery, sent: Any, complete: bool) -> bool:
        original(self, sent, complete)
        return self.whole

    patch(_Delivery, "part_done", part_done)


@MUTATIONS("an outbox item is removed though some answers were not sent")
def _(patch: Patch) -> None:
    original = _Delivery.part_done
    patch(_Delivery, "part_done", lambda self, sent, complete: original(self, sent, True))


@MUTATIONS("an outbox item is narrowed by what was not sent", 400)
def _(patch: Patch) -> None:
    original = Relay._deliver

    def deliver(self: Relay, delivery: _Delivery, answers: Any) -> Any:
        part_done = delivery.part_done
        names = {answer.reference for answer in answers}

        class Inverted:
            def __getattr__(self, name: str) -> Any:
                return getattr(delivery, name)

            def part_done(self, sent: Any, complete: bool) -> bool:
                return part_done(sent if complete else sorted(names - {*sent}), complete)

        return original(self, cast(Any, Inverted()), answers)

    patch(Relay, "_deliver", deliver)


@MUTATIONS("an outbox item is narrowed though it is gone", 400, first=1300)
def _(patch: Patch) -> None:
    def narrow(self: OutboxStore, change: str, sent: Any) -> None:
        with aws_errors():
            self._client.update_item(
                TableName=self._table,
                Key=outbox_key(change),
                UpdateExpression="DELETE owed :sent",
                ExpressionAttributeValues={":sent": {"SS": [str(reference) for reference in sent]}},
            )

    patch(OutboxStore, "narrow", narrow)


def _commit(patch: Patch, owed: Any, afterwards: Any = None) -> None:
    """Replace what a commit owes by `owed`, None for nothing, and do something `afterwards`."""
    original = OrderStore.commit

    def commit(self: OrderStore, writes: Any, change: Any, now: Any, snapshot: Any) -> bool:
        changed = [owed(write) if isinstance(write, OweAnswers) else write for write in writes]
        done = original(self, [write for write in changed if write is not None], change, now, snapshot)
        if done and afterwards:
            for write in writes:
                if isinstance(write, OweAnswers):
                    afterwards(self, write, now)
        return done

    patch(OrderStore, "commit", commit)


@MUTATIONS("an outbox item does not name the releases")
def _(patch: Patch) -> None:
    def owed(write: OweAnswers) -> OweAnswers | None:
        names = [name for name in write.references if name.operation_id is None]
        return replace(write, references=names) if names else None

    _commit(patch, owed)


@MUTATIONS("an outbox item is written after the transaction")
def _(patch: Patch) -> None:
    def put(self: OrderStore, write: OweAnswers, now: Any) -> None:
        self._client.put_item(TableName=self._outbox, Item=owed_to_item(write, now))

    _commit(patch, lambda write: None, put)


@MUTATIONS("half of a recovered commit's answers are taken for all", 400, first=900)
def _(patch: Patch) -> None:
    original = Settler._commit

    class TakesAll:
        def __init__(self, relay: Relay) -> None:
            self.relay = relay

        def deliver(self, change: str, answers: Any, *, whole: bool = True) -> None:
            self.relay.deliver(change, answers)

    def commit(self: Settler, *args: Any, **options: Any) -> bool:
        return original(replace(self, outlet=cast(Any, TakesAll(cast(Any, self.outlet)))), *args, **options)

    patch(Settler, "_commit", commit)


@MUTATIONS("the sweep reads one page", 400)
def _(patch: Patch) -> None:
    original = OutboxStore.scan
    patch(OutboxStore, "scan", lambda self, deadline: islice(original(self, deadline), 1))


@MUTATIONS("the sweep forgets the last batch of a page")
def _(patch: Patch) -> None:
    original = sweep._in_batches

    def in_batches(page: Any) -> Iterator[Any]:
        batches = list(original(page))
        yield from batches[:-1] or batches[:1] * (len(page) == 1)

    patch(sweep, "_in_batches", in_batches)


@MUTATIONS("the sweep ignores items older than two minutes", 400)
def _(patch: Patch) -> None:
    original = Sweep._send

    def send(self: Sweep, page: Any, relay: Any, deadline: Any) -> None:
        oldest = deadline.now() - timedelta(minutes=2)
        original(self, [owed for owed in page if owed.created_at > oldest], relay, deadline)

    patch(Sweep, "_send", send)


@MUTATIONS("the sweep removes items whose records it did not find", 400)
def _(patch: Patch) -> None:
    original = Sweep._send

    class Removes:
        def __init__(self, outbox: OutboxStore) -> None:
            self.outbox = outbox

        def lost(self, change: str, order_ids: Any) -> None:
            self.outbox.remove(change)

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    def send(self: Sweep, *args: Any) -> None:
        original(replace(self, report=cast(Any, Removes(self.outbox))), *args)

    patch(Sweep, "_send", send)
