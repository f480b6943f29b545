"""Brings the records of version 1.1 into today's form, while the stage goes on working.

Each open order of version 1.1 gets what it holds written down, its units are added to `reserved`, and its
record loses its `ttl`. Answers that it may still owe are put into the outbox, and orders that version 1.1 has
released beside the new version no longer count as reserved. Every record is replaced in one transaction with
its stock, on condition that it is as it was seen, so nothing is counted twice, whatever else happens to it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress

from chalicelib import bootstrap
from chalicelib.aws.deadline import Deadline
from chalicelib.aws.errors import aws_errors
from chalicelib.domain.changes import stock_writes
from chalicelib.domain.planner import MAX_ACTIONS, pack
from chalicelib.domain.reservation import Answer, Reservation, adopted, moves
from chalicelib.domain.timestamps import later
from chalicelib.domain.writes import RecordReservation
from chalicelib.errors import Contended
from chalicelib.services.groups import Group, work_through
from chalicelib.services.settler import PLANS, Hints, NoReport, Settler
from chalicelib.store.items import reservation_from_item
from chalicelib.telemetry import logger

SEGMENTS: Final = 4
"""Parts of the table that are read at the same time."""
SECONDS: Final = 86_400.0
"""The most that a run may take; the next one goes on where it ended."""


@dataclass
class Tally:
    """How many records were seen, need a migration, and have got it; and which orders are not counted.

    `left` are open orders of SKUs that no longer exist: nothing can count their units. They only lose their
    `ttl`. `failed` met errors.
    """

    seen: int = 0
    old: int = 0
    migrated: int = 0
    left: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)


class Silent(NoReport):
    """Reports nothing but errors, and sends nothing: the sweep sends what the outbox owes."""

    def deliver(self, change: str, answers: Sequence[Answer], *, whole: bool = True) -> None: ...
    def failed(self, order_ids: Sequence[str], why: Exception) -> None:
        logger.error("orders could not be migrated", orders=order_ids, reason=type(why).__name__)


@dataclass(frozen=True, slots=True)
class OldRecord:
    """An order whose record version 1.1 wrote, or changed."""

    reservation: Reservation

    @property
    def order_id(self) -> str:
        return self.reservation.order_id

    @property
    def skus(self) -> Iterable[str]:
        return self.reservation.items.keys()


@dataclass(frozen=True)
class Migrator(Settler):
    """Migrates groups of records, each group in one transaction."""

    tally: Tally = field(default_factory=Tally)

    def run(self, records: Sequence[Reservation]) -> set[str]:
        """Migrate `records`, as they were read; returns the ids of those that could not be migrated."""
        groups = [Group(group) for group in pack([OldRecord(record) for record in records])]
        failed = work_through(groups, self.settle, self.deadline, self.report)
        with self.tally.lock:
            self.tally.failed |= failed
        return failed

    def settle(self, group: Group[OldRecord]) -> None:
        """Migrate `group`. Raises `AwsError`, `Contended`, `OutOfTime`."""
        for _ in range(PLANS):
            now, change = self.deadline.now(), self.new_change()
            writes: list[RecordReservation] = []
            left: set[str] = set()
            for order in group.orders:
                seen = group.snapshot.reservations.get(order.order_id, order.reservation)
                write = seen and self.migration(seen, change)
                if write and not group.snapshot.missing.isdisjoint(moves(write.seen, write.reservation)):
                    left.add(order.order_id)
                    if write.seen and write.seen.change is None:
                        writes.append(_queued(write))
                elif write:
                    writes.append(write)
            counted = stock_writes(writes)
            # Version 1.1 took orders of 99 SKUs, which leave no room for the outbox. So first the answer is
            # put there, and the next plan does the rest.
            fits = len(writes) + len(counted) <= MAX_ACTIONS or not any(w.newly_queued for w in writes)
            if not fits:
                writes, counted = [_queued(write) for write in writes], ()
            if self._commit(group, change, now, [*counted, *writes]):
                if not fits:
                    continue
                with self.tally.lock:
                    self.tally.migrated += sum(write.order_id not in left for write in writes)
                    self.tally.left |= left
                return
        raise Contended("the orders or their SKUs keep changing")

    def migration(self, seen: Reservation, change: str) -> RecordReservation | None:
        """How the commit `change` migrates a record; None if that needs nothing."""
        due_at = None if self.aging is None else later(seen.created_at, self.aging)
        after = adopted(seen, due_at)
        return None if after == seen else RecordReservation(replace(after, change=change), seen)


def _queued(write: RecordReservation) -> RecordReservation:
    """The same write, but all it does is to queue the answers of the record, and take its `ttl` off."""
    seen = write.seen or write.reservation
    return replace(write, reservation=replace(seen.all_queued(), change=write.reservation.change))


@dataclass
class Reader:
    """Reads the records in segments, and remembers in a file how far each one has come.

    Without a file it begins anew each time.
    """

    client: Any
    table: str
    file: Path | None
    reached: dict[str, Any] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def load(self) -> None:
        """Go on where the last run ended."""
        if self.file and self.file.exists():
            self.reached = json.loads(self.file.read_text())

    def keep(self, segment: int) -> None:
        """Let the next run, if this one breaks off, read the segment's last page again, and what follows."""
        self.kept.add(segment)

    def pages(self, segment: int) -> Iterator[list[Mapping[str, Any]]]:
        """The items of a segment, page by page. When the next page is asked for, a page is done."""
        start = self.reached.get(str(segment))
        while start != _DONE:
            more: dict[str, Any] = {"ExclusiveStartKey": start} if start else {}
            with aws_errors():
                page = self.client.scan(
                    TableName=self.table,
                    Segment=segment,
                    TotalSegments=SEGMENTS,
                    ConsistentRead=True,
                    **more,
                )
            yield page["Items"]
            start = page.get("LastEvaluatedKey", _DONE)
            self._reach(segment, start)

    def _reach(self, segment: int, key: Any) -> None:
        if self.file is None or segment in self.kept:
            return
        with self.lock:
            self.reached[str(segment)] = key
            self.file.parent.mkdir(parents=True, exist_ok=True)
            new = self.file.with_suffix(".new")  # a run that is killed leaves no half of the file
            new.write_text(json.dumps(self.reached))
            new.replace(self.file)

    def finish(self) -> None:
        """Forget how far it has come: the next run reads everything again."""
        if self.file:
            self.file.unlink(missing_ok=True)


