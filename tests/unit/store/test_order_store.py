from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.planner import Snapshot
from chalicelib.domain.reservation import AnswerType, Operation, Outcome, Reference, Reservation
from chalicelib.domain.writes import (
    MoveStock,
    OweAnswers,
    ProveAbsent,
    ProveBelow,
    RecordReservation,
    Write,
)
from chalicelib.errors import OutOfTime
from chalicelib.store.items import HOLD_SHARDS, expiry, reservation_from_item, reservation_to_item, shard_of
from chalicelib.store.order_store import OrderStore
from tests.support.deadlines import after, at
from tests.support.engines import FakeStage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
THEN = "2026-06-01T12:00:00.000Z"
RELEASE = "ReleaseInventory"
TEXT = st.text(min_size=1, max_size=20)
MAYBE = st.none() | TEXT
UNITS = st.dictionaries(TEXT, st.integers(1, 10**15), max_size=5)
OPERATIONS = st.builds(
    Operation,
    id=TEXT,
    type=TEXT,
    at=TEXT,
    answer=st.none() | st.sampled_from(AnswerType),
    event=MAYBE,
    queued=st.booleans(),
)
RESERVATIONS = st.builds(
    Reservation,
    order_id=TEXT,
    outcome=st.sampled_from(Outcome),
    created_at=TEXT,
    customer_id=MAYBE,
    items=UNITS,
    event=MAYBE,
    event_queued=st.booleans(),
    operations=st.lists(OPERATIONS, max_size=3).map(tuple),
    change=TEXT,
    held=st.none() | UNITS,
    fulfilled=UNITS,
    expired=UNITS,
    expires_at=MAYBE,
    due_at=MAYBE,
    full_at=MAYBE,
)


class TestRecords:
    @given(RESERVATIONS)
    def test_a_record_round_trips(self, record: Reservation) -> None:
        # That nothing is held is not stored, as of a record that version 1.1 wrote.
        assert reservation_from_item(reservation_to_item(record, 1_800_000_000)) == replace(
            record, held=record.held or None
        )

    @given(RESERVATIONS)
    def test_a_record_expires_once_it_is_closed_and_never_before(self, record: Reservation) -> None:
        item = reservation_to_item(record, 1_800_000_000)
        assert item.get("ttl") == (None if record.is_open else {"N": "1800000000"})

    @given(RESERVATIONS)
    def test_a_record_is_in_the_index_if_it_is_due_some_day(self, record: Reservation) -> None:
        item = reservation_to_item(record, 1)
        due = record.due_at is not None
        assert item.get("hold_shard") == ({"S": shard_of(record.order_id)} if due else None)
        assert item.get("due_at") == ({"S": record.due_at} if due else None)

    def test_missing_fields_of_a_record_are_not_stored(self) -> None:
        common = {"order_id", "outcome", "items", "created_at"}
        assert reservation_to_item(Reservation("o", Outcome.RESERVED, "now"), 1).keys() == common
        closed = Reservation("o", Outcome.FULFILLED, "now", held={})
        assert reservation_to_item(closed, 1).keys() == {*common, "ttl"}

    def test_unknown_attributes_are_ignored(self) -> None:
        record = Reservation("o", Outcome.RELEASED, "now", change="c")
        assert reservation_from_item({**reservation_to_item(record, 1), "later": {"S": "x"}}) == record

    def test_a_record_expires_the_given_days_after_it_is_written(self) -> None:
        now = datetime(2026, 6, 1, 12, 0, 0, 999_999, UTC)
        assert expiry(now, 90) == int((datetime(2026, 6, 1, 12, tzinfo=UTC) + timedelta(days=90)).timestamp())

    def test_orders_are_spread_over_all_parts_of_the_index(self) -> None:
        shards = [shard_of(f"order-{n}") for n in range(800)]
        assert set(shards) == {str(n) for n in range(HOLD_SHARDS)}
        assert max(shards.count(shard) for shard in set(shards)) < 200


def stored(outcome: str, **texts: str) -> dict[str, Any]:
    """A record as version 1.1 stored it."""
    item: dict[str, Any] = {
        "order_id": {"S": "o"},
        "outcome": {"S": outcome},
        "items": {"M": {"A": {"N": "2"}}},
        "created_at": {"S": "then"},
        "ttl": {"N": "1800000000"},
    }
    return item | {name: {"S": text} for name, text in texts.items()}


