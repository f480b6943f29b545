from typing import Any

import pytest

from tests.integration.engine_contract.assertions import code, invalid, n, refused, s
from tests.integration.engine_contract.conftest import Differs, World
from tests.integration.engine_contract.moto_reasons import NUMBERS_AS_TEXT, OWN_ERRORS, UNCHECKED_VALUE

ITEM = {"sku": s("A"), "quantity": n(5), "note": s("é"), "tags": {"M": {"a": n(1), "b": {"L": [s("x")]}}}}


def test_an_item_is_returned_as_it_was_put(world: World) -> None:
    item = {**ITEM, "flag": {"BOOL": True}, "none": {"NULL": True}, "empty": s("")}
    world.dynamodb.put_item(TableName=world.stock, Item=item)
    assert world.get("A") == item


def test_the_answer_for_a_missing_item_has_no_item(world: World) -> None:
    assert "Item" not in world.dynamodb.get_item(TableName=world.stock, Key={"sku": s("A")})


def test_changing_a_request_or_response_does_not_change_the_table(world: World) -> None:
    request: dict[str, Any] = {"sku": s("A"), "tags": {"L": [n(1)]}}
    world.dynamodb.put_item(TableName=world.stock, Item=request)
    request["tags"]["L"].append(n(2))
    found = world.get("A")
    assert found is not None
    found["tags"]["L"].append(n(3))
    found["sku"]["S"] = "B"
    assert world.get("A") == {"sku": s("A"), "tags": {"L": [n(1)]}}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("007", "7"),
        ("1.50", "1.5"),
        ("10.00", "10"),
        ("-0", "0"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("1E-2", "0.01"),
    ],
)
def test_a_number_is_stored_in_its_shortest_form(
    world: World, moto_differs: Differs, given: str, kept: str
) -> None:
    moto_differs(NUMBERS_AS_TEXT)
    world.put("A", price=n(given))
    found = world.get("A")
    assert found is not None
    assert found["price"] == n(kept)


@pytest.mark.parametrize("text", ["", "abc", "1,5", "NaN", "Infinity", "0x10", "1_000"])
def test_text_that_is_not_a_number_is_refused(world: World, moto_differs: Differs, text: str) -> None:
    moto_differs("moto accepts the numbers that Python's Decimal accepts", when=text == "1_000")
    item = {"sku": s("A"), "price": n(text)}
    assert "numeric value" in invalid(world.dynamodb.put_item, TableName=world.stock, Item=item)


def test_a_number_has_at_most_38_digits(world: World, moto_differs: Differs) -> None:
    moto_differs(NUMBERS_AS_TEXT)
    world.put("A", price=n("9" * 38))
    item = {"sku": s("A"), "price": n("9" * 39)}
    assert "38 significant digits" in invalid(world.dynamodb.put_item, TableName=world.stock, Item=item)


@pytest.mark.parametrize(
    "value", [{}, {"S": "a", "N": "1"}, {"SS": []}, {"NS": ["1", "1.0"]}, {"SS": ["a", "a"]}]
)
def test_a_value_of_no_or_two_types_or_a_bad_set_is_refused(
    world: World, moto_differs: Differs, value: dict[str, object]
) -> None:
    moto_differs(OWN_ERRORS, when=not value)
    moto_differs(UNCHECKED_VALUE, when=bool(value) and value != {"SS": []})
    assert invalid(world.dynamodb.put_item, TableName=world.stock, Item={"sku": s("A"), "x": value})


@pytest.mark.parametrize("key", [{}, {"id": s("A")}, {"sku": s("A"), "x": s("y")}, {"sku": n(1)}])
def test_a_key_of_another_schema_is_refused(
    world: World, moto_differs: Differs, key: dict[str, object]
) -> None:
    moto_differs("moto answers an empty key with the message Validation Exception", when=not key)
    moto_differs("moto's GetItem does not check the type of a key", when=key == {"sku": n(1)})
    message = invalid(world.dynamodb.get_item, TableName=world.stock, Key=key)
    assert message == "The provided key element does not match the schema"


@pytest.mark.parametrize("item", [{}, {"quantity": n(1)}, {"sku": n(1)}, {"sku": s("")}])
def test_an_item_without_a_valid_key_is_refused(world: World, item: dict[str, object]) -> None:
    assert "One or more parameter values" in invalid(
        world.dynamodb.put_item, TableName=world.stock, Item=item
    )


def test_a_key_has_at_most_2048_bytes(world: World) -> None:
    world.put("é" * 1024)
    assert invalid(world.dynamodb.put_item, TableName=world.stock, Item={"sku": s("é" * 1025)})