_DONE: Final = "done"


def migrate(reader: Reader, migrator: Migrator, *, dry_run: bool, advance: Callable[[int], None]) -> None:
    """Migrate all records that need it, or with `dry_run` count them; `advance` hears of records read.

    Raises `AwsError`; a later run goes on from there.
    """

    def run(segment: int) -> None:
        for page in reader.pages(segment):
            records = [reservation_from_item(item) for item in page if "outcome" in item]
            old = [record for record in records if migrator.migration(record, "")]
            with migrator.tally.lock:
                migrator.tally.seen += len(records)
                migrator.tally.old += len(old)
            if not dry_run and migrator.run(old):
                reader.keep(segment)
            advance(len(page))

    with ThreadPoolExecutor(SEGMENTS, "migrate") as threads:
        for done in [threads.submit(run, segment) for segment in range(SEGMENTS)]:
            done.result()
    reader.finish()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 if nothing is left to do."""
    parser = argparse.ArgumentParser(prog="make migrate", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="only count what there is to do")
    asked = parser.parse_args(arguments)
    tables = bootstrap.tables()
    client = bootstrap.dynamodb()
    end = time.monotonic() + SECONDS
    deadline = Deadline(remaining=lambda: end - time.monotonic(), margin=0.0)
    migrator = Migrator(bootstrap.order_store(), Silent(), Hints(), deadline, Silent(), tables.aging)
    with aws_errors():
        about = client.describe_table(TableName=tables.processed_events_table)["Table"]
    # By the table's id, since stages in other accounts and regions have tables of the same name.
    file = None if asked.dry_run else Path(f".build/migrate/{about['TableId']}.json")
    reader = Reader(client, tables.processed_events_table, file)
    reader.load()
    resumed = bool(reader.reached)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("records", total=about["ItemCount"] or None)
        migrate(reader, migrator, dry_run=asked.dry_run, advance=lambda n: progress.advance(task, n))
    return _tell(migrator.tally, dry_run=asked.dry_run, resumed=resumed)


def _tell(tally: Tally, *, dry_run: bool, resumed: bool) -> int:
    say = Console(soft_wrap=True, markup=False, highlight=False).print
    say(f"{tally.seen} records of orders read, {tally.old} of them in an old form, {tally.migrated} migrated")
    if resumed:
        say("this run went on where the last one broke off: run it again to see what is in an old form now")
    if tally.left:
        say(f"not counted, since SKUs of theirs no longer exist: {', '.join(sorted(tally.left))}")
    if tally.failed:
        say(f"not migrated, run it again: {', '.join(sorted(tally.failed))}")
    return 1 if tally.failed or (dry_run and tally.old) else 0


if __name__ == "__main__":
    sys.exit(main())
