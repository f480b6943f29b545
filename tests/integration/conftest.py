from collections.abc import Iterator

import pytest

from chalicelib import clients
from local.stage import Stage
from tests.support.rest import RestClient, reset_clients


@pytest.fixture
def rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestClient]:
    """The REST API on a fresh stage."""
    for name, value in stage.env.items():
        monkeypatch.setenv(name, value)
    reset_clients()
    # Now, before any thread does it: threads must not build boto3's default session concurrently.
    clients.dynamodb()
    yield RestClient()
    clients.dynamodb().close()
    reset_clients()
