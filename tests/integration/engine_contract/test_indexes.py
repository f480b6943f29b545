"""Queries of the index `holds`, which has the records with both `hold_shard` and `due_at`."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from tests.integration.engine_contract.assertions import code, invalid, n, refused, s
from tests.integration.engine_contract.conftest import Differs, World
from tests.integration.engine_contract.moto_reasons import UNCHECKED_INDEX, UNCHECKED_KEYS, WHOLE_INVALID

DUE = "hold_shard = :shard AND due_at <= :now"


def hold(world: World, order_id: str, due_at: str, shard: str = "0", **more: Any) -> dict[str, Any]:
    """Put a record that is in the index, and return its entry there."""
    entry = {"order_id": s(order_id), "hold_shard": s(shard), "due_at": s(due_at)}
    world.dynamodb.put_item(TableName=world.records, Item={**entry, **more})
    return entry


def request(world: World, now: str = "9", shard: str = "0", **more: Any) -> dict[str, Any]:
    return {
        "TableName": world.records,
        "IndexName": "holds",
        "KeyConditionExpression": DUE,
        "ExpressionAttributeValues": {":shard": s(shard), ":now": s(now)},
        **more,
    }


def query(world: World, now: str = "9", shard: str = "0", **more: Any) -> dict[str, Any]:
    """The answer of a query of the index."""
    answer: dict[str, Any] = world.dynamodb.query(**request(world, now, shard, **more))
    return answer


def settled(world: World, expected: list[dict[str, Any]], **more: Any) -> bool:
    """Whether the query answers `expected` within a second, since an index may lag."""
    for _ in range(10):
        if query(world, **more)["Items"] == expected:
            return True
        if world.kind == "memory":
            break
        time.sleep(0.1)
    return False


def pages(world: World, limit: int) -> Iterator[dict[str, Any]]:
    """All pages of the query, each of at most `limit` entries."""
    start: dict[str, Any] = {}
    while True:
        page = query(world, Limit=limit, **start)
        yield page
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def test_a_query_returns_the_keys_of_the_due_entries_of_one_shard_in_order(world: World) -> None:
    third = hold(world, "a", "3", lines=s("x"))
    first = hold(world, "b", "1")
    second = hold(world, "c", "2")
    later = hold(world, "d", "4")
    other = hold(world, "e", "2", shard="1")
    assert settled(world, [first, second, third], now="3")
    answer = query(world, now="3")
    assert (answer["Count"], answer["ScannedCount"]) == (3, 3)
    assert "LastEvaluatedKey" not in answer
    assert settled(world, [first, second, third, later])
    assert settled(world, [other], shard="1")
    assert settled(world, [], shard="2")


def test_texts_are_in_the_order_of_their_bytes(world: World) -> None:
    dues = ["\N{GRINNING FACE}", "\uffee", "é", "b", "a", "10", "9", "B"]
    for number, due in enumerate(dues):
        hold(world, str(number), due)
    found = [entry["due_at"]["S"] for entry in query(world, now="\N{GRINNING FACE}")["Items"]]
    assert found == ["10", "9", "B", "a", "b", "é", "\uffee", "\N{GRINNING FACE}"]


def test_an_item_without_both_keys_is_not_in_the_index(world: World) -> None:
    both = hold(world, "a", "1")
    for name in ("hold_shard", "due_at"):
        item = {
            "order_id": s(name),
            **{other: both[other] for other in both if other not in {name, "order_id"}},
        }
        world.dynamodb.put_item(TableName=world.records, Item=item)
    world.dynamodb.put_item(TableName=world.records, Item={"order_id": s("b"), "ttl": n(1)})
    assert settled(world, [both])


def test_an_entry_follows_its_item(world: World) -> None:
    first, second = hold(world, "a", "1"), hold(world, "b", "2")
    key = {"TableName": world.records, "Key": {"order_id": s("a")}}
    world.dynamodb.update_item(
        **key, UpdateExpression="SET due_at = :due", ExpressionAttributeValues={":due": s("3")}
    )
    assert settled(world, [second, {**first, "due_at": s("3")}])
    world.dynamodb.update_item(**key, UpdateExpression="REMOVE due_at")
    assert settled(world, [second])
    world.dynamodb.update_item(
        **key, UpdateExpression="SET due_at = :due", ExpressionAttributeValues={":due": s("1")}
    )
    assert settled(world, [first, second])
    delete = {"TableName": world.records, "Key": {"order_id": s("b")}}
    world.dynamodb.transact_write_items(TransactItems=[{"Delete": delete}])
    assert settled(world, [first])
    world.dynamodb.put_item(TableName=world.records, Item={"order_id": s("a")})
    assert settled(world, [])


def test_a_limit_cuts_pages_that_have_every_entry_once(world: World) -> None:
    entries = [hold(world, f"o{number}", str(number // 3)) for number in range(14)]
    seen = []
    for page in pages(world, 4):
        assert page["Count"] == page["ScannedCount"] == len(page["Items"]) <= 4
        if "LastEvaluatedKey" in page:
            assert page["LastEvaluatedKey"] == page["Items"][-1]
        seen += page["Items"]
    dues = [entry["due_at"]["S"] for entry in seen]
    assert dues == sorted(dues)
    assert sorted(seen, key=repr) == sorted(entries, key=repr)


def test_a_query_that_ends_at_its_limit_may_have_one_more_empty_page(world: World) -> None:
    entries = [hold(world, f"o{number}", str(number)) for number in range(4)]
    first, *more = pages(world, 4)
    assert first["Items"] == entries
    assert all(page["Items"] == [] for page in more)
    assert len(more) <= 1


def test_a_query_with_a_limit_and_few_entries_has_one_page(world: World) -> None:
    entry = hold(world, "a", "1")
    [page] = pages(world, 2)
    assert page["Items"] == [entry]


def test_a_query_continues_from_a_deleted_entry(world: World) -> None:
    first, second, third = (hold(world, name, due) for name, due in (("c", "1"), ("b", "2"), ("a", "3")))
    page = query(world, Limit=2)
    assert page["Items"] == [first, second]
    key = {"order_id": second["order_id"]}
    world.dynamodb.delete_item(TableName=world.records, Key=key)
    assert query(world, ExclusiveStartKey=page["LastEvaluatedKey"])["Items"] == [third]


def test_a_page_of_a_query_stops_at_1_mb_of_entries(world: World, moto_differs: Differs) -> None:
    moto_differs("moto counts the whole items, not their entries in the index")
    shard = "s" * 2000
    for start in range(0, 300, 25):
        puts = [
            {
                "order_id": s(f"{number:1500}"),
                "hold_shard": s(shard),
                "due_at": s(f"{number:1000}"),
                "lines": s("x" * 4000),
            }
            for number in range(start, start + 25)
        ]
        world.dynamodb.batch_write_item(
            RequestItems={world.records: [{"PutRequest": {"Item": item}} for item in puts]}
        )
    page = query(world, now="9" * 1000, shard=shard)
    assert page["Count"] == 1024 * 1024 // (1500 + 2000 + 1000 + len("order_id" + "hold_shard" + "due_at"))
    rest = query(world, now="9" * 1000, shard=shard, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert page["Count"] + rest["Count"] == 300
    assert "LastEvaluatedKey" not in rest


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("hold_shard = :shard", "1234"),
        ("due_at <= :due AND hold_shard = :shard", "123"),
        ("#shard = :shard AND #due < :due", "12"),
        ("hold_shard = :shard AND due_at = :due", "3"),
        ("hold_shard = :shard AND due_at >= :due", "34"),
        ("hold_shard = :shard AND due_at > :due", "4"),
        ("hold_shard = :shard AND due_at BETWEEN :low AND :due", "23"),
    ],
)
def test_the_sort_key_may_have_a_condition(world: World, condition: str, found: str) -> None:
    for due in "2413":
        hold(world, f"o{due}", due)
    names = {"#shard": "hold_shard", "#due": "due_at"}
    values = {":shard": s("0"), ":due": s("3"), ":low": s("2")}
    answer = world.dynamodb.query(
        TableName=world.records,
        IndexName="holds",
        KeyConditionExpression=condition,
        ExpressionAttributeValues={name: value for name, value in values.items() if name in condition},
        **({"ExpressionAttributeNames": names} if "#" in condition else {}),
    )
    assert "".join(entry["due_at"]["S"] for entry in answer["Items"]) == found


MOTO_ACCEPTS = {
    "hold_shard = :shard AND due_at <> :now",
    "hold_shard = :shard OR due_at <= :now",
    "hold_shard = :shard AND due_at <= :now AND due_at >= :now",
    "hold_shard = :shard AND hold_shard = :now",
    "hold_shard = :shard AND due_at BETWEEN :now AND :shard",
}


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "due_at <= :now",
        "hold_shard <= :shard",
        "hold_shard = :shard AND order_id = :now",
        "hold_shard = :shard AND due_at <> :now",
        "hold_shard = :shard OR due_at <= :now",
        "hold_shard = :shard AND due_at <= :now AND due_at >= :now",
        "hold_shard = :shard AND hold_shard = :now",
        "hold_shard = :shard AND due_at <= order_id",
        "hold_shard = :shard AND due_at BETWEEN :now AND :shard",
        "hold_shard = :shard AND due_at <= :other",
    ],
)
def test_a_condition_that_does_not_fit_the_index_is_refused(
    world: World, ministack_differs: Differs, moto_differs: Differs, condition: str
) -> None:
    ministack_differs(
        "MiniStack ignores an operator that no key has", when="<>" in condition or "OR" in condition
    )
    moto_differs(UNCHECKED_KEYS, when=condition in MOTO_ACCEPTS)
    values = {":shard": s("0"), ":now": s("9")}
    assert invalid(
        world.dynamodb.query,
        TableName=world.records,
        IndexName="holds",
        KeyConditionExpression=condition,
        ExpressionAttributeValues={name: value for name, value in values.items() if name in condition}
        or values,
    )


def test_an_unused_value_is_refused(world: World, moto_differs: Differs) -> None:
    moto_differs(UNCHECKED_KEYS)
    values = {":shard": s("0"), ":now": s("9"), ":more": s("")}
    assert "unused" in invalid(world.dynamodb.query, **request(world, ExpressionAttributeValues=values))


@pytest.mark.parametrize("value", [n(3), s(""), {"NULL": True}])
@pytest.mark.parametrize("name", [":shard", ":now"])
def test_a_value_of_another_type_or_an_empty_one_is_refused(
    world: World, moto_differs: Differs, name: str, value: dict[str, Any]
) -> None:
    moto_differs(UNCHECKED_KEYS, when=value != s(""))
    values = {":shard": s("0"), ":now": s("9")} | {name: value}
    assert invalid(world.dynamodb.query, **request(world, ExpressionAttributeValues=values))


def test_a_consistent_query_of_the_index_is_refused(world: World) -> None:
    hold(world, "a", "1")
    message = invalid(world.dynamodb.query, **request(world, ConsistentRead=True))
    assert message == "Consistent reads are not supported on global secondary indexes"


def test_an_unknown_index_is_refused(world: World, moto_differs: Differs) -> None:
    moto_differs("moto's Query answers ResourceNotFoundException for an unknown index")
    assert invalid(world.dynamodb.query, **request(world, IndexName="other"))


def test_a_query_of_an_unknown_table_is_refused(world: World) -> None:
    assert code(world.dynamodb.query, **request(world, TableName="other")) == "ResourceNotFoundException"


def test_a_limit_below_1_is_refused(world: World) -> None:
    with pytest.raises(ParamValidationError):
        query(world, Limit=0)


@pytest.mark.parametrize(
    "start",
    [
        {"order_id": s("a")},
        {"hold_shard": s("0"), "due_at": s("1")},
        {"order_id": s("a"), "hold_shard": s("0"), "due_at": n(1)},
        {"order_id": s("a"), "hold_shard": s("1"), "due_at": s("1")},
        {"order_id": s("a"), "hold_shard": s("0"), "due_at": s("99")},
        {"order_id": s("a"), "hold_shard": s("0"), "due_at": s("1"), "more": s("x")},
    ],
)
def test_a_start_key_that_no_page_of_the_query_ends_at_is_refused(
    world: World, ministack_differs: Differs, moto_differs: Differs, start: dict[str, Any]
) -> None:
    ministack_differs("MiniStack ignores other attributes in a start key", when="more" in start)
    moto_differs("moto does not check the start key of a query")
    hold(world, "a", "1")
    assert invalid(world.dynamodb.query, **request(world, ExclusiveStartKey=start))


WRONG = [
    ("due_at", n(1), "Type mismatch"),
    ("hold_shard", {"NULL": True}, "Type mismatch"),
    ("due_at", s(""), "empty"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_a_put_with_an_index_key_of_another_type_or_an_empty_one_is_refused(
    world: World, moto_differs: Differs, name: str, value: dict[str, Any], message: str
) -> None:
    moto_differs(UNCHECKED_INDEX, when=message != "empty")
    item = {"order_id": s("a"), name: value}
    assert message in invalid(world.dynamodb.put_item, TableName=world.records, Item=item)
    puts = {world.records: [{"PutRequest": {"Item": item}}]}
    assert message in invalid(world.dynamodb.batch_write_item, RequestItems=puts)


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_an_update_to_an_index_key_of_another_type_or_an_empty_one_is_refused(
    world: World, name: str, value: dict[str, Any], message: str
) -> None:
    entry = hold(world, "a", "1")
    update = {
        "TableName": world.records,
        "Key": {"order_id": s("a")},
        "UpdateExpression": f"SET {name} = :v",
        "ExpressionAttributeValues": {":v": value},
    }
    assert message in invalid(world.dynamodb.update_item, **update)
    assert settled(world, [entry])


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["Put", "Update"])
def test_a_transaction_reports_an_index_key_of_another_type_and_refuses_an_empty_one(
    world: World, moto_differs: Differs, kind: str, wrong: tuple[str, dict[str, Any], str]
) -> None:
    name, value, message = wrong
    moto_differs(UNCHECKED_INDEX, when=message != "empty" and kind == "Put")
    moto_differs(WHOLE_INVALID, when=message != "empty" and kind == "Update")
    write: dict[str, Any] = {"TableName": world.records}
    if kind == "Put":
        write["Item"] = {"order_id": s("a"), name: value}
    else:
        write["Key"] = {"order_id": s("a")}
        write |= {"UpdateExpression": f"SET {name} = :v", "ExpressionAttributeValues": {":v": value}}
    other = {"Put": {"TableName": world.stock, "Item": {"sku": s("A")}}}
    error = refused(world.dynamodb.transact_write_items, TransactItems=[other, {kind: write}])
    if message == "empty":
        assert error["Error"]["Code"] == "ValidationException"
        assert message in error["Error"]["Message"]
    else:
        assert [reason["Code"] for reason in error["CancellationReasons"]] == ["None", "ValidationError"]
        assert message in error["CancellationReasons"][1]["Message"]
    assert world.get("A") is None


def test_two_actions_on_one_item_are_refused_before_an_index_key_of_another_type(
    world: World,
) -> None:
    puts = [
        {"Put": {"TableName": world.records, "Item": {"order_id": s("a"), "due_at": due}}}
        for due in (s("1"), n(1))
    ]
    message = invalid(world.dynamodb.transact_write_items, TransactItems=puts)
    assert message == "Transaction request cannot include multiple operations on one item"
