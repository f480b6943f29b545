"""A stage behind two gates, a fleet of instances on it, and the load; at the end, the verdict."""

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
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from chalicelib.core.messages import Poison, read
from local import resources
from local.client import Api
from local.emulator import HOST, listen
from local.issuer import AUDIENCE, ISSUER, WRITE, Issuer, publishing
from local.stack import FUNCTION_SECONDS, VISIBILITY_SECONDS
from local.stage import Stage
from tests.faults import load
from tests.faults.fleet import Fleet
from tests.faults.gate import Gate, fair
from tests.support import invariants
from tests.support.stack import ROOT

MAX_RECEIVE_COUNT: Final = 5
"""As Terraform sets it."""
_AFTERWARDS: Final = 2
"""Visibility time-out in seconds once all is well again, so that poison is soon dead."""
_MOST_SECONDS: Final = 120
_DEMO_SECONDS: Final = 90


@dataclass
class Scene:
    """All parts of one run; `sent`, `answers` and `dead` are bodies of messages.

    `answers` are all that the OMS has heard, repeats included, and `dead` the letters that the faults caused.
    """

    stage: Stage
    dynamodb: Gate
    sqs: Gate
    fleet: Fleet
    shop: load.Shop
    env: dict[str, str]
    rng: Random
    sent: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)

    @contextmanager
    def busy(self, orders: int, seconds: float) -> Iterator[None]:
        """Send the messages of `orders` orders over `seconds` and adjust stock, while the block runs.

        When it ends nothing goes wrong any more.
        """
        self.sent += load.messages(self.rng, orders)
        with ThreadPoolExecutor(3) as threads:
            shops = [threads.submit(self.shop.run) for _ in range(2)]
            queue = self.stage.inventory_queue_url
            sending = threads.submit(load.send, self.stage.sqs, queue, self.sent, seconds)
            try:
                yield
                sending.result()
            finally:
                self._clear_up()
                self.shop.stop()
            for shop in shops:
                shop.result()

    def kill_at_random(self, seconds: float, pause: float) -> None:
        """SIGKILL an instance about every `pause` seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(self.rng.uniform(0, 2 * pause))
            self.fleet.kill(self.rng)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; a busy machine takes its time."""
        deadline = time.monotonic() + _MOST_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"it does not come to that: {self.fleet.logs[-4000:]}"
            time.sleep(0.2)

    def verdict(self) -> None:
        """Wait for quiet and check everything; then redrive the dead letters: now each order is answered.

        The demo is played at last, on the same stage.
        """
        self.wait_for(self._quiet)
        letters = list(self._check([]).dead)
        self.dead = [body for body in letters if _readable(body)]
        load.send(self.stage.sqs, self.stage.inventory_queue_url, self.dead, 0)
        self.wait_for(self._quiet)
        state = self._check([body for body in letters if not _readable(body)])
        assert not any(map(_readable, state.dead)), "a good message died although nothing went wrong"
        self._check_from_outside(state)
        self._play_demo()

    def seen(self) -> dict[str, Any]:
        """What there was to see, in numbers."""
        events = {event["event_id"]: event for event in map(json.loads, self.answers)}
        types = Counter(event["type"] for event in events.values())
        return {
            "messages": len(self.sent),
            "reserved": types["InventoryReserved"],
            "rejected": types["InventoryReservationFailed"],
            "released": types["InventoryReleased"],
            "answers sent again": len(self.answers) - len(events),
            "redriven from the DLQ": len(self.dead),
            "killed": self.fleet.ended[-signal.SIGKILL],
            "out of time": self.fleet.ended[-signal.SIGALRM],
            "adjustments": self.shop.adjusted,
            "calls for them": self.shop.asked,
        }

    def _clear_up(self) -> None:
        for gate in (self.dynamodb, self.sqs):
            gate.script = fair
            gate.open()
        resources.create_missing_queues(
            self.stage.sqs, visibility_seconds=_AFTERWARDS, max_receive_count=MAX_RECEIVE_COUNT
        )

    def _quiet(self) -> bool:
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.stage.sqs.get_queue_attributes(
            QueueUrl=self.stage.inventory_queue_url, AttributeNames=names
        )
        return not any(map(int, answer["Attributes"].values()))

    def _check(self, dead: Sequence[str]) -> invariants.State:
        """Check what the tables hold and the OMS has heard so far; `dead` are letters taken out before."""
        state = invariants.read_state(self.stage, self.sent)
        self.answers += state.answers
        state = replace(state, answers=self.answers, dead=[*dead, *state.dead])
        invariants.check(state, dict.fromkeys(load.SKUS, 0))
        for operation, body in self.dynamodb.done:
            if operation == "TransactWriteItems":
                invariants.check_transaction(json.loads(body)["TransactItems"])
        return state

    def _check_from_outside(self, state: invariants.State) -> None:
        """Stock is what callers of REST were told that they changed, less what the OMS was told it has.

        That holds once all is answered: no table is asked what it should be.
        """
        expected = Counter(self.shop.changed)
        for event in {event["event_id"]: event for event in map(json.loads, self.answers)}.values():
            sign = {"InventoryReserved": -1, "InventoryReleased": 1}.get(event["type"], 0)
            for line in event["items"]:
                expected[line["sku"]] += sign * line.get("quantity", 0)
        actual = {item["sku"]["S"]: int(item["quantity"]["N"]) for item in state.inventory}
        assert actual == {sku: expected[sku] for sku in load.SKUS}

    def _play_demo(self) -> None:
        told = subprocess.run(
            [sys.executable, "-m", "local.demo"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **self.env},
            capture_output=True,
            text=True,
            timeout=_DEMO_SECONDS,
            check=False,
        )
        assert told.returncode == 0, told.stdout[-2000:] + told.stderr


def _readable(body: str) -> bool:
    try:
        read(body, datetime.min.replace(tzinfo=UTC))
    except Poison:
        return False
    return True


@contextmanager
def scene(
    stage: Stage,
    folder: Path,
    rng: Random,
    *,
    instances: int = 2,
    units: int = 100,
    visibility: int = VISIBILITY_SECONDS,
) -> Iterator[Scene]:
    """Set the scene on a fresh `stage`: `units` in stock of each SKU, `instances` that consume and serve."""
    resources.create_missing_queues(
        stage.sqs, visibility_seconds=visibility, max_receive_count=MAX_RECEIVE_COUNT
    )
    issuer = Issuer(folder / "issuer-key.pem")
    with ExitStack() as stack:
        dynamodb, sqs = Gate(stage.dynamodb.meta.endpoint_url), Gate(stage.sqs.meta.endpoint_url)
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
            "IMS_TOKEN_WRITE": issuer.token("shop", WRITE),
            "NO_PROXY": HOST,
        }
        fleet = stack.enter_context(Fleet(env, bound, folder, instances, FUNCTION_SECONDS))
        shop = load.Shop(Api(env["IMS_API_URL"], env["IMS_TOKEN_WRITE"]), rng)
        shop.open(units)
        yield Scene(stage, dynamodb, sqs, fleet, shop, env, rng)