def test_an_item_has_at_most_400_kb(world: World, moto_differs: Differs) -> None:
    moto_differs("moto's LimitedSizeDict allows 405,000 bytes; AWS allows 409,600")
    room = 400 * 1024 - len("sku") - len("A") - len("text")
    world.put("A", text=s("x" * room))
    item = {"sku": s("A"), "text": s("x" * (room + 1))}
    assert "size" in invalid(world.dynamodb.put_item, TableName=world.stock, Item=item)
    change = {
        "Key": {"sku": s("A")},
        "UpdateExpression": "SET more = :x",
        "ExpressionAttributeValues": {":x": s("x")},
    }
    assert "size" in invalid(world.dynamodb.update_item, TableName=world.stock, **change)


def test_a_missing_table_is_not_found(world: World) -> None:
    key = {"sku": s("A")}
    assert code(world.dynamodb.get_item, TableName="NoSuchTable", Key=key) == "ResourceNotFoundException"
    assert code(world.dynamodb.put_item, TableName="NoSuchTable", Item=key) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("NONE", None),
        ("ALL_OLD", {"sku": s("A"), "quantity": n(5), "note": s("n")}),
        ("UPDATED_OLD", {"quantity": n(5)}),
        ("ALL_NEW", {"sku": s("A"), "quantity": n(3), "note": s("n"), "more": s("m")}),
        ("UPDATED_NEW", {"quantity": n(3), "more": s("m")}),
    ],
)
def test_an_update_returns_the_requested_values(world: World, wanted: str, expected: object) -> None:
    world.put("A", quantity=n(5), note=s("n"))
    answer = world.dynamodb.update_item(
        TableName=world.stock,
        Key={"sku": s("A")},
        UpdateExpression="SET quantity = quantity - :two, more = :m",
        ExpressionAttributeValues={":two": n(2), ":m": s("m")},
        ReturnValues=wanted,
    )
    assert answer.get("Attributes") == expected


def test_an_update_creates_a_missing_item(world: World) -> None:
    answer = world.dynamodb.update_item(
        TableName=world.stock,
        Key={"sku": s("A")},
        UpdateExpression="SET quantity = :one",
        ExpressionAttributeValues={":one": n(1)},
        ReturnValues="ALL_OLD",
    )
    assert "Attributes" not in answer
    assert world.get("A") == {"sku": s("A"), "quantity": n(1)}


def test_put_and_delete_return_the_old_item(world: World) -> None:
    world.put("A", quantity=n(1))
    item = {"sku": s("A"), "quantity": n(2)}
    old = world.dynamodb.put_item(TableName=world.stock, Item=item, ReturnValues="ALL_OLD")
    assert old["Attributes"]["quantity"] == n(1)
    key = {"sku": s("A")}
    old = world.dynamodb.delete_item(TableName=world.stock, Key=key, ReturnValues="ALL_OLD")
    assert old["Attributes"] == item
    assert "Attributes" not in world.dynamodb.delete_item(
        TableName=world.stock, Key=key, ReturnValues="ALL_OLD"
    )
    assert world.get("A") is None


def test_only_an_update_returns_new_values(world: World) -> None:
    item = {"sku": s("A")}
    assert invalid(world.dynamodb.put_item, TableName=world.stock, Item=item, ReturnValues="ALL_NEW")


def test_a_failed_condition_returns_the_item_only_if_requested(world: World) -> None:
    world.put("A", quantity=n(1))
    request = {
        "TableName": world.stock,
        "Item": {"sku": s("A"), "quantity": n(2)},
        "ConditionExpression": "attribute_not_exists(sku)",
    }
    without_item = refused(world.dynamodb.put_item, **request)
    assert without_item["Error"]["Code"] == "ConditionalCheckFailedException"
    assert without_item["Error"]["Message"] == "The conditional request failed"
    assert "Item" not in without_item
    with_item = refused(world.dynamodb.put_item, **request, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert with_item["Item"] == {"sku": s("A"), "quantity": n(1)}
    assert world.get("A") == {"sku": s("A"), "quantity": n(1)}


def test_a_failed_condition_on_a_missing_item_returns_no_item(world: World) -> None:
    with_item = refused(
        world.dynamodb.delete_item,
        TableName=world.stock,
        Key={"sku": s("A")},
        ConditionExpression="attribute_exists(sku)",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    assert "Item" not in with_item


def test_errors_are_instances_of_the_clients_exception_classes(world: World) -> None:
    with pytest.raises(world.dynamodb.exceptions.ConditionalCheckFailedException):
        world.dynamodb.put_item(
            TableName=world.stock, Item={"sku": s("A")}, ConditionExpression="attribute_exists(sku)"
        )
    with pytest.raises(world.sqs.exceptions.QueueDoesNotExist):
        world.sqs.send_message(QueueUrl=world.stage.dlq_url + "x", MessageBody="x")
