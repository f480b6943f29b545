"""What the consumer tells its operators: metrics, and one log line a group."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from traceback import format_tb
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from chalicelib.consumer.inbox import Inbox, Message, Task
from chalicelib.domain.commands import ChangeType
from chalicelib.domain.planner import Decision
from chalicelib.domain.reservation import Reference
from chalicelib.domain.rulings import Ruling
from chalicelib.errors import ImsError
from chalicelib.telemetry import NAMESPACE, logger, metrics

MAX_VALUES: Final = 100
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
MAX_IDS: Final = 400
"""Order ids in a line of log, each of up to 512 bytes: together less than 256 KB.

CloudWatch took no larger event for years. Now it takes 1 MB, but other tools may not.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""
_COUNT: Final = MetricUnit.Count


class Report:
    """Counts and logs what happens; the log has order ids, but no customers and no items."""

    def received(self, messages: Sequence[Message], inbox: Inbox) -> None:
        """A batch was received; poison is left to the dead-letter queue."""
        metrics.add_metric("BatchSize", _COUNT, len(messages))
        for message, why in inbox.poison:
            logger.error(
                "message is poison", message_id=message.id, reason=str(why), receives=message.receives
            )
        if inbox.poison:
            metrics.add_metric("PoisonMessages", _COUNT, len(inbox.poison))
        self.mismatched(inbox.mismatched)

    def decided(self, decisions: Sequence[Decision[Any]]) -> None:
        """A group of orders is committed."""
        rejected = {d.order.order_id: d.failure.value for d in decisions if d.failure}
        reserved = [d.order.order_id for d in decisions if not d.failure]
        metrics.add_metric("GroupSize", _COUNT, len(decisions))
        if reserved:
            metrics.add_metric("OrdersReserved", _COUNT, len(reserved))
        _count_by_reason("OrdersRejected", rejected.values())
        logger.info("orders settled", reserved=reserved, rejected=rejected)

    def ruled(self, rulings: Sequence[Ruling]) -> None:
        """A group of changes of orders is committed."""
        metrics.add_metric("GroupSize", _COUNT, len(rulings))
        done: dict[str, list[str]] = {}
        refused: dict[str, str] = {}
        for ruling in rulings:
            if ruling.refusal:
                refused[ruling.command.order_id] = ruling.refusal.value
            else:
                done.setdefault(_metric(ruling), []).append(ruling.command.order_id)
        for name, order_ids in done.items():
            metrics.add_metric(name, _COUNT, len(order_ids))
        _count_by_reason("ChangesRejected", [ruling.refusal.value for ruling in rulings if ruling.refusal])
        logger.info("orders changed", changed=done, rejected=refused)

    def unknown(self, order_ids: Sequence[str]) -> None:
        """Changes of orders that are on no record come again: they may have overtaken their order."""
        if order_ids:
            metrics.add_metric("ChangesOfUnknownOrders", _COUNT, len(order_ids))
            _warn("changes of orders that are on no record", order_ids)

    def duplicates(self, order_ids: Sequence[str]) -> None:
        """Orders were received again that were settled before."""
        if order_ids:
            metrics.add_metric("Duplicates", _COUNT, len(order_ids))
            logger.info("orders settled before", duplicates=order_ids)

    def mismatched(self, order_ids: Sequence[str]) -> None:
        """Orders were received again with other items; the first items stand."""
        if order_ids:
            metrics.add_metric("MismatchedOrders", _COUNT, len(order_ids))
            _warn("orders were received again with other items; the first items stand", order_ids)

    def retry(self, order_ids: Sequence[str], why: Exception) -> None:
        """A group will be retried."""
        metrics.add_metric("Retries", _COUNT, 1)
        logger.info("group is retried", orders=order_ids, reason=str(why))

    def failed(self, order_ids: Sequence[str], why: Exception) -> None:
        """Orders are left to be redelivered, or to the dead-letter queue."""
        logger.error("orders could not be settled", orders=order_ids, **_told(why))

    def owed(self, why: Mapping[Reference, Exception | None]) -> None:
        """Answers were not sent, and stay in the outbox; None: the queue had refused another call before.

        The log has one of the reasons in full.
        """
        first = next((error for error in why.values() if error), None)
        logger.warning("answers stay in the outbox", count=len(why), **(_told(first) if first else {}))

    def delayed(self, count: int) -> None:
        """The consumer leaves `count` answers to the sweep; what a sweep leaves again is not counted anew."""
        if count:
            metrics.add_metric("AnswersDelayed", _COUNT, count)

    def kept(self, why: Exception) -> None:
        """Answers were sent, but could not be removed from the outbox: they will be sent once more."""
        logger.warning("answers sent but not removed from the outbox", **_told(why))

    def holds(self, overdue: timedelta) -> None:
        """A sweep has looked for holds that are due; the oldest one ended so long ago (0: there was none)."""
        metrics.add_metric("HoldsOverdue", MetricUnit.Seconds, overdue.total_seconds())

    def swept(self, owed: int, oldest: timedelta, sent: int) -> None:
        """A sweep found `owed` answers in the outbox, for as long as `oldest`, and has sent some of them."""
        metrics.add_metric("AnswersOwed", _COUNT, owed)
        metrics.add_metric("OutboxAge", MetricUnit.Seconds, oldest.total_seconds())
        metrics.add_metric("AnswersSwept", _COUNT, sent)
        if owed:
            logger.info("outbox swept", owed=owed, oldest_seconds=oldest.total_seconds(), sent=sent)

    def lost(self, change: str, order_ids: Sequence[str]) -> None:
        """The outbox owes answers that are on no record: somebody has to look (docs/runbook.md)."""
        metrics.add_metric("AnswersLost", _COUNT, len(order_ids))
        logger.error("the outbox owes answers that are on no record", outbox_id=change, orders=order_ids)

    def answered(self, tasks: Iterable[Task], delivered: Mapping[Reference, datetime]) -> None:
        """Answers to `tasks`, which are settled, were sent, each at the time that `delivered` says."""
        waited = [
            max(0.0, delivered[task.reference].timestamp() * 1000 - message.sent_at)
            for task in tasks
            if task.reference in delivered
            for message in task.messages
        ]
        # `add_metric` formats all earlier values on each call, so the metric is written directly.
        for start in range(0, len(waited), MAX_VALUES):
            values = {"Unit": MetricUnit.Milliseconds.value, "Value": waited[start : start + MAX_VALUES]}
            print(json.dumps(metrics.serialize_metric_set({"TimeToAnswer": values})))  # noqa: T201

    def unsettled(self, order_ids: Sequence[str], messages: int) -> None:
        """The batch is done; `messages` of it, poison and those of `order_ids`, will be redelivered."""
        metrics.add_metric("MessagesFailed", _COUNT, messages)
        _warn("orders will be redelivered", order_ids)


