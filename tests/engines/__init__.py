"""In-memory stand-ins for DynamoDB and SQS, for tests and for the simulation."""

from tests.engines import faults
from tests.engines.chance import RandomFaults
from tests.engines.clock import FakeClock
from tests.engines.dynamodb import FakeDynamoDB
from tests.engines.network import Call, Crash, Network, Scripted
from tests.engines.queues import Disorder, Queue
from tests.engines.sqs import FakeSQS
from tests.engines.stage import FakeStage, fake_stage

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
