"""One experiment: a stage behind two faulty proxies, instances of the system, load, and the checks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from chalicelib.consumer.inbox import read
from chalicelib.domain.timestamps import iso
from chalicelib.errors import Poison
from local import resources
from local.client import Api
from local.emulator import HOST, listen
from local.issuer import AUDIENCE, ISSUER, WRITE, Issuer, publishing
from local.stack import FUNCTION_SECONDS, VISIBILITY_SECONDS
from local.stage import Stage
from tests.faults import load
from tests.faults.faulty_proxy import FaultyProxy, no_fault
from tests.faults.instances import Instances
from tests.faults.sweeper_process import TIMES_FASTER
from tests.support import invariants
from tests.support.local_stack import ROOT

MAX_RECEIVE_COUNT: Final = 5
"""As Terraform sets it."""
_FINAL_VISIBILITY: Final = 2
"""Visibility time-out in seconds once the faults have ended, so that poison is soon in the DLQ."""
TWO_MINUTES: Final = timedelta(minutes=2) / TIMES_FASTER
"""What a sweep may need, which is faster here."""
_SOON: Final = timedelta(minutes=1)
_WAIT_SECONDS: Final = 120
_DEMO_SECONDS: Final = 90


@dataclass
class Experiment:
    """All parts of one run; `sent`, `answers` and `dead` are bodies of messages.

    `answers` are all that the OMS has received, repeats included; `dead` are valid messages that ended in the
    DLQ because of the faults. Since `calm` there are none; since then, the hold that was ended last outlived
    its end by `latest_end`. `measured` are numbers of one scenario only, by column.
    """

    stage: Stage
    dynamodb: FaultyProxy
    sqs: FaultyProxy
    instances: Instances
    adjuster: load.StockAdjuster
    env: dict[str, str]
    rng: Random
    sent: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    calm: datetime = field(default_factory=lambda: datetime.now(UTC))
    latest_end: timedelta = timedelta()
    dead: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def under_load(self, orders: int, seconds: float) -> Iterator[None]:
        """Send the messages of `orders` orders over `seconds` and adjust stock, while the block runs.

        When the block ends, the faults end, too.
        """
        planned = load.messages(self.rng, orders, seconds)
        self.sent += [body for _, body in planned]
        with ThreadPoolExecutor(3) as threads:
            adjusting = [threads.submit(self.adjuster.run) for _ in range(2)]
            queue = self.stage.inventory_queue_url
            sending = threads.submit(load.send, self.stage.sqs, queue, planned)
            try:
                yield
                sending.result()
            finally:
                self._end_faults()
                self.adjuster.stop()
            for adjuster in adjusting:
                adjuster.result()

    def kill_at_random(self, seconds: float, pause: float) -> None:
        """SIGKILL an instance about every `pause` seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(self.rng.uniform(0, 2 * pause))
            self.instances.kill(self.rng)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; a busy machine may be slow."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"the condition never holds: {self.instances.logs[-4000:]}"
            time.sleep(0.2)

    def verify(self) -> None:
        """Wait until the system rests and check everything; redrive the DLQ; now each order has its answer.

        Last, play the demo on the same stage.
        """
        self.wait_for(self.quiet)
        dead = list(self._check([]).dead)
        self.dead = [body for body in dead if not _is_hopeless(body)]
        load.send(self.stage.sqs, self.stage.inventory_queue_url, [(0.0, body) for body in self.dead])
        self.wait_for(self.quiet)
        state = self._check([body for body in dead if _is_hopeless(body)])
        assert all(map(_is_hopeless, state.dead)), "a valid message ended in the DLQ without a fault"
        self._check_from_outside(state)
        self._play_demo()

    def observations(self) -> dict[str, Any]:
        """The numbers of this run, by column."""
        events = {event["event_id"]: event for event in map(json.loads, self.answers)}
        types = Counter(event["type"] for event in events.values())
        ended = sum("expired_at" in event for event in events.values())
        return {
            "messages": len(self.sent),
            "reserved": types["InventoryReserved"],
            "rejected": types["InventoryReservationFailed"],
            "confirmed": types["InventoryConfirmed"],
            "again": sum(event.get("reserved_again", False) for event in events.values()),
            "extended": types["InventoryExtended"],
            "shipped": types["InventoryFulfilled"],
            "released": types["InventoryReleased"] - ended,
            "holds ended": ended,
            "at most late (s)": round(self.latest_end.total_seconds(), 1),
            "refused": types["InventoryChangeRejected"],
            "answers sent again": len(self.answers) - len(events),
            "redriven from the DLQ": len(self.dead),
            "killed": self.instances.ended[-signal.SIGKILL],
            "out of time": self.instances.ended[-signal.SIGALRM],
            "adjustments": self.adjuster.adjusted,
            "calls for them": self.adjuster.requests,
            **self.measured,
        }

    def owed(self) -> dict[str, int]:
        """How many answers the outbox owes, by commit."""
        table = self.stage.tables.outbox_table
        items = self.stage.dynamodb.scan(TableName=table, ConsistentRead=True)["Items"]
        return {item["id"]["S"]: len(item["owed"]["SS"]) if "owed" in item else 1 for item in items}

    def quiet(self) -> bool:
        """Whether no message waits, no hold ends soon, and no answer is owed."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        response = self.stage.sqs.get_queue_attributes(
            QueueUrl=self.stage.inventory_queue_url, AttributeNames=names
        )
        # A message is committed before it leaves its queue, so holds and outbox are read last.
        return not any(map(int, response["Attributes"].values())) and not self._ending() and not self.owed()

    def _ending(self) -> list[str]:
        """The orders whose hold ends soon, or should have ended."""
        table, soon = self.stage.tables.processed_events_table, iso(datetime.now(UTC) + _SOON)
        pages = self.stage.dynamodb.get_paginator("scan").paginate(TableName=table, IndexName="holds")
        items = [item for page in pages for item in page["Items"]]
        return [item["order_id"]["S"] for item in items if item["due_at"]["S"] < soon]

    def _end_faults(self) -> None:
        for proxy in (self.dynamodb, self.sqs):
            proxy.script = no_fault
            proxy.start()
        resources.create_missing_queues(
            self.stage.sqs, visibility_seconds=_FINAL_VISIBILITY, max_receive_count=MAX_RECEIVE_COUNT
        )
        self.calm = datetime.now(UTC)

    def _check(self, dead: Sequence[str]) -> invariants.State:
        """Check what the tables hold and the OMS has received; `dead` were taken from the DLQ before."""
        state = invariants.read_state(self.stage, self.sent)
        self.answers += state.answers
        state = replace(state, answers=self.answers, dead=[*dead, *state.dead])
        invariants.check_at_rest(state, dict.fromkeys(load.SKUS, 0))
        self.latest_end = invariants.check_ends(state, self.calm, TWO_MINUTES)
        for operation, body in self.dynamodb.completed:
            if operation == "TransactWriteItems":
                invariants.check_transaction(json.loads(body)["TransactItems"])
        return state

    def _check_from_outside(self, state: invariants.State) -> None:
        """Check stock from outside: what REST responses say was changed, and what answers say has moved.

        That holds once every order has its answer.
        """
        quantity, reserved = Counter(self.adjuster.changed), Counter[str]()
        for event in {event["event_id"]: event for event in map(json.loads, self.answers)}.values():
            units = {line["sku"]: line["quantity"] for line in event.get("items", ()) if "quantity" in line}
            if event["type"] == "InventoryReserved" or event.get("reserved_again"):
                quantity.subtract(units)
                reserved.update(units)
            elif event["type"] == "InventoryReleased":
                quantity.update(units)
                reserved.subtract(units)
            elif event["type"] == "InventoryFulfilled":
                reserved.subtract(units)
        actual = {
            item["sku"]["S"]: (int(item["quantity"]["N"]), int(item["reserved"]["N"]))
            for item in state.inventory
        }
        assert actual == {sku: (quantity[sku], reserved[sku]) for sku in load.SKUS}

    def _play_demo(self) -> None:
        finished = subprocess.run(
            [sys.executable, "-m", "local.demo"],
            cwd=ROOT,
            # The demo ignores the endpoints of single services; it calls only SQS.
            env={
                "PATH": os.environ["PATH"],
                **self.env,
                "AWS_ENDPOINT_URL": self.env["AWS_ENDPOINT_URL_SQS"],
            },
            capture_output=True,
            text=True,
            timeout=_DEMO_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr


def _is_hopeless(body: str) -> bool:
    """Whether a message must end in the DLQ: it is poison, or changes an order that never was."""
    try:
        command = read(body, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    except Poison:
        return True
    return load.is_stray(command.order_id)


@contextmanager
def experiment(
    stage: Stage,
    folder: Path,
    rng: Random,
    *,
    instances: int = 2,
    units: int = 60,
    visibility: int = VISIBILITY_SECONDS,
    function_seconds: float = FUNCTION_SECONDS,
    sweep_seconds: float = FUNCTION_SECONDS,
) -> Iterator[Experiment]:
    """Start an experiment on a fresh `stage`: `units` of each SKU, `instances` of the system.

    `function_seconds` and `sweep_seconds` are the time limits of a batch and of a sweep.
    """
    resources.create_missing_queues(
        stage.sqs, visibility_seconds=visibility, max_receive_count=MAX_RECEIVE_COUNT
    )
    issuer = Issuer(folder / "issuer-key.pem")
    with ExitStack() as stack:
        dynamodb, sqs = (
            FaultyProxy(stage.dynamodb.meta.endpoint_url),
            FaultyProxy(stage.sqs.meta.endpoint_url),
        )
        stack.callback(dynamodb.close)
        stack.callback(sqs.close)
        bound = stack.enter_context(listen())
        env = {
            **stage.env,
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.url,
            "AWS_ENDPOINT_URL_SQS": sqs.url,
            "AUTH_ISSUER": ISSUER,
            "AUTH_AUDIENCE": AUDIENCE,
            "AUTH_JWKS_URL": stack.enter_context(publishing(issuer, listen())),
            "IMS_API_URL": f"http://{HOST}:{bound.getsockname()[1]}",
            "IMS_TOKEN_WRITE": issuer.token("adjuster", WRITE),
            "NO_PROXY": HOST,
        }
        limits = {"instance": function_seconds, "sweeper": sweep_seconds}
        running = stack.enter_context(Instances(env, bound, folder, instances, limits))
        adjuster = load.StockAdjuster(Api(env["IMS_API_URL"], env["IMS_TOKEN_WRITE"]), rng)
        adjuster.create_products(units)
        yield Experiment(stage, dynamodb, sqs, running, adjuster, env, rng)
