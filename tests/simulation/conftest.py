"""The processes that run seeds, shared by the tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import Pool

import pytest

from tests.simulation.farm import farm


@pytest.fixture(scope="package")
def pool() -> Iterator[Pool]:
    with farm(1) as pool:
        yield pool
