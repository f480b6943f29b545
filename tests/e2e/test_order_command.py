"""`python -m local.order`, as the README shows it."""

import json
import subprocess
import sys
from collections.abc import Callable

from local.oms import new_id


def _order(*arguments: str) -> str:
    command = [sys.executable, "-m", "local.order", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_an_order_is_sent_and_its_answer_is_shown(product: Callable[[int], str]) -> None:
    sku = product(5)
    answer = json.loads(_order("reserve", new_id("order"), f"{sku}=2"))
    assert (answer["type"], answer["items"]) == ("InventoryReserved", [{"sku": sku, "quantity": 2}])


def test_a_release_is_sent_and_its_answer_is_shown() -> None:
    assert json.loads(_order("release", new_id("order")))["type"] == "InventoryReleased"


def test_a_hold_is_extended_confirmed_shipped_in_part_and_cancelled(product: Callable[[int], str]) -> None:
    sku, order = product(5), new_id("order")
    given = [
        ("reserve", order, f"{sku}=3", "--hold", "5"),
        ("extend", order, "10"),
        ("confirm", order),
        ("fulfill", order, f"{sku}=1"),
        ("release", order),
    ]
    answers = [json.loads(_order(*arguments)) for arguments in given]
    assert [answer["type"] for answer in answers] == [
        "InventoryReserved",
        "InventoryExtended",
        "InventoryConfirmed",
        "InventoryFulfilled",
        "InventoryReleased",
    ]
    assert answers[-1]["items"] == [{"sku": sku, "quantity": 2}]
