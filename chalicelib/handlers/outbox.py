"""The sweep of the outbox, which a schedule calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.deadline import Deadline, LambdaContext
from chalicelib.telemetry import logger, metrics

if TYPE_CHECKING:
    from chalicelib.consumer.sweep import Sweep


def handle(context: LambdaContext, sweep: Sweep) -> None:
    """Sweep the outbox once. Raises `AwsError`, which Lambda counts as an error of the function."""
    logger.set_correlation_id(context.aws_request_id)
    try:
        sweep.run(Deadline.of(context))
    finally:
        metrics.flush_metrics()
