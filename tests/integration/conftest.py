from collections.abc import Iterator

import pytest

from chalicelib import clients
from local.stage import Stage
from tests import aws_calls
from tests.rest import Rest, forget_clients

aws_calls.install()


@pytest.fixture(scope="session", autouse=True)
def permissions(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every call that the functions' code makes is one that tests/terraform has compared with IAM."""
    yield
    aws_calls.check(request.config, failed=request.session.testsfailed > 0)


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
