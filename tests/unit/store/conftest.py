import pytest

from chalicelib.store.adjustments import Adjustments
from tests.support.engines import FakeStage, Network, Scripted, fake_stage


@pytest.fixture
def stage() -> FakeStage:
    """Empty tables in memory."""
    return fake_stage(record=True)


@pytest.fixture
def script() -> Scripted:
    """What goes wrong with the calls of `client`; nothing unless a test says so."""
    return Scripted()


@pytest.fixture
def client(stage: FakeStage, script: Scripted) -> object:
    """The stage's DynamoDB behind a network that follows `script`."""
    return Network(script).client(stage.dynamodb)


@pytest.fixture
def adjustments(client: object, stage: FakeStage) -> Adjustments:
    """Changes of the stage's stock, tried three times without waiting."""
    return Adjustments(client, stage.tables, lambda: iter(range(3)))
