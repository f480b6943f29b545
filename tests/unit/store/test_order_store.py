from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.reservation import Outcome, Reservation
from chalicelib.store.items import expiry, reservation_from_item, reservation_to_item
from chalicelib.store.order_store import OrderStore
from tests.support.deadlines import at
from tests.support.engines import FakeStage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TEXT = st.text(min_size=1, max_size=20)
MAYBE = st.none() | TEXT
RESERVATIONS = st.builds(
    Reservation,
    order_id=TEXT,
    outcome=st.sampled_from(Outcome),
    created_at=TEXT,
    customer_id=MAYBE,
    items=st.dictionaries(TEXT, st.integers(1, 10**15), max_size=5),
    event=MAYBE,
    published_at=MAYBE,
    release_event=MAYBE,
    release_published_at=MAYBE,
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
    record = Reservation("o", Outcome.RELEASED, "now")
    assert reservation_from_item({**reservation_to_item(record, 1), "later": {"S": "x"}}) == record


def test_a_record_expires_the_given_days_after_it_is_written() -> None:
    now = datetime(2026, 6, 1, 12, 0, 0, 999_999, UTC)
    assert expiry(now, 90) == int((datetime(2026, 6, 1, 12, tzinfo=UTC) + timedelta(days=90)).timestamp())


class TestGet:
    def test_a_record_is_read_consistently(self, stage: FakeStage, client: DynamoDBClient) -> None:
        record = Reservation("o", Outcome.REJECTED, "now", "c", {"A": 1}, event="{}")
        table = stage.tables.processed_events_table
        stage.dynamodb.put_item(TableName=table, Item=reservation_to_item(record, 1))
        assert OrderStore(client, stage.tables).find("o", at(NOW)) == record
        assert stage.dynamodb.calls[-1].parameters["ConsistentRead"] is True

    def test_an_unknown_order_has_no_record(self, stage: FakeStage, client: DynamoDBClient) -> None:
        assert OrderStore(client, stage.tables).find("o", at(NOW)) is None
