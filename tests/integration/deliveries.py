"""Messages that many consumers take from one line, as from a queue that delivers at least once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from chalicelib.aws.deadline import Deadline
from chalicelib.consumer.consumer import Consumer
from chalicelib.consumer.inbox import Message
from tests.integration.consumers import message

SECONDS = 60.0


def deadline(rng: Random) -> Deadline:
    return Deadline(remaining=lambda: SECONDS, margin=1.0, rng=rng)


class Deliveries:
    """Delivers every message at least once, some twice, some to two consumers at once."""

    def __init__(self, bodies: Sequence[str], rng: Random) -> None:
        self._waiting = [message(body) for body in bodies]
        self._rng = rng
        self._lock = threading.Lock()
        self._open = 0
        rng.shuffle(self._waiting)

    def take(self) -> list[Message] | None:
        """A batch; empty while others process the last ones, None when all is done."""
        with self._lock:
            batch = [self._waiting.pop() for _ in range(min(self._rng.randint(1, 10), len(self._waiting)))]
            for delivered in batch:
                if self._rng.random() < 0.15:
                    self._waiting.insert(self._rng.randint(0, len(self._waiting)), redelivered(delivered))
            self._open += bool(batch)
            return batch if batch or self._open else None

    def done(self, batch: Sequence[Message], failed: set[str]) -> None:
        """Take the result of a batch; failed messages are redelivered."""
        with self._lock:
            # To the end of the line: a change that has overtaken its reservation must not hold that back.
            again = [redelivered(delivered) for delivered in batch if delivered.id in failed]
            self._waiting[:0] = again
            self._open -= 1


def redelivered(delivered: Message) -> Message:
    return message(delivered.body, receives=delivered.receives + 1)


def consume(consumer: Consumer, deliveries: Deliveries, seed: int) -> None:
    rng = Random(seed)
    while (batch := deliveries.take()) is not None:
        failed: set[str] = {delivered.id for delivered in batch}
        try:
            failed = consumer.settle(batch, deadline(rng)) if batch else set()
        finally:
            if batch:
                deliveries.done(batch, failed)


def run_concurrently(*jobs: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(jobs)) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()
