"""Bugs put into the consumer, one at a time, to see that the simulation finds them."""

from tests.simulation.mutations import answering, planning, settling, writing
from tests.simulation.mutations.mutation import Mutation

MUTATIONS: dict[str, Mutation] = {
    mutation.name: mutation
    for module in (writing, planning, answering, settling)
    for mutation in module.BUGS.entered
}

__all__ = ["MUTATIONS", "Mutation"]
