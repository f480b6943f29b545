import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import consumer
from local.stage import Stage
from tests import aws_calls
from tests.messages import release, reserve
from tests.rest import forget_clients

_ids = count()


@pytest.fixture
def shop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage with ten lamps, and the consumer set to it."""
    for name, value in stage.env.items():
        monkeypatch.setenv(name, value)
    forget_clients()
    lamps = {"sku": {"S": "LAMP"}, "quantity": {"N": "10"}, "updated_at": {"S": "2026-01-01T00:00:00Z"}}
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=lamps)
    yield stage
    forget_clients()


def settle(*messages: dict[str, Any], receives: int = 1) -> None:
    now = datetime.now(UTC)
    records = [
        {
            "messageId": f"message-{next(_ids)}",
            "body": json.dumps(message | {"timestamp": now.isoformat()}),
            "attributes": {
                "SentTimestamp": str(int(now.timestamp() * 1000)),
                "ApproximateReceiveCount": str(receives),
            },
        }
        for message in messages
    ]
    context = SimpleNamespace(aws_request_id="request", get_remaining_time_in_millis=lambda: 60_000)
    assert consumer.handle({"Records": records}, context) == {"batchItemFailures": []}


def test_the_consumer_needs_every_call_that_it_is_allowed(shop: Stage) -> None:
    settle(reserve("first", {"LAMP": 2}))
    settle(reserve("too-many", {"LAMP": 100}), reserve("unknown", {"GHOST": 1}))
    settle(reserve("again-too-many", {"LAMP": 100}))
    settle(reserve("first", {"LAMP": 2}), receives=2)
    settle(release("first"))

    assert aws_calls.made["consumer"] >= aws_calls.recorded()["consumer"]
