from collections.abc import Iterator

import pytest

from chalicelib import clients
from tests.support.engines import FakeStage, Network, Scripted, fake_stage
from tests.support.rest import RestClient, reset_clients


@pytest.fixture
def stage() -> FakeStage:
    """Empty tables in memory."""
    return fake_stage()


@pytest.fixture
def script() -> Scripted:
    """The faults of the API's calls; none unless a test adds some."""
    return Scripted()


@pytest.fixture
def rest(stage: FakeStage, script: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestClient]:
    """The REST API on `stage`."""
    reset_clients()
    # A client can be passed in at the composition root only.
    monkeypatch.setattr(clients, "dynamodb", lambda: Network(script).client(stage.dynamodb))
    monkeypatch.setattr(clients, "tables", lambda: stage.tables)
    yield RestClient()
    reset_clients()
