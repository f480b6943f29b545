"""The sweep of the holds and of the outbox, which a schedule calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.deadline import Deadline, LambdaContext
from chalicelib.telemetry import logger, metrics

if TYPE_CHECKING:
    from chalicelib.consumer.holds import HoldSweep
    from chalicelib.consumer.sweep import Sweep


def handle(context: LambdaContext, holds: HoldSweep, outbox: Sweep) -> None:
    """Sweep the holds, then the outbox. Raises `AwsError`, which Lambda counts as the function's error."""
    logger.set_correlation_id(context.aws_request_id)
    deadline = Deadline.of(context)
    try:
        try:
            # Mostly this takes a moment, and leaves nearly all of the time to the outbox.
            holds.run(deadline.share(2))
        finally:
            outbox.run(deadline)
    finally:
        metrics.flush_metrics()
