"""`python -m local.order`: sends one order to the stage in the environment, and shows its answer."""

from __future__ import annotations

import argparse
import json

import boto3

from local.oms import Oms, release, reserve

_ANSWER_SECONDS = 10
_NO_ANSWER = (
    f"No answer within {_ANSWER_SECONDS} s: either this order was answered before, or no consumer is running."
)


def main() -> None:
    """Send the message that the arguments describe, and print the answer."""
    given = _arguments()
    if given.kind == "reserve":
        message = reserve(given.order_id, dict(given.items))
    else:
        message = release(given.order_id)
    oms = Oms.of_environment(boto3.client("sqs"))
    oms.send(message)
    answers = oms.answers({given.order_id}, 1, _ANSWER_SECONDS)
    print("\n".join(map(json.dumps, answers)) or _NO_ANSWER)


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
    return sku, int(quantity)


if __name__ == "__main__":
    main()
