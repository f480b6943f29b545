"""In-memory stand-ins for DynamoDB and SQS, for tests and for the simulation."""

from tests.engines.clock import FakeClock
from tests.engines.dynamodb import FakeDynamoDB
from tests.engines.queues import Disorder, Queue
from tests.engines.sqs import FakeSQS
from tests.engines.stage import FakeStage, fake_stage

__all__ = ["Disorder", "FakeClock", "FakeDynamoDB", "FakeSQS", "FakeStage", "Queue", "fake_stage"]
