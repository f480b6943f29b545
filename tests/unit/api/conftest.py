from collections.abc import Iterator

import pytest

from chalicelib import bootstrap
from tests.support.engines import FakeStage, Network, Scripted
from tests.support.rest import RestClient, reset_clients


@pytest.fixture
def rest(stage: FakeStage, script: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestClient]:
    """The REST API on `stage`."""
    reset_clients()
    # The composition root is the one seam where a client can be passed in.
    monkeypatch.setattr(bootstrap, "dynamodb", lambda: Network(script).client(stage.dynamodb))
    monkeypatch.setattr(bootstrap, "tables", lambda: stage.tables)
    yield RestClient()
    reset_clients()
