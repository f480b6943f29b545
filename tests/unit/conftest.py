from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from local.stage import Stage
from tests.support.engines import FakeStage, Network, Scripted, fake_stage
from tests.support.engines.moto_stage import moto_stage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on moto too if it speaks to a repository alone: it names neither `stage` nor `script`."""
    named = inspect.signature(metafunc.function).parameters
    if "client" in metafunc.fixturenames and not {"stage", "script"} & named.keys():
        metafunc.parametrize("stage", ["memory", "moto"], indirect=True)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[FakeStage | Stage]:
    """Empty tables, in memory unless the parameter is "moto"."""
    if getattr(request, "param", "memory") == "moto":
        with moto_stage() as stage:
            yield stage
    else:
        yield fake_stage(record=True)


@pytest.fixture
def script() -> Scripted:
    """What goes wrong with the calls of `client`; nothing unless a test says so."""
    return Scripted()


@pytest.fixture
def client(stage: FakeStage | Stage, script: Scripted) -> DynamoDBClient:
    """The stage's DynamoDB behind a network that follows `script`."""
    client: DynamoDBClient = Network(script).client(stage.dynamodb)
    return client
