"""Runs consumers as threads on one hot SKU, with a model of DynamoDB's transaction conflicts."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any, Final, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.conflicts import Conflicts
from bench.null_report import NullReport
from bench.orders import Orders, Row
from bench.usual import Steps
from chalicelib.aws.deadline import Deadline, full_jitter
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.delivery import THREADS, Publisher
from chalicelib.consumer.inbox import Message
from chalicelib.store.order_store import OrderStore
from chalicelib.store.outbox_store import OutboxStore
from local.stage import Stage

_LIMIT_SECONDS: Final = 30.0
Sleep = Callable[[float], None]


class Settle(Protocol):
    """Settles a batch of messages; returns how many SQS has to redeliver."""

    def __call__(self, bodies: list[str]) -> int: ...


class HotSkuStage:
    """A stage with one hot SKU, and clients whose calls take `latency` seconds longer and may conflict."""

    def __init__(self, stage: Stage, latency: float) -> None:
        config = Config(max_pool_connections=128, retries={"mode": "standard", "total_max_attempts": 2})
        access: Any = {
            "region_name": stage.env["AWS_REGION"],
            "endpoint_url": stage.env["AWS_ENDPOINT_URL"],
            "aws_access_key_id": stage.env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": stage.env["AWS_SECRET_ACCESS_KEY"],
        }
        self.dynamodb = boto3.client("dynamodb", config=config, **access)
        self.sqs = boto3.client("sqs", config=config, **access)
        self.conflicts = Conflicts(latency)
        self.conflicts.watch(self.dynamodb)
        self.sqs.meta.events.register("before-send", lambda **_: time.sleep(latency))
        for name in ("GetItem", "PutItem", "BatchGetItem", "DeleteItem", "UpdateItem"):
            self.dynamodb.meta.events.register(
                f"before-send.dynamodb.{name}", lambda **_: time.sleep(latency)
            )
        self._stage = stage

    def ours(self, sleep: Sleep) -> Settle:
        """Our consumer, which calls `sleep` between its tries."""
        store = OrderStore(self.dynamodb, self._stage.tables)
        outbox = OutboxStore(self.dynamodb, self._stage.tables)
        publisher = Publisher(self.sqs, self._stage.oms_queue_url)
        consumer = Consumer(
            store,
            outbox,
            publisher,
            self._stage.tables.record_ttl_days,
            ThreadPoolExecutor(THREADS),
            report=NullReport(),
        )

        def settle(bodies: list[str]) -> int:
            until = time.monotonic() + _LIMIT_SECONDS
            deadline = Deadline(remaining=lambda: until - time.monotonic(), margin=10, sleep=sleep)
            now = int(time.time() * 1000)
            messages = [Message(str(number), body, now, 1) for number, body in enumerate(bodies)]
            return len(consumer.settle(messages, deadline))

        return settle

    def usual(self, sleep: Sleep) -> Settle:
        """The usual way, order by order, with our backoff after a refused transaction."""
        steps = Steps(self.dynamodb, self.sqs, self._stage.tables, self._stage.oms_queue_url)
        rng = Random()

        def reserve(order: Any) -> dict[str, Any]:
            for attempt in itertools.count():
                try:
                    return steps.reserve(order)
                except ClientError:
                    sleep(full_jitter(attempt, rng))
            raise AssertionError

        def settle(bodies: list[str]) -> int:
            for order in map(json.loads, bodies):
                if not steps.known(order):
                    answer = reserve(order)
                    steps.record(order)
                    steps.send(answer)
            return 0

        return settle


class Tally:
    """The sums over all consumers."""

    def __init__(self) -> None:
        self.settled = 0
        self.left = 0
        self.batch_seconds: list[float] = []
        self._lock = threading.Lock()

    def add(self, settled: int, left: int, seconds: float) -> None:
        """Count one batch that has ended."""
        with self._lock:
            self.settled += settled
            self.left += left
            self.batch_seconds.append(seconds)


def run_consumers(consumers: list[Settle], batch: int, seconds: float) -> tuple[Tally, float]:
    """Let each of `consumers` settle batches, each in its own thread, until `seconds` are over.

    Returns the sums and the seconds that it took, including the last batches.
    """
    tally = Tally()
    start = threading.Barrier(len(consumers))
    began = time.monotonic()

    def consume(number: int, settle: Settle) -> None:
        orders = Orders(Row(batch, skus=1), seed=time.time_ns() + number)
        start.wait()
        while (now := time.monotonic()) - began < seconds:
            left = settle(orders.bodies(batch))
            tally.add(batch - left, left, time.monotonic() - now)

    with ThreadPoolExecutor(len(consumers)) as pool:
        for running in [pool.submit(consume, number, settle) for number, settle in enumerate(consumers)]:
            running.result()
    return tally, time.monotonic() - began
