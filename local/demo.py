"""`make demo`: plays the lives of some orders on the stack that the environment or `.local/env` names."""

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
from local.oms import QUEUES, Message, Oms, confirm, in_, new_id, release, reserve

_ANSWER_SECONDS: Final = 30
_SILENCE_SECONDS: Final = 3
_HOLD_SECONDS: Final = 5
_BASKET_SECONDS: Final = 1800
_END_SECONDS: Final = 180
"""The longest wait for the end of a hold: on AWS there is a sweep each minute."""
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
        self._basket = new_id("order")
        self._reservation: Message = {}
        self._step = 0

    def play(self) -> None:
        """Play every step; raises `DemoError` at the first unexpected result."""
        self._stock_up()
        self._hold()
        self._order_again()
        self._order_too_much()
        self._confirm()
        self._ship_a_part()
        self._cancel_the_rest()
        self._hold_briefly()
        self._count()
        self._let_the_hold_end()
        self._confirm_late()

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

    def _hold(self) -> None:
        self._say(
            "A customer fills a basket. The OMS asks over SQS to hold four units for half an hour."
            " It gets its answer over SQS."
        )
        self._reservation = reserve(self._order, {self._sku: 4}, expires_at=in_(_BASKET_SECONDS))
        answer = self._ask(self._reservation)
        self._check("the order is reserved", answer["type"] == "InventoryReserved")
        self._expect_stock(6, reserved=4)

    def _order_again(self) -> None:
        self._say("SQS may deliver a message twice. The OMS sends the same one again.")
        self._send(self._reservation)
        more = self._oms.answers({self._order}, 1, _SILENCE_SECONDS)
        self._check(f"no second answer within {_SILENCE_SECONDS} s", not more)
        self._expect_stock(6, reserved=4)

    def _order_too_much(self) -> None:
        self._say(
            "Another order asks for seven units, but six are left. It takes none, and the answer says why."
        )
        answer = self._ask(reserve(self._large_order, {self._sku: 7}))
        self._check("the order is rejected", answer["type"] == "InventoryReservationFailed")
        self._check("the reason is INSUFFICIENT_STOCK", answer["reason"] == "INSUFFICIENT_STOCK")
        self._expect_stock(6, reserved=4)

    def _confirm(self) -> None:
        self._say("The customer pays. The OMS confirms the order, so that its hold does not end any more.")
        answer = self._ask(confirm(self._order))
        self._check("the order is confirmed", answer["type"] == "InventoryConfirmed")

    def _ship_a_part(self) -> None:
        self._say(
            "The warehouse ships three of the four units, and says so over REST. Whatever can be asked by"
            " a message can be asked over REST, too."
        )
        part = {"operation_id": "parcel-1", "items": [{"sku": self._sku, "quantity": 3}]}
        order = self._call("POST", f"/reservations/{self._order}/fulfill", part).body
        self._check("the order still holds one unit", order["items"] == [{"sku": self._sku, "quantity": 1}])
        self._expect_stock(6, reserved=1)

    def _cancel_the_rest(self) -> None:
        self._say("The customer cancels the last unit. It goes back into stock, and the order is closed.")
        answer = self._ask(release(self._order))
        self._check("one unit is released", answer["items"] == [{"sku": self._sku, "quantity": 1}])
        self._expect_stock(7, reserved=0)

        self._say("Any caller can look up what became of the order.")
        record = self._call("GET", f"/reservations/{self._order}").body
        self._check("the record says FULFILLED", record["outcome"] == "FULFILLED")
        self._check("it has the three operations", len(record["operations"]) == 3)

    def _hold_briefly(self) -> None:
        self._say(f"The next customer fills a basket with five units, which is held for {_HOLD_SECONDS} s.")
        answer = self._ask(reserve(self._basket, {self._sku: 5}, expires_at=in_(_HOLD_SECONDS)))
        self._check("the order is reserved", answer["type"] == "InventoryReserved")
        self._expect_stock(2, reserved=5)

    def _count(self) -> None:
        self._say(
            "Somebody counts the shelf meanwhile, and finds six units where seven should be."
            " The five reserved ones are still there, so what is missing was to be sold."
        )
        counted = {"counted": 6, "reference": "shelf 9"}
        result = self._call(
            "POST", f"/inventory/{self._sku}/counts", counted, Idempotency_Key=new_id("key")
        ).body
        self._check("the difference is -1", result["difference"] == -1)
        self._check("1 in stock, and 5 reserved", (result["quantity"], result["reserved"]) == (1, 5))

    def _let_the_hold_end(self) -> None:
        self._say(
            "Nobody pays in time. The sweep ends the hold, and the IMS tells the OMS without being asked."
        )
        answer = self._receive(self._basket, _END_SECONDS)
        self._check(
            "the order is released, since its hold has ended",
            (answer["type"], answer.get("reason")) == ("InventoryReleased", "EXPIRED"),
        )
        self._check("not before its end", answer["timestamp"] >= answer["expired_at"])
        self._expect_stock(6, reserved=0)

    def _confirm_late(self) -> None:
        self._say("The payment arrives after all. The units are still there, so the order gets them again.")
        answer = self._ask(confirm(self._basket))
        self._check("the order is confirmed", answer["type"] == "InventoryConfirmed")
        self._check("its units were taken again", answer.get("reserved_again") is True)
        self._expect_stock(1, reserved=5)

    def _ask(self, message: Message) -> Message:
        self._send(message)
        return self._receive(message["order_id"], _ANSWER_SECONDS)

    def _receive(self, order_id: str, seconds: float) -> Message:
        began = time.monotonic()
        answers = self._oms.answers({order_id}, 1, seconds)
        self._check(f"the answer arrives within {seconds} s", bool(answers), quiet=True)
        self._show(f"← OMS-OrderEventsQueue, after {time.monotonic() - began:.1f} s", answers[0])
        return answers[0]

    def _send(self, message: Message) -> None:
        self._show("→ IMS-InventoryQueue", message)
        self._oms.send(message)

    def _expect_stock(self, quantity: int, *, reserved: int) -> None:
        stock = self._call("GET", f"/inventory/{self._sku}").body
        self._check(
            f"{quantity} in stock, and {reserved} reserved",
            (stock["quantity"], stock["reserved"]) == (quantity, reserved),
        )

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
        print(f"\n{textwrap.fill(f'{self._step}. {sentence}', 110)}")

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
    print(f"The life of some orders, at {url}")
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