class TestVersion11:
    def test_an_open_record_holds_its_items(self) -> None:
        record = reservation_from_item(stored("RESERVED", event="{}", published_at="then"))
        assert (record.held, record.holding, record.counted) == (None, {"A": 2}, {})

    @pytest.mark.parametrize("outcome", ["RESERVED", "REJECTED"])
    def test_an_answer_without_the_mark_of_being_sent_is_not_queued(self, outcome: str) -> None:
        record = reservation_from_item(stored(outcome, event="{}"))
        assert [answer.reference for answer in record.unqueued] == [Reference("o")]

    @pytest.mark.parametrize("outcome", ["RESERVED", "REJECTED"])
    def test_an_answer_with_the_mark_is_queued(self, outcome: str) -> None:
        record = reservation_from_item(stored(outcome, event="{}", published_at="then"))
        assert record.unqueued == []
        assert record.change is None

    def test_the_release_of_an_order_is_read_as_an_operation(self) -> None:
        release = '{"type": "InventoryReleased", "timestamp": "later"}'
        record = reservation_from_item(
            stored("RELEASED", event="{}", published_at="a", release_event=release)
        )
        assert record.operations == (
            Operation(RELEASE, RELEASE, "later", AnswerType.RELEASED, release, queued=False),
        )
        assert [answer.reference for answer in record.unqueued] == [Reference("o", RELEASE)]

    def test_a_release_with_the_mark_is_queued(self) -> None:
        texts = {"release_event": '{"timestamp": "later"}', "release_published_at": "later"}
        assert reservation_from_item(stored("RELEASED", **texts)).unqueued == []

    def test_a_release_by_version_1_1_of_a_newer_record_is_not_queued_and_its_units_count(self) -> None:
        # Both versions run side by side while a deployment takes over.
        newer = Reservation(
            "o", Outcome.RESERVED, "now", "c", {"A": 2}, event="{}", change="c1", held={"A": 2}
        )
        marks = {"published_at": {"S": "then"}, "release_event": {"S": '{"timestamp": "later"}'}}
        item = reservation_to_item(newer, 1) | marks | {"outcome": {"S": "RELEASED"}}
        record = reservation_from_item(item)
        assert [answer.reference.operation_id for answer in record.unqueued] == [RELEASE]
        assert (record.holding, record.counted) == ({}, {"A": 2})


def put_stock(stage: FakeStage, sku: str, **numbers: int) -> None:
    item = {"sku": {"S": sku}, **{name: {"N": str(number)} for name, number in numbers.items()}}
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item)


def get(stage: FakeStage, table: str, **key: str) -> dict[str, Any]:
    found = stage.dynamodb.get_item(
        TableName=table, Key={name: {"S": value} for name, value in key.items()}, ConsistentRead=True
    )
    return dict(found.get("Item", {}))


def put_record(stage: FakeStage, record: Reservation) -> None:
    table = stage.tables.processed_events_table
    stage.dynamodb.put_item(TableName=table, Item=reservation_to_item(record, 1))


FIRM = Reservation("o", Outcome.RESERVED, "now", "c", {"A": 2}, event="{}", change="c1", held={"A": 2})
CLOSED = replace(FIRM, outcome=Outcome.RELEASED, held={}, change="c2")


class TestFind:
    def test_a_record_is_read_consistently(self, stage: FakeStage, client: DynamoDBClient) -> None:
        put_record(stage, FIRM)
        assert OrderStore(client, stage.tables).find("o", at(NOW)) == FIRM
        assert stage.dynamodb.calls[-1].parameters["ConsistentRead"] is True

    def test_an_unknown_order_has_no_record(self, stage: FakeStage, client: DynamoDBClient) -> None:
        assert OrderStore(client, stage.tables).find("o", at(NOW)) is None


class TestRead:
    def test_stock_and_records_are_read_together(self, client: DynamoDBClient, stage: FakeStage) -> None:
        put_record(stage, FIRM)
        put_stock(stage, "A", quantity=3, reserved=2)
        read = OrderStore(client, stage.tables).read(["o", "p"], ["A", "B"], at(NOW))
        assert read == Snapshot({"A": 3, "B": None}, {"o": FIRM, "p": None})


class Committer:
    """A store, and the stage behind it."""

    def __init__(self, client: DynamoDBClient, stage: FakeStage) -> None:
        self.store = OrderStore(client, stage.tables)
        self.stage = stage
        self.snapshot = Snapshot()

    def __call__(self, *writes: Write, change: str = "c9") -> bool:
        return self.store.commit(writes, change, NOW, self.snapshot)

    def stock(self, sku: str) -> dict[str, Any]:
        return get(self.stage, self.stage.tables.inventory_table, sku=sku)

    def record(self) -> Reservation | None:
        return self.store.find("o", at(NOW))


@pytest.fixture
def commit(client: DynamoDBClient, stage: Any) -> Committer:
    return Committer(client, stage)


