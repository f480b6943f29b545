from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.store.adjustments import Adjustments
from tests.support.engines import FakeStage, Network, Scripted, fake_stage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def stage() -> FakeStage:
    """Empty tables in memory."""
    return fake_stage(record=True)


@pytest.fixture
def script() -> Scripted:
    """What goes wrong with the calls of `client`; nothing unless a test says so."""
    return Scripted()


@pytest.fixture
def client(stage: FakeStage, script: Scripted) -> DynamoDBClient:
    """The stage's DynamoDB behind a network that follows `script`."""
    made: DynamoDBClient = Network(script).client(stage.dynamodb)
    return made


@pytest.fixture
def adjustments(client: DynamoDBClient, stage: FakeStage) -> Adjustments:
    """Changes of the stage's stock, tried three times without waiting."""
    return Adjustments(client, stage.tables, lambda: iter(range(3)))
