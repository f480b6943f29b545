"""The inventory queue: from an SQS event to the messages that SQS must redeliver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.aws.deadline import Deadline, LambdaContext
from chalicelib.telemetry import logger, metrics

if TYPE_CHECKING:
    from chalicelib.consumer.consumer import Consumer


def handle(event: dict[str, Any], context: LambdaContext, consumer: Consumer) -> dict[str, Any]:
    """Settle the SQS `event` that Lambda hands over; returns which messages SQS must redeliver.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    logger.set_correlation_id(context.aws_request_id)
    response = respond(event, consumer, Deadline.of(context))
    metrics.flush_metrics()
    return response


def respond(event: dict[str, Any], consumer: Consumer, deadline: Deadline) -> dict[str, Any]:
    """Let `consumer` settle the messages of `event`; returns the same as `handle`."""
    from chalicelib.consumer.inbox import Message  # late, so that the API does not load the consumer

    messages = [
        Message(
            id=record["messageId"],
            body=record["body"],
            sent_at=int(record["attributes"]["SentTimestamp"]),
            receives=int(record["attributes"]["ApproximateReceiveCount"]),
        )
        for record in event["Records"]
    ]
    failed = consumer.settle(messages, deadline)
    return {
        "batchItemFailures": [{"itemIdentifier": message.id} for message in messages if message.id in failed]
    }
