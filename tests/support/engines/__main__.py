"""`python -m tests.support.engines`: measure transactions on each engine, and whether they are isolated."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from statistics import median
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from local import environment
from local.emulator import running
from local.stage import Stage, open_stage
from tests.support.engines import FakeStage, fake_stage
from tests.support.engines.moto_stage import moto_stage

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

SMALL, LARGE = 10, 1000
ROUNDS: Final = 20
THREADS: Final = 16
UNITS: Final = 200
RACES: Final = 10

AnyStage = Stage | FakeStage


@contextmanager
def memory() -> Iterator[FakeStage]:
    yield fake_stage()


@contextmanager
def embedded() -> Iterator[Stage]:
    with running() as emulator:
        yield open_stage(emulator.endpoint_url, "0" * 12)


ENGINES: Final[dict[str, Callable[[], AbstractContextManager[AnyStage]]]] = {
    "in memory": memory,
    "MiniStack": embedded,
    "moto": moto_stage,
}


def fill(stage: AnyStage, skus: int, quantity: int) -> None:
    """Put `skus` SKUs into the stock, with `quantity` units each."""
    for number in range(skus):
        item = {"sku": {"S": f"S{number}"}, "quantity": {"N": str(quantity)}}
        stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item=item)


def reserve(stage: AnyStage, order_id: str, skus: int) -> None:
    """Take one unit of each of `skus` SKUs and record the order, in one transaction."""
    takes: list[TransactWriteItemTypeDef] = [
        {
            "Update": {
                "TableName": stage.tables.inventory_table,
                "Key": {"sku": {"S": f"S{number}"}},
                "UpdateExpression": "SET quantity = quantity - :one",
                "ConditionExpression": "quantity >= :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            }
        }
        for number in range(skus)
    ]
    record: TransactWriteItemTypeDef = {
        "Put": {
            "TableName": stage.tables.processed_events_table,
            "Item": {"order_id": {"S": order_id}},
            "ConditionExpression": "attribute_not_exists(order_id)",
        }
    }
    stage.dynamodb.transact_write_items(TransactItems=[*takes, record])


def milliseconds(stage: AnyStage) -> float:
    """The median time of a transaction of 11 actions."""
    times = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        reserve(stage, f"o{number}", 10)
        times.append(time.perf_counter() - began)
    return median(times) * 1000


def sells_exactly_the_stock(stage: AnyStage) -> bool:
    """Whether concurrent threads together sell exactly the units in stock."""
    fill(stage, 1, UNITS)

    def sell(thread: int) -> int:
        for number in range(UNITS + 1):
            try:
                reserve(stage, f"{thread}-{number}", 1)
            except ClientError:
                return number
        return UNITS + 1

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            return sum(pool.map(sell, range(THREADS))) == UNITS
        except RuntimeError:  # from moto, whose tables changed while it copied them
            return False


def main() -> None:
    """Print a row for each engine."""
    environment.isolate()
    sys.stdout.write(f"| engine | {SMALL} SKUs | {LARGE} SKUs | held in {RACES} races |\n|---|--:|--:|--:|\n")
    for name, opened in ENGINES.items():
        took, held = [], 0
        for skus in (SMALL, LARGE):
            with opened() as stage:
                fill(stage, skus, ROUNDS)
                took.append(milliseconds(stage))
        for _ in range(RACES):
            with opened() as stage:
                held += sells_exactly_the_stock(stage)
        sys.stdout.write(f"| {name} | {took[0]:.2f} ms | {took[1]:.2f} ms | {held} |\n")


if __name__ == "__main__":
    main()
