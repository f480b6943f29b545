"""`python -m local.order`: sends one order to a stage, and shows its answer."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local import environment
from local.oms import QUEUES, Message, Oms, release, reserve

_ANSWER_SECONDS: Final = 20  # the local stack gives a message up after 12 s
_NO_ANSWER: Final = (
    f"No answer within {_ANSWER_SECONDS} s: either this order was answered before, or no consumer is running."
)
_DEAD: Final = (
    "No answer: the message is in the dead-letter queue (IMS-InventoryDLQ), since the consumer could neither"
    " settle nor answer it. Its log says why; that of `make run` is .local/ims.log."
)


def main() -> int:
    """Send the message that the arguments describe, print the answer, and return the exit status."""
    given = _arguments()
    if given.kind == "reserve":
        message = reserve(given.order_id, dict(given.items))
    else:
        message = release(given.order_id)
    try:
        environment.enter_stage(QUEUES)
        # Few retries: if no stack is running, the user should hear it at once.
        sqs = boto3.client("sqs", config=Config(connect_timeout=2, retries={"total_max_attempts": 2}))
        return _send(Oms.of_environment(sqs), message)
    except environment.NoStage as error:
        return _fail(str(error))
    except (BotoCoreError, ClientError) as error:
        return _fail(f"The stage's queues cannot be used ({error}). Is it running? Start one: make run")


def _send(oms: Oms, message: Message) -> int:
    """Send `message`, and print its answer or that it became a dead letter; return the exit status."""
    oms.send(message)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        for answer in oms.answers({message["order_id"]}, 1, 1):
            print(json.dumps(answer))
            return 0
        if oms.is_dead_letter(message):
            return _fail(_DEAD)
    print(_NO_ANSWER)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.order", description="Send an order and show its answer."
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    reserving = kinds.add_parser("reserve", help="reserve stock for an order")
    reserving.add_argument("order_id")
    reserving.add_argument("items", nargs="+", type=_item, metavar="SKU=QUANTITY")
    kinds.add_parser("release", help="return the stock of an order").add_argument("order_id")
    return parser.parse_args()


def _item(text: str) -> tuple[str, int]:
    sku, _, quantity = text.rpartition("=")
    try:
        return sku, int(quantity)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not SKU=QUANTITY, such as LAMP-1=3") from None


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
