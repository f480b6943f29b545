"""The simulation finds each bug that is put into the consumer, within so many seeds."""

from __future__ import annotations

from multiprocessing.pool import Pool

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.processes import find_mutation


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_simulation_finds_a_bug(pool: Pool, name: str) -> None:
    assert pool.apply(find_mutation, (name,)).violation is not None
