import json
from collections import Counter
from dataclasses import replace

from bench.orders import Orders, Row, Spread, events, half_of

ROW = Row(batch=10, skus=20)


def ids(bodies: list[str]) -> list[str]:
    return [json.loads(body)["order_id"] for body in bodies]


def items(bodies: list[str]) -> list[object]:
    return [json.loads(body)["items"] for body in bodies]


def test_the_same_seed_gives_the_same_orders() -> None:
    first, second = Orders(ROW, 7).bodies(50), Orders(ROW, 7).bodies(50)

    assert ids(first) == ids(second)
    assert items(first) == items(second)


def test_orders_are_distinct_without_duplicates() -> None:
    orders = Orders(ROW, 7)

    assert len(set(ids(orders.bodies(100) + orders.bodies(100)))) == 200


def test_a_tenth_is_repeated_and_redelivered_with_duplicates() -> None:
    bodies = Orders(replace(ROW, duplicates=True), 7).bodies(100)
    receives = [
        record["attributes"]["ApproximateReceiveCount"]
        for event in events(bodies, 10)
        for record in event["Records"]
    ]

    assert len(set(ids(bodies))) == 90
    assert len(receives) - Counter(receives)["1"] == 10


def test_zipf_prefers_the_first_skus() -> None:
    asked = Counter(
        line["sku"]
        for body in Orders(Row(10, 1000, spread=Spread.ZIPF), 7).bodies(500)
        for line in json.loads(body)["items"]
    )

    assert asked["SKU-000000"] > asked["SKU-000009"] > asked["SKU-000999"]


def test_half_of_the_demand_is_rounded_up() -> None:
    bodies = [
        json.dumps({"items": [{"sku": "A", "quantity": 2}]}),
        json.dumps({"items": [{"sku": "A", "quantity": 3}]}),
    ]

    assert half_of(bodies) == {"A": 3}
