from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from tests.integration.engine_contract.assertions import invalid, n, s
from tests.integration.engine_contract.conftest import Differs, World
from tests.integration.engine_contract.moto_reasons import OWN_ERRORS


def keys(*skus: str) -> list[dict[str, Any]]:
    return [{"sku": s(sku)} for sku in skus]


def fill(world: World, count: int, text: str = "") -> set[str]:
    for start in range(0, count, 25):
        puts = [
            {"PutRequest": {"Item": {"sku": s(f"{i:03}"), "quantity": n(i), "text": s(text)}}}
            for i in range(start, min(start + 25, count))
        ]
        world.dynamodb.batch_write_item(RequestItems={world.stock: puts})
    return {f"{i:03}" for i in range(count)}


def test_a_batch_read_returns_the_existing_items_of_every_table(world: World) -> None:
    world.put("A", quantity=n(1))
    world.put("B", quantity=n(2))
    world.dynamodb.put_item(TableName=world.records, Item={"order_id": s("o")})
    answer = world.dynamodb.batch_get_item(
        RequestItems={
            world.stock: {"Keys": keys("A", "B", "C"), "ConsistentRead": True},
            world.records: {"Keys": [{"order_id": s("o")}, {"order_id": s("p")}]},
        }
    )
    assert {item["sku"]["S"]: item["quantity"] for item in answer["Responses"][world.stock]} == {
        "A": n(1),
        "B": n(2),
    }
    assert answer["Responses"][world.records] == [{"order_id": s("o")}]
    assert answer["UnprocessedKeys"] == {}


def test_a_batch_read_without_results_still_names_the_table(world: World) -> None:
    answer = world.dynamodb.batch_get_item(RequestItems={world.stock: {"Keys": keys("A")}})
    assert answer["Responses"] == {world.stock: []}


def test_a_batch_read_returns_only_the_projected_attributes(world: World) -> None:
    world.put("A", quantity=n(1), items=s("x"))
    request = {
        "Keys": keys("A"),
        "ProjectionExpression": "quantity, #items, nothing",
        "ExpressionAttributeNames": {"#items": "items"},
    }
    answer = world.dynamodb.batch_get_item(RequestItems={world.stock: request})
    assert answer["Responses"][world.stock] == [{"quantity": n(1), "items": s("x")}]


def test_a_batch_read_has_1_to_100_keys(world: World) -> None:
    fill(world, 100)
    hundred = keys(*(f"{i:03}" for i in range(100)))
    answer = world.dynamodb.batch_get_item(RequestItems={world.stock: {"Keys": hundred}})
    assert len(answer["Responses"][world.stock]) == 100
    more = {world.stock: {"Keys": [*hundred, *keys("x")]}}
    assert invalid(world.dynamodb.batch_get_item, RequestItems=more)
    # botocore itself refuses an empty list.
    with pytest.raises(ParamValidationError):
        world.dynamodb.batch_get_item(RequestItems={world.stock: {"Keys": []}})


def test_a_batch_read_with_a_repeated_key_is_refused(world: World) -> None:
    request = {world.stock: {"Keys": keys("A", "A")}}
    message = invalid(world.dynamodb.batch_get_item, RequestItems=request)
    assert message == "Provided list of item keys contains duplicates"


def test_a_batch_read_stops_at_16_mb(world: World, ministack_differs: Differs) -> None:
    ministack_differs("MiniStack answers batch reads of any size, without UnprocessedKeys")
    skus = fill(world, 50, "x" * 390_000)
    wanted = keys(*skus)
    seen: set[str] = set()
    calls = 0
    while wanted:
        answer = world.dynamodb.batch_get_item(
            RequestItems={world.stock: {"Keys": wanted, "ConsistentRead": True}}
        )
        found = {item["sku"]["S"] for item in answer["Responses"][world.stock]}
        assert found.isdisjoint(seen)
        seen |= found
        left = answer["UnprocessedKeys"].get(world.stock, {"Keys": []})
        assert left.get("ConsistentRead", True)
        wanted, calls = left["Keys"], calls + 1
    assert seen == skus
    assert calls == 2


