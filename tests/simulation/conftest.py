"""The processes that run seeds, shared by the tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import Pool

import pytest

from tests.simulation.processes import process_pool


@pytest.fixture(scope="package")
def pool() -> Iterator[Pool]:
    with process_pool(1) as pool:
        yield pool
