from collections.abc import Iterator

import pytest

from chalicelib import clients
from local.stage import Stage
from tests.support.rest import Rest, forget_clients


@pytest.fixture
def rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rest]:
    """The REST API on a fresh stage."""
    for name, value in stage.env.items():
        monkeypatch.setenv(name, value)
    forget_clients()
    # Before any thread does: boto3's default session is not made for being built twice at once.
    clients.dynamodb()
    yield Rest()
    clients.dynamodb().close()
    forget_clients()
