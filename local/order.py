"""`python -m local.order`: sends one message about an order to a stage, and shows its answer."""

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
from local.oms import QUEUES, Message, Oms, confirm, extend, fulfill, in_, is_answer, new_id, release, reserve

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
    message = _message(_arguments())
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
    """Send `message`, and print its answer or that it became a dead letter; return the exit status.

    Other answers about its order are printed as well, such as that of a hold that has ended.
    """
    oms.send(message)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        for answer in oms.answers({message["order_id"]}, 1, 1):
            print(json.dumps(answer))
            if is_answer(answer, message):
                return 0
        if oms.is_dead_letter(message):
            return _fail(_DEAD)
    print(_NO_ANSWER)
    return 0


def _message(given: argparse.Namespace) -> Message:
    """The message that the arguments describe; a part of an order gets an operation id of its own."""
    order_id, items = given.order_id, dict(getattr(given, "items", ())) or None
    end = in_(60 * given.minutes) if getattr(given, "minutes", None) is not None else None
    operation_id = getattr(given, "operation", None)
    if operation_id is None and (items or given.kind == "extend"):
        operation_id = new_id(given.kind)
    match given.kind:
        case "reserve":
            return reserve(order_id, items or {}, expires_at=end)
        case "confirm":
            return confirm(order_id)
        case "extend":
            return extend(order_id, operation_id or "", end or "")
        case "fulfill":
            return fulfill(order_id, operation_id, items)
        case _:
            return release(order_id, operation_id, items)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.order", description="Send a message about an order, and show its answer."
    )
    kinds = parser.add_subparsers(dest="kind", required=True)

    def kind(name: str, does: str, items: str = "") -> argparse.ArgumentParser:
        command = kinds.add_parser(name, help=does, description=does.capitalize() + ".")
        command.add_argument("order_id")
        if items:
            command.add_argument("items", nargs=items, type=_item, metavar="SKU=QUANTITY")
        if name in ("extend", "fulfill", "release"):
            command.add_argument("--operation", metavar="ID", help="an id of its own, so that it counts once")
        return command

    reserving = kind("reserve", "reserve stock for an order", "+")
    reserving.add_argument(
        "--hold", type=float, dest="minutes", metavar="MINUTES", help="only for so long, unless confirmed"
    )
    kind("confirm", "make a hold firm")
    kind("extend", "let a hold end later").add_argument("minutes", type=float, help="from now on")
    kind("fulfill", "report an order, or a part of it, as shipped", "*")
    kind("release", "return the stock of an order, or of a part of it", "*")
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
