import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from local import environment
from local.emulator import bypass_proxies, running
from local.stage import Stage, open_stage

# An example may be slow because the machine is busy.
settings.register_profile("ims", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ims")

environment.isolate_tests()
bypass_proxies()

pytest_plugins = ["tests.support.aws_calls"]


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The endpoint of an embedded AWS that is started; with IMS_TEST_AWS=given, AWS_ENDPOINT_URL."""
    if environment.endpoints_are_given() and (given := os.environ.get("AWS_ENDPOINT_URL")):
        yield given
        return
    with running() as started:
        yield started.endpoint_url


@pytest.fixture
def stage(emulator: str) -> Iterator[Stage]:
    """Fresh tables and queues, in an account that no other test uses."""
    fresh = open_stage(emulator, f"{random.SystemRandom().randrange(10**11, 10**12)}")
    yield fresh
    fresh.dynamodb.close()
    fresh.sqs.close()
