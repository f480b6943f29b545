import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.engines import fake_stage


@dataclass(frozen=True, slots=True)
class World:
    """A stage, in memory or embedded, and its time."""

    kind: str
    stage: Any
    wait: Callable[[float], None]

    @property
    def dynamodb(self) -> Any:
        return self.stage.dynamodb

    @property
    def sqs(self) -> Any:
        return self.stage.sqs

    @property
    def stock(self) -> str:
        return str(self.stage.tables.inventory_table)

    @property
    def records(self) -> str:
        return str(self.stage.tables.processed_events_table)

    def put(self, sku: str, **attributes: dict[str, Any]) -> None:
        self.dynamodb.put_item(TableName=self.stock, Item={"sku": {"S": sku}, **attributes})

    def get(self, sku: str) -> dict[str, Any] | None:
        key = {"sku": {"S": sku}}
        answer = self.dynamodb.get_item(TableName=self.stock, Key=key, ConsistentRead=True)
        return answer.get("Item")  # type: ignore[no-any-return]


@pytest.fixture(params=["memory", "embedded"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Both engines, one after the other."""
    if request.param == "memory":
        stage = fake_stage(visibility_seconds=2, max_receive_count=3)
        yield World("memory", stage, stage.clock.advance)
    else:
        yield World("embedded", request.getfixturevalue("stage"), time.sleep)


@pytest.fixture
def ministack_differs(request: pytest.FixtureRequest, world: World) -> Callable[[str], None]:
    """Say where MiniStack is not as AWS is; the in-memory engine must be as AWS is."""

    def differs(reason: str) -> None:
        if world.kind == "embedded":
            ours = "AWS_ENDPOINT_URL" not in os.environ  # another endpoint may be better than MiniStack
            request.applymarker(pytest.mark.xfail(reason=reason, strict=ours))

    return differs
