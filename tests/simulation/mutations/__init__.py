"""Bugs put into the consumer, one at a time, to see that the simulation finds them."""

from tests.simulation.mutations import (
    answers,
    batches,
    holds,
    lives,
    outbox,
    planning,
    reading,
    stock,
    transactions,
)
from tests.simulation.mutations.registry import Mutation

MUTATIONS: dict[str, Mutation] = {
    mutation.name: mutation
    for module in (transactions, planning, answers, outbox, batches, reading, lives, holds, stock)
    for mutation in module.MUTATIONS.mutations
}

__all__ = ["MUTATIONS", "Mutation"]
