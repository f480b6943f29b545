from random import Random
from statistics import mean

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.backoff import BASE_SECONDS, CAP_SECONDS, full_jitter


@given(st.integers(0, 10**9), st.integers())
def test_a_pause_is_between_zero_and_the_bound(attempt: int, seed: int) -> None:
    bound = min(CAP_SECONDS, BASE_SECONDS * 2 ** min(attempt, 64))
    assert 0 <= full_jitter(attempt, Random(seed)) <= bound


def test_pauses_spread_over_a_bound_that_doubles() -> None:
    rng = Random(1)
    for attempt in range(6):
        pauses = [full_jitter(attempt, rng) for _ in range(2_000)]
        bound = BASE_SECONDS * 2**attempt
        assert min(pauses) < 0.05 * bound
        assert 0.95 * bound < max(pauses) <= bound
        assert 0.45 * bound < mean(pauses) < 0.55 * bound
