"""The consumer of the inventory queue: reserves and releases stock, and answers the OMS once per order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import clients
from chalicelib.consumer.pace import LambdaContext, Pace
from chalicelib.core.inbox import Message
from chalicelib.telemetry import logger, metrics

if TYPE_CHECKING:
    from chalicelib.consumer.consumer import Consumer


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Settle the SQS `event` that Lambda hands over; answers which messages SQS shall deliver again.

    `context` is Lambda's own, which Chalice's types call a dict.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    invocation: LambdaContext = context
    logger.set_correlation_id(invocation.aws_request_id)
    response = respond(event, clients.consumer(), Pace.of(invocation))
    metrics.flush_metrics()
    return response


def respond(event: dict[str, Any], consumer: Consumer, pace: Pace) -> dict[str, Any]:
    """Let `consumer` settle the messages of `event`; answers as `handle` does."""
    messages = [_message(record) for record in event["Records"]]
    failed = consumer.settle(messages, pace)
    return {
        "batchItemFailures": [{"itemIdentifier": message.id} for message in messages if message.id in failed]
    }


def _message(record: dict[str, Any]) -> Message:
    attributes = record["attributes"]
    return Message(
        id=record["messageId"],
        body=record["body"],
        sent_at=int(attributes["SentTimestamp"]),
        receives=int(attributes["ApproximateReceiveCount"]),
    )
