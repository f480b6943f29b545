from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.reservation import RELEASE, AnswerType, Operation, Outcome, Reservation
from chalicelib.store.items import expiry, reservation_from_item, reservation_to_item
from chalicelib.store.order_store import OrderStore
from tests.support.deadlines import at
from tests.support.engines import FakeStage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TEXT = st.text(min_size=1, max_size=20)
MAYBE = st.none() | TEXT
OPERATIONS = st.builds(
    Operation,
    id=TEXT,
    type=TEXT,
    at=TEXT,
    answer=st.sampled_from(AnswerType),
    event=TEXT,
    queued=st.booleans(),
)
RESERVATIONS = st.builds(
    Reservation,
    order_id=TEXT,
    outcome=st.sampled_from(Outcome),
    created_at=TEXT,
    customer_id=MAYBE,
    items=st.dictionaries(TEXT, st.integers(1, 10**15), max_size=5),
    event=MAYBE,
    event_queued=st.booleans(),
    operations=st.lists(OPERATIONS, max_size=3).map(tuple),
    change=TEXT,
)


@given(RESERVATIONS)
def test_a_record_round_trips(record: Reservation) -> None:
    item = reservation_to_item(record, 1_800_000_000)
    assert item["ttl"] == {"N": "1800000000"}
    assert reservation_from_item(item) == record


def test_missing_fields_of_a_record_are_not_stored() -> None:
    item = reservation_to_item(Reservation("o", Outcome.RESERVED, "now"), 1)
    assert item.keys() == {"order_id", "outcome", "items", "created_at", "ttl"}


def test_unknown_attributes_are_ignored() -> None:
    record = Reservation("o", Outcome.RELEASED, "now", change="c")
    assert reservation_from_item({**reservation_to_item(record, 1), "later": {"S": "x"}}) == record


def test_a_record_expires_the_given_days_after_it_is_written() -> None:
    now = datetime(2026, 6, 1, 12, 0, 0, 999_999, UTC)
    assert expiry(now, 90) == int((datetime(2026, 6, 1, 12, tzinfo=UTC) + timedelta(days=90)).timestamp())


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
    @pytest.mark.parametrize("outcome", ["RESERVED", "REJECTED"])
    def test_an_answer_without_the_mark_of_being_sent_is_not_queued(self, outcome: str) -> None:
        record = reservation_from_item(stored(outcome, event="{}"))
        assert [answer.reference for answer in record.unqueued] == ["o"]

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
        assert [answer.reference for answer in record.unqueued] == [f"o\n{RELEASE}"]

    def test_a_release_with_the_mark_is_queued(self) -> None:
        texts = {"release_event": '{"timestamp": "later"}', "release_published_at": "later"}
        assert reservation_from_item(stored("RELEASED", **texts)).unqueued == []

    def test_a_release_by_version_1_1_of_a_newer_record_is_not_queued(self) -> None:
        # Both versions run side by side while a deployment takes over.
        newer = Reservation("o", Outcome.RESERVED, "now", "c", {"A": 2}, event="{}", change="c1")
        marks = {"published_at": {"S": "then"}, "release_event": {"S": '{"timestamp": "later"}'}}
        item = reservation_to_item(newer, 1) | marks | {"outcome": {"S": "RELEASED"}}
        assert [answer.operation_id for answer in reservation_from_item(item).unqueued] == [RELEASE]


class TestGet:
    def test_a_record_is_read_consistently(self, stage: FakeStage, client: DynamoDBClient) -> None:
        record = Reservation("o", Outcome.REJECTED, "now", "c", {"A": 1}, event="{}", change="c1")
        table = stage.tables.processed_events_table
        stage.dynamodb.put_item(TableName=table, Item=reservation_to_item(record, 1))
        assert OrderStore(client, stage.tables).find("o", at(NOW)) == record
        assert stage.dynamodb.calls[-1].parameters["ConsistentRead"] is True

    def test_an_unknown_order_has_no_record(self, stage: FakeStage, client: DynamoDBClient) -> None:
        assert OrderStore(client, stage.tables).find("o", at(NOW)) is None
