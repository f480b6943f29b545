"""What settles commands, group by group, each group in one transaction: what all settlers have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import uuid4

from chalicelib.aws.deadline import Deadline
from chalicelib.domain.commands import Reserve
from chalicelib.domain.planner import Decision
from chalicelib.domain.reservation import Answer
from chalicelib.domain.rulings import LateConfirmation, Rules, Ruling
from chalicelib.domain.timestamps import iso
from chalicelib.domain.writes import OweAnswers, RecordReservation, Write
from chalicelib.services.answers import change_answer
from chalicelib.services.groups import Group, Reporter
from chalicelib.store.order_store import OrderStore

PLANS: Final = 5
"""How many times a group is planned in a row before it counts as contended."""
MAX_HINTS: Final = 10_000

Demand = Reserve | LateConfirmation


class Hints:
    """The stock of SKUs as last seen, kept between invocations: a hint, since conditions guard each write.

    surprised: whether the last group rejected an order for SKUs of which there was no hint.
    """

    def __init__(self) -> None:
        self._stock: dict[str, int | None] = {}
        self.surprised = False

    def of(self, skus: Iterable[str]) -> dict[str, int | None]:
        """What was last seen of `skus`, without those never seen."""
        return {sku: self._stock[sku] for sku in skus if sku in self._stock}

    def learn(self, stock: Mapping[str, int | None]) -> None:
        """Keep `stock`, and forget the SKUs that were seen longest ago."""
        for sku, units in stock.items():
            self._stock.pop(sku, None)
            self._stock[sku] = units
        while len(self._stock) > MAX_HINTS:
            del self._stock[next(iter(self._stock))]


class SettlingReport(Reporter, Protocol):
    """Who is told what was settled."""

    def decided(self, decisions: Sequence[Decision[Demand]]) -> None: ...
    def ruled(self, rulings: Sequence[Ruling]) -> None: ...
    def duplicates(self, order_ids: Sequence[str]) -> None: ...
    def mismatched(self, order_ids: Sequence[str]) -> None: ...


class NoReport:
    """A report for whoever tells of the outcome in another way."""

    def retry(self, order_ids: Sequence[str], why: Exception) -> None: ...
    def failed(self, order_ids: Sequence[str], why: Exception) -> None: ...
    def decided(self, decisions: Sequence[Decision[Demand]]) -> None: ...
    def ruled(self, rulings: Sequence[Ruling]) -> None: ...
    def duplicates(self, order_ids: Sequence[str]) -> None: ...
    def mismatched(self, order_ids: Sequence[str]) -> None: ...


class Outlet(Protocol):
    """What brings the answers of a commit to the OMS."""

    def deliver(self, change: str, answers: Sequence[Answer], *, whole: bool = True) -> None: ...


@dataclass(frozen=True)
class Settler:
    """What both settlers have.

    outlet: what sends the answers; None: they are the responses to the callers, and nothing is sent.
    aging: after that time the sweep closes a firm order; None: never.
    new_change: makes ids for commits.
    """

    store: OrderStore
    outlet: Outlet | None
    hints: Hints
    deadline: Deadline
    report: SettlingReport
    aging: timedelta | None = None
    new_change: Callable[[], str] = lambda: uuid4().hex

    def _rules(self, now: datetime) -> Rules:
        return Rules(iso(now), change_answer, self.aging, queue=self.outlet is not None)

    def _commit(
        self,
        group: Group[Any],
        change: str,
        now: datetime,
        writes: Sequence[Write],
        beyond: Sequence[Answer] = (),
    ) -> bool:
        """Commit `writes` as `change`, with an outbox item for all answers that they leave to send.

        These are the newly queued answers in the records, and those `beyond` them. Then begin to deliver
        them, and those of an earlier try that was committed though nobody heard of it. Returns whether it is
        done; raises what `OrderStore.commit` raises.
        """
        records = [write for write in writes if isinstance(write, RecordReservation)]
        answers = [answer for write in records for answer in write.newly_queued]
        answers += beyond
        if answers:
            writes = [*writes, OweAnswers(change, [answer.reference for answer in answers])]
        self.deadline.check()
        earlier = dict(group.tries)
        group.tries[change] = answers
        if not self.store.commit(writes, change, now, group.snapshot):
            return False
        on_record = {found.order_id: found.change for found in group.recorded}
        if self.outlet is not None:
            if answers:
                self.outlet.deliver(change, answers)
            for done, owed in earlier.items():
                if mine := [answer for answer in owed if on_record.get(answer.order_id) == done]:
                    self.outlet.deliver(done, mine, whole=len(mine) == len(owed))
        group.tries.clear()
        group.snapshot.reservations.update((write.order_id, write.reservation) for write in records)
        return True
