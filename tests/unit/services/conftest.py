from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.stock_store import StockStore
from local.stage import Stage
from tests.support.engines import FakeStage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def changes(client: DynamoDBClient, stage: FakeStage | Stage) -> StockChanges:
    """Changes of the stage's stock."""
    return StockChanges(StockStore(client, stage.tables))
