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
    """What goes wrong with the API's calls; nothing unless a test says so."""
    return Scripted()


@pytest.fixture
def rest(stage: FakeStage, script: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestClient]:
    """The REST API on `stage`."""
    reset_clients()
    # The composition root is the one seam where a client can be passed in.
    monkeypatch.setattr(clients, "dynamodb", lambda: Network(script).client(stage.dynamodb))
    monkeypatch.setattr(clients, "tables", lambda: stage.tables)
    yield RestClient()
    reset_clients()
