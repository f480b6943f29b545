"""`make demo`: plays the life of an order on the stack that the environment or `.local/env` names."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local import environment
from local.client import Api, Reply
from local.oms import QUEUES, Message, Oms, new_id, release, reserve

_ANSWER_SECONDS: Final = 30
_SILENCE_SECONDS: Final = 3
_LAYOUT: Final = textwrap.TextWrapper(
    110, initial_indent="   ", subsequent_indent="     ", break_long_words=False, break_on_hyphens=False
)


class DemoError(Exception):
    """The stack did not do what the demo expects."""


class Story:
    """One run of the demo, with its own product and orders."""

    def __init__(self, api: Api, oms: Oms) -> None:
        self._api = api
        self._oms = oms
        self._sku = new_id("DEMO")
        self._order = new_id("order")
        self._large_order = new_id("order")
        self._step = 0

    def play(self) -> None:
        """Play every step; raises `DemoError` at the first unexpected result."""
        self._stock_up()
        self._order_in_stock()
        self._order_again()
        self._order_too_much()
        self._cancel()

    def _stock_up(self) -> None:
        self._say("A caller creates a product. The same transaction creates its stock, which is 0.")
        product = {"sku": self._sku, "name": "Teapot of the demo", "price": 24.9}
        created = self._call("POST", "/products", product)
        self._check("the product was created", created.status == 201)
        self._check("its stock is 0", created.body["quantity"] == 0)

        self._say("Ten units arrive in the warehouse. The idempotency key makes the call safe to repeat.")
        path, body, key = (
            f"/inventory/{self._sku}/adjustments",
            {"delta": 10, "reason": "RECEIVED"},
            new_id("key"),
        )
        self._call("POST", path, body, Idempotency_Key=key)
        again = self._call("POST", path, body, Idempotency_Key=key)
        self._check(
            "the call was sent twice and applied once", again.status == 200 and again.body["quantity"] == 10
        )

        self._say("A shop checks that four units are available before its customer pays.")
        wanted = {"items": [{"sku": self._sku, "quantity": 4}]}
        checked = self._call("POST", "/inventory/check", wanted)
        self._check("four units are available", checked.body["status"] == "AVAILABLE")

    def _order_in_stock(self) -> None:
        self._say("The OMS asks over SQS to reserve four units for an order. It gets its answer over SQS.")
        answer = self._ask(reserve(self._order, {self._sku: 4}))
        self._check("the order is reserved", answer["type"] == "InventoryReserved")
        self._expect_stock(6)

        self._say("Any caller can look up later what became of the order.")
        record = self._call("GET", f"/reservations/{self._order}")
        self._check("the record says RESERVED", record.body["outcome"] == "RESERVED")

    def _order_again(self) -> None:
        self._say("SQS may deliver a message twice. The OMS sends the same order again.")
        self._send(reserve(self._order, {self._sku: 4}))
        more = self._oms.answers({self._order}, 1, _SILENCE_SECONDS)
        self._check(f"no second answer within {_SILENCE_SECONDS} s", not more)
        self._expect_stock(6)

    def _order_too_much(self) -> None:
        self._say(
            "Another order asks for seven units, but six are left. It takes none, and the answer says why."
        )
        answer = self._ask(reserve(self._large_order, {self._sku: 7}))
        self._check("the order is rejected", answer["type"] == "InventoryReservationFailed")
        self._check("the reason is INSUFFICIENT_STOCK", answer["reason"] == "INSUFFICIENT_STOCK")
        self._expect_stock(6)

    def _cancel(self) -> None:
        self._say("The OMS cancels the first order. Its four units go back into stock.")
        answer = self._ask(release(self._order))
        self._check("the order is released", answer["type"] == "InventoryReleased")
        self._expect_stock(10)

    def _ask(self, message: Message) -> Message:
        self._send(message)
        began = time.monotonic()
        answers = self._oms.answers({message["order_id"]}, 1, _ANSWER_SECONDS)
        self._check(f"the answer arrives within {_ANSWER_SECONDS} s", bool(answers), quiet=True)
        self._show(f"← OMS-OrderEventsQueue, after {time.monotonic() - began:.1f} s", answers[0])
        return answers[0]

    def _send(self, message: Message) -> None:
        self._show("→ IMS-InventoryQueue", message)
        self._oms.send(message)

    def _expect_stock(self, quantity: int) -> None:
        stock = self._call("GET", f"/inventory/{self._sku}")
        self._check(f"{quantity} in stock", stock.body["quantity"] == quantity)

    def _call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        sent = "".join(f"  {name.replace('_', '-')}: {value}" for name, value in headers.items())
        self._show(f"→ {method} {path}{sent}", body)
        reply = self._api.call(method, path, body, **headers)
        self._show(f"← {reply.status}", reply.body)
        if reply.status >= 400:
            raise DemoError(f"{method} {path} got status {reply.status}")
        return reply

    def _say(self, sentence: str) -> None:
        self._step += 1
        print(f"\n{self._step}. {sentence}")

    def _show(self, what: str, content: Any) -> None:
        line = what if content is None else f"{what}  {json.dumps(content)}"
        print(_LAYOUT.fill(line))

    def _check(self, claim: str, holds: bool, *, quiet: bool = False) -> None:
        if not holds:
            raise DemoError(f"this check failed: {claim}")
        if not quiet:
            print(f"   ✓ {claim}")


def main() -> int:
    """Play the demo, and return the exit status of the process."""
    try:
        environment.enter_stage(("IMS_API_URL", "IMS_TOKEN_WRITE", *QUEUES))
        url = os.environ["IMS_API_URL"]
        api = Api(url, os.environ["IMS_TOKEN_WRITE"])
        # Few retries: if no stack is running, the user should hear it at once.
        sqs = boto3.client("sqs", config=Config(connect_timeout=2, retries={"total_max_attempts": 2}))
        oms = Oms.of_environment(sqs)
        api.call("GET", "/health")
    except environment.NoStage as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"No stack responds at {url} ({error}). Start one: make run")
    print(f"The life of an order, at {url}")
    try:
        Story(api, oms).play()
    except (DemoError, OSError, BotoCoreError, ClientError) as error:
        return _fail(f"\n   ✗ {error}")
    print("\nEvery check passed.")
    return 0


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
