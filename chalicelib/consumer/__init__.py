"""The consumer of the inventory queue: reserves and releases stock, and answers the OMS once per order."""

from __future__ import annotations

from typing import Any

from chalicelib import clients
from chalicelib.consumer.pace import LambdaContext, Pace
from chalicelib.core.inbox import Message
from chalicelib.telemetry import logger, metrics


def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Settle the SQS `event` that Lambda hands over; answers which messages SQS shall deliver again.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    logger.set_correlation_id(context.aws_request_id)
    messages = [_message(record) for record in event["Records"]]
    failed = clients.consumer().settle(messages, Pace.of(context))
    metrics.flush_metrics()
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