def test_the_pages_of_a_scan_have_every_item_once(world: World) -> None:
    skus, seen = fill(world, 30), []
    start: dict[str, Any] = {}
    while True:
        page = world.dynamodb.scan(TableName=world.stock, Limit=7, ConsistentRead=True, **start)
        assert page["Count"] == page["ScannedCount"] == len(page["Items"]) <= 7
        seen += [item["sku"]["S"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        assert page["LastEvaluatedKey"] == {"sku": s(seen[-1])}
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert len(seen) == 30
    assert set(seen) == skus


def test_a_scan_continues_from_a_deleted_key(world: World) -> None:
    skus = fill(world, 10)
    first = world.dynamodb.scan(TableName=world.stock, Limit=5)
    last = first["LastEvaluatedKey"]
    world.dynamodb.delete_item(TableName=world.stock, Key=last)
    rest = world.dynamodb.scan(TableName=world.stock, ExclusiveStartKey=last)
    assert {item["sku"]["S"] for item in [*first["Items"], *rest["Items"]]} == skus


def test_a_scan_is_not_in_order_of_the_keys(
    world: World, ministack_differs: Differs, moto_differs: Differs
) -> None:
    ministack_differs("MiniStack scans in key order; on AWS the order is that of a hash")
    moto_differs("moto scans in the order in which the items were created")
    fill(world, 30)
    found = [item["sku"]["S"] for item in world.dynamodb.scan(TableName=world.stock)["Items"]]
    assert found != sorted(found)


def test_a_scan_that_ends_at_its_limit_may_have_one_more_empty_page(world: World) -> None:
    fill(world, 4)
    page = world.dynamodb.scan(TableName=world.stock, Limit=4)
    if "LastEvaluatedKey" in page:
        start = page["LastEvaluatedKey"]
        page = world.dynamodb.scan(TableName=world.stock, Limit=4, ExclusiveStartKey=start)
        assert page["Items"] == []
        assert "LastEvaluatedKey" not in page


def test_a_page_of_a_scan_stops_at_1_mb(world: World) -> None:
    fill(world, 5, "x" * 390_000)
    page = world.dynamodb.scan(TableName=world.stock)
    assert page["Count"] == 2
    assert "LastEvaluatedKey" in page


def test_a_scan_counts_the_items_that_its_filter_excludes(world: World) -> None:
    fill(world, 10)
    page = world.dynamodb.scan(
        TableName=world.stock,
        FilterExpression="quantity >= :q",
        ProjectionExpression="sku",
        ExpressionAttributeValues={":q": n(7)},
    )
    assert sorted(item["sku"]["S"] for item in page["Items"]) == ["007", "008", "009"]
    assert page["Items"][0].keys() == {"sku"}
    assert (page["Count"], page["ScannedCount"]) == (3, 10)


def test_a_limit_below_1_and_a_start_key_of_another_table_are_refused(
    world: World, moto_differs: Differs
) -> None:
    moto_differs(OWN_ERRORS)
    with pytest.raises(ParamValidationError):
        world.dynamodb.scan(TableName=world.stock, Limit=0)
    bad = {"order_id": s("x")}
    assert invalid(world.dynamodb.scan, TableName=world.stock, ExclusiveStartKey=bad)


def test_a_transactional_read_answers_in_order(world: World) -> None:
    world.put("A", quantity=n(1))
    gets = [{"Get": {"TableName": world.stock, "Key": key}} for key in keys("B", "A")]
    answer = world.dynamodb.transact_get_items(TransactItems=gets)
    assert answer["Responses"] == [{}, {"Item": {"sku": s("A"), "quantity": n(1)}}]


def test_a_batch_write_puts_and_deletes_1_to_25_different_items(world: World, moto_differs: Differs) -> None:
    moto_differs("moto's BatchWriteItem accepts any number of requests, and a put and a deletion of one item")
    world.put("A")
    answer = world.dynamodb.batch_write_item(
        RequestItems={
            world.stock: [
                {"DeleteRequest": {"Key": {"sku": s("A")}}},
                {"PutRequest": {"Item": {"sku": s("B")}}},
            ]
        }
    )
    assert answer["UnprocessedItems"] == {}
    assert (world.get("A"), world.get("B")) == (None, {"sku": s("B")})
    puts = [{"PutRequest": {"Item": {"sku": s(str(i))}}} for i in range(26)]
    assert invalid(world.dynamodb.batch_write_item, RequestItems={world.stock: puts})
    twice = [puts[0], {"DeleteRequest": {"Key": {"sku": s("0")}}}]
    assert invalid(world.dynamodb.batch_write_item, RequestItems={world.stock: twice})
    assert world.get("0") is None
