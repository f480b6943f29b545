from datetime import UTC, datetime, timedelta, timezone

from chalicelib.domain.timestamps import iso


def test_a_timestamp_is_in_utc_with_milliseconds() -> None:
    half_past = timezone(timedelta(hours=5, minutes=30))
    assert iso(datetime(2026, 6, 1, 12, 0, 0, 123_999, UTC)) == "2026-06-01T12:00:00.123Z"
    assert iso(datetime(2026, 6, 1, 2, 0, tzinfo=half_past)) == "2026-05-31T20:30:00.000Z"
