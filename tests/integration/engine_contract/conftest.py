import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from local import environment
from local.stage import Stage
from tests.support.engines import FakeStage, fake_stage
from tests.support.engines.moto_stage import moto_stage


@dataclass(frozen=True, slots=True)
class World:
    """A stage on one of the engines; `wait` lets its time pass.

    The clients are `Any`, since the suite also sends parameters that their types forbid.
    """

    kind: str
    stage: Stage | FakeStage
    wait: Callable[[float], None]

    @property
    def dynamodb(self) -> Any:
        return self.stage.dynamodb

    @property
    def sqs(self) -> Any:
        return self.stage.sqs

    @property
    def stock(self) -> str:
        return self.stage.tables.inventory_table

    @property
    def records(self) -> str:
        return self.stage.tables.processed_events_table

    def put(self, sku: str, **attributes: dict[str, Any]) -> None:
        self.dynamodb.put_item(TableName=self.stock, Item={"sku": {"S": sku}, **attributes})

    def get(self, sku: str) -> dict[str, Any] | None:
        key = {"sku": {"S": sku}}
        answer = self.dynamodb.get_item(TableName=self.stock, Key=key, ConsistentRead=True)
        item: dict[str, Any] | None = answer.get("Item")
        return item


@pytest.fixture(params=["memory", "embedded", "moto"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Run the test on each engine."""
    match request.param:
        case "memory":
            stage = fake_stage(visibility_seconds=2, max_receive_count=3)
            yield World("memory", stage, stage.clock.advance)
        case "embedded":
            yield World("embedded", request.getfixturevalue("stage"), time.sleep)
        case "moto":
            with moto_stage() as real:
                yield World("moto", real, time.sleep)  # moto reads the real clock


class Differs(Protocol):
    """`differs(reason)` marks that the test must fail on the engine, if `when` is true."""

    def __call__(self, reason: str, *, when: bool = True) -> None: ...


def _differs(request: pytest.FixtureRequest, *, here: bool, strict: bool) -> Differs:
    def differs(reason: str, *, when: bool = True) -> None:
        if here and when:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=strict))

    return differs


@pytest.fixture
def ministack_differs(request: pytest.FixtureRequest, world: World) -> Differs:
    """Mark a test in which MiniStack differs from AWS; the in-memory engine must behave like AWS."""
    ours = not environment.endpoints_are_given()  # another endpoint may not differ
    return _differs(request, here=world.kind == "embedded", strict=ours)


@pytest.fixture
def moto_differs(request: pytest.FixtureRequest, world: World) -> Differs:
    """Mark a test in which moto differs from AWS."""
    return _differs(request, here=world.kind == "moto", strict=True)
