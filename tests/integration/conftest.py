from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from chalicelib import bootstrap
from local.stage import Stage
from tests.support import messages
from tests.support.rest import RestClient, reset_clients


@pytest.fixture(autouse=True)
def _real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the messages of the OMS be of this moment, since consumers use the real clock here."""
    monkeypatch.setattr(messages, "TIMESTAMP", datetime.now(UTC).isoformat())


@pytest.fixture
def rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestClient]:
    """The REST API on a fresh stage."""
    for name, value in stage.env.items():
        monkeypatch.setenv(name, value)
    reset_clients()
    # Before any thread does: boto3's default session is not made for being built twice at once.
    bootstrap.dynamodb()
    yield RestClient()
    bootstrap.dynamodb().close()
    reset_clients()