class TestCommit:
    def test_units_move_between_what_is_available_and_what_is_reserved(self, commit: Committer) -> None:
        put_stock(commit.stage, "A", quantity=5, reserved=1, version=7)
        assert commit(MoveStock("A", -2, 2))
        assert commit.stock("A") == {
            "sku": {"S": "A"},
            "quantity": {"N": "3"},
            "reserved": {"N": "3"},
            "version": {"N": "8"},
            "change": {"S": "c9"},
            "updated_at": {"S": THEN},
        }

    def test_stock_of_version_1_1_gets_what_it_lacks(self, commit: Committer) -> None:
        put_stock(commit.stage, "A", quantity=5)
        assert commit(MoveStock("A", 2, 0))
        stock = commit.stock("A")
        assert {name: stock[name]["N"] for name in ("quantity", "reserved", "version")} == {
            "quantity": "7",
            "reserved": "0",
            "version": "1",
        }

    @pytest.mark.parametrize(
        ("write", "holds"),
        [
            (MoveStock("A", -5, 5), True),
            (MoveStock("A", -6, 6), False),
            (MoveStock("A", -1, 1, below=6), True),
            (MoveStock("A", -1, 1, below=5), False),
            (MoveStock("A", 1, -1), True),
            (MoveStock("A", 0, -1), True),
            (MoveStock("X", 0, 1), False),
            (MoveStock("X", 1, 0), False),
            (MoveStock("X", -1, 1), False),
            (ProveBelow("A", 6), True),
            (ProveBelow("A", 5), False),
            (ProveBelow("X", 5), False),
            (ProveAbsent("X"), True),
            (ProveAbsent("A"), False),
        ],
    )
    def test_a_write_on_stock_is_done_if_its_condition_holds(
        self, commit: Committer, write: Any, holds: bool
    ) -> None:
        put_stock(commit.stage, "A", quantity=5, reserved=1)
        before = commit.stock("A")
        assert commit(write) is holds
        if not holds:
            assert commit.snapshot == Snapshot({write.sku: 5 if write.sku == "A" else None})
            assert commit.stock("A") == before
            assert commit.stock("X") == {}

    @pytest.mark.parametrize(
        ("there", "seen", "holds"),
        [
            (None, None, True),
            (FIRM, None, False),
            (FIRM, FIRM, True),
            (FIRM, replace(FIRM, change="c0"), False),
            (FIRM, replace(FIRM, change=None), False),
            (FIRM, replace(FIRM, outcome=Outcome.RELEASED), False),
            (None, FIRM, False),
            (replace(FIRM, change=None), replace(FIRM, change=None), True),
            (replace(FIRM, change=None), FIRM, False),
        ],
    )
    def test_a_record_is_replaced_if_it_is_as_it_was_seen(
        self,
        commit: Committer,
        there: Reservation | None,
        seen: Reservation | None,
        holds: bool,
    ) -> None:
        if there:
            put_record(commit.stage, there)
        found = commit.record()
        put_stock(commit.stage, "A", quantity=5)
        assert commit(RecordReservation(CLOSED, seen), MoveStock("A", 2, -2)) is holds
        if holds:
            assert commit.record() == replace(CLOSED, held=None)
        else:
            assert commit.record() == found
            assert commit.snapshot.reservations == {"o": found}
            assert commit.stock("A")["quantity"] == {"N": "5"}

    def test_what_is_owed_is_put_into_the_outbox(self, commit: Committer) -> None:
        references = [Reference("o"), Reference("o", "R1"), Reference("o", "R2", RELEASE)]
        assert commit(OweAnswers("c9", references))
        item = get(commit.stage, commit.stage.tables.outbox_table, id="c9")
        assert set(item["owed"]["SS"]) == {"o", "o\nR1", f"o\nR2\n{RELEASE}"}
        assert item["created_at"] == {"S": THEN}

    def test_no_writes_take_no_call(self, commit: Committer, stage: FakeStage) -> None:
        assert commit()
        assert stage.dynamodb.calls == []


class TestDue:
    def due(self, commit: Committer, until: str) -> list[list[tuple[str, str]]]:
        return [
            page
            for shard in range(HOLD_SHARDS)
            for page in commit.store.due(str(shard), until, at(NOW))
            if page
        ]

    def test_what_is_due_is_found_and_nothing_else(self, commit: Committer) -> None:
        for name, due_at in (("early", "2026-06-01T11:00:00.000Z"), ("now", THEN), ("never", None)):
            put_record(commit.stage, replace(FIRM, order_id=name, due_at=due_at))
        put_record(commit.stage, replace(FIRM, order_id="late", due_at="2026-06-01T12:00:00.001Z"))
        found = [order for page in self.due(commit, THEN) for order in page]
        assert sorted(found) == [("early", "2026-06-01T11:00:00.000Z"), ("now", THEN)]

    def test_many_due_orders_come_in_pages_the_oldest_first(self, commit: Committer) -> None:
        names = [name for n in range(3_000) if shard_of(name := f"o{n}") == "3"][:150]
        for number, name in enumerate(names):
            put_record(
                commit.stage, replace(FIRM, order_id=name, due_at=f"2026-06-01T10:00:00.{999 - number:03}Z")
            )
        pages = self.due(commit, THEN)
        assert [len(page) for page in pages] == [100, 50]
        assert [name for page in pages for name, _ in page] == names[::-1]

    def test_nothing_is_read_without_time(self, commit: Committer) -> None:
        with pytest.raises(OutOfTime):
            next(commit.store.due("0", THEN, after(-1)))
