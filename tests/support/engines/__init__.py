"""In-memory stand-ins for DynamoDB and SQS, for tests and for the simulation."""

from tests.support.engines import faults
from tests.support.engines.clock import FakeClock
from tests.support.engines.dynamodb import FakeDynamoDB
from tests.support.engines.network import Call, Crash, Network, Scripted
from tests.support.engines.queues import Disorder, Queue
from tests.support.engines.random_faults import RandomFaults
from tests.support.engines.sqs import FakeSQS
from tests.support.engines.stage import FakeStage, fake_stage

__all__ = [
    "Call",
    "Crash",
    "Disorder",
    "FakeClock",
    "FakeDynamoDB",
    "FakeSQS",
    "FakeStage",
    "Network",
    "Queue",
    "RandomFaults",
    "Scripted",
    "fake_stage",
    "faults",
]