_METRICS: Final = {
    ChangeType.CONFIRM: "OrdersConfirmed",
    ChangeType.EXTEND: "HoldsExtended",
    ChangeType.FULFILL: "OrdersFulfilled",
    ChangeType.RELEASE: "OrdersReleased",
}


def _metric(ruling: Ruling) -> str:
    """The metric that counts what was done."""
    if ruling.command.due:
        return "HoldsExpired" if ruling.expired_at else "OrdersAged"
    return _METRICS[ruling.command.type]


def _count_by_reason(name: str, reasons: Iterable[str]) -> None:
    for reason, count in Counter(reasons).items():
        with single_metric(name, _COUNT, count, namespace=NAMESPACE) as metric:
            metric.add_dimension("service", metrics.service)
            metric.add_dimension("reason", reason)


def _warn(message: str, order_ids: Sequence[str]) -> None:
    """Log a warning about orders of a whole batch, which has up to 10,000; groups need one line only."""
    for start in range(0, len(order_ids), MAX_IDS):
        logger.warning(message, orders=order_ids[start : start + MAX_IDS])


def _told(why: Exception) -> dict[str, Any]:
    """What the log says of an error. Of one that is not ours it has only type and stack: its text may contain
    customer data.
    """
    if isinstance(why, ImsError):
        return {"reason": str(why)}
    return {"reason": type(why).__name__, "stack": format_tb(why.__traceback__)}
