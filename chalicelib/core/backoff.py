"""How long to wait before the next try."""

from random import Random
from typing import Final

BASE_SECONDS: Final = 0.02
CAP_SECONDS: Final = 2.0


def full_jitter(attempt: int, rng: Random) -> float:
    """Seconds to wait after failed try number `attempt` (from 0): anything up to a doubling bound.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("Full Jitter")
    """
    return rng.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2 ** min(attempt, 16)))
