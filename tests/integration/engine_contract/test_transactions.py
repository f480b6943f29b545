from typing import Any

import pytest

from tests.integration.engine_contract.assertions import code, invalid, n, refused, s
from tests.integration.engine_contract.conftest import Differs, World
from tests.integration.engine_contract.moto_reasons import NO_TOKENS, OWN_ERRORS, WHOLE_INVALID


def take(world: World, sku: str, units: int, **more: Any) -> dict[str, Any]:
    """The Update that takes units of a SKU."""
    request = {
        "TableName": world.stock,
        "Key": {"sku": s(sku)},
        "UpdateExpression": "SET quantity = quantity - :units",
        "ConditionExpression": "quantity >= :units",
        "ExpressionAttributeValues": {":units": n(units)},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return {"Update": request | more}


def record(world: World, order_id: str, **attributes: Any) -> dict[str, Any]:
    """The Put that records an order; it fails if the record exists."""
    return {
        "Put": {
            "TableName": world.records,
            "Item": {"order_id": s(order_id), **attributes},
            "ConditionExpression": "attribute_not_exists(order_id)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def check(world: World, sku: str, condition: str, **more: Any) -> dict[str, Any]:
    request = {
        "TableName": world.stock,
        "Key": {"sku": s(sku)},
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return {"ConditionCheck": request | more}


def write(world: World, *actions: dict[str, Any], **more: Any) -> Any:
    return world.dynamodb.transact_write_items(TransactItems=list(actions), **more)


def cancelled(world: World, *actions: dict[str, Any]) -> list[dict[str, Any]]:
    """The reasons of the transaction, which must be cancelled."""
    response = refused(world.dynamodb.transact_write_items, TransactItems=list(actions))
    assert response["Error"]["Code"] == "TransactionCanceledException"
    reasons = response["CancellationReasons"]
    codes = ", ".join(reason["Code"] for reason in reasons)
    assert response["Error"]["Message"] == (
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    )
    return list(reasons)


def test_all_actions_are_done(world: World) -> None:
    world.put("A", quantity=n(5))
    world.put("B", quantity=n(5))
    world.put("C", quantity=n(5))
    delete = {"Delete": {"TableName": world.stock, "Key": {"sku": s("C")}}}
    write(world, take(world, "A", 2), check(world, "B", "attribute_exists(sku)"), delete, record(world, "o"))
    assert world.get("A") == {"sku": s("A"), "quantity": n(3)}
    assert world.get("B") == {"sku": s("B"), "quantity": n(5)}
    assert world.get("C") is None
    key = {"order_id": s("o")}
    assert world.dynamodb.get_item(TableName=world.records, Key=key)["Item"] == key


def test_no_action_is_done_if_a_condition_fails_and_the_reasons_are_in_order(world: World) -> None:
    world.put("A", quantity=n(5))
    world.put("B", quantity=n(1))
    reasons = cancelled(
        world, take(world, "A", 2), take(world, "B", 2), take(world, "C", 2), record(world, "o")
    )
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    assert reasons == [
        {"Code": "None"},
        {**failed, "Item": {"sku": s("B"), "quantity": n(1)}},
        failed,  # the item is missing
        {"Code": "None"},
    ]
    assert world.get("A") == {"sku": s("A"), "quantity": n(5)}
    assert "Item" not in world.dynamodb.get_item(TableName=world.records, Key={"order_id": s("o")})


def test_the_item_is_returned_only_if_requested(world: World) -> None:
    world.put("A", quantity=n(1))
    action = take(world, "A", 2, ReturnValuesOnConditionCheckFailure="NONE")
    assert "Item" not in cancelled(world, action)[0]


def test_a_condition_sees_the_item_as_it_was_before_the_transaction(world: World) -> None:
    world.put("A", quantity=n(5))
    bounds = {":units": n(5), ":limit": n(6)}
    write(
        world,
        take(
            world,
            "A",
            5,
            ConditionExpression="quantity >= :units AND quantity < :limit",
            ExpressionAttributeValues=bounds,
        ),
    )
    assert world.get("A") == {"sku": s("A"), "quantity": n(0)}


def test_a_check_can_require_that_an_item_is_missing(world: World) -> None:
    write(world, check(world, "A", "attribute_not_exists(sku)"), record(world, "o"))
    world.put("A", quantity=n(1))
    reasons = cancelled(world, check(world, "A", "attribute_not_exists(sku)"), record(world, "p"))
    assert reasons[0]["Item"] == {"sku": s("A"), "quantity": n(1)}


def test_an_item_may_occur_only_once(world: World) -> None:
    world.put("A", quantity=n(5))
    message = invalid(
        world.dynamodb.transact_write_items,
        TransactItems=[take(world, "A", 1), check(world, "A", "attribute_exists(sku)")],
    )
    assert message == "Transaction request cannot include multiple operations on one item"


def test_the_same_key_in_two_tables_is_two_items(world: World) -> None:
    world.put("A", quantity=n(5))
    write(world, take(world, "A", 1), record(world, "A"))
    assert world.get("A") == {"sku": s("A"), "quantity": n(4)}


def test_a_transaction_has_at_most_100_actions(world: World) -> None:
    write(world, *(record(world, f"o{i}") for i in range(100)))
    more = [record(world, f"p{i}") for i in range(101)]
    assert invalid(world.dynamodb.transact_write_items, TransactItems=more)
    assert "Item" not in world.dynamodb.get_item(TableName=world.records, Key={"order_id": s("p0")})


def test_a_transaction_has_at_most_4_mb(world: World, moto_differs: Differs) -> None:
    moto_differs("moto does not add up the sizes of a transaction's items")
    text = s("x" * 390_000)
    write(world, *(record(world, f"o{i}", text=text) for i in range(10)))
    more = [record(world, f"p{i}", text=text) for i in range(11)]
    assert invalid(world.dynamodb.transact_write_items, TransactItems=more)


def test_a_put_of_more_than_400_kb_makes_the_transaction_invalid(world: World) -> None:
    world.put("A", quantity=n(5))
    big = record(world, "o", text=s("x" * 410_000))
    assert "size" in invalid(world.dynamodb.transact_write_items, TransactItems=[take(world, "A", 1), big])
    assert world.get("A") == {"sku": s("A"), "quantity": n(5)}


INVALID_UPDATES = {
    "An operand in the update expression has an incorrect data type": {"quantity": s("five")},
    "The provided expression refers to an attribute that does not exist in the item": {},
    "Item size to update has exceeded the maximum allowed size": {
        "text": s("x" * 400_000),
        "quantity": n(5),
    },
}


@pytest.mark.parametrize("message", INVALID_UPDATES)
def test_an_invalid_update_cancels_with_a_validation_error(
    world: World, ministack_differs: Differs, moto_differs: Differs, message: str
) -> None:
    ministack_differs(
        "MiniStack adds a number to text without an error", when="incorrect data type" in message
    )
    moto_differs(WHOLE_INVALID)
    world.put("A", **INVALID_UPDATES[message])
    grow = take(
        world,
        "A",
        1,
        UpdateExpression="SET more = :text, quantity = quantity - :units",
        ConditionExpression="attribute_exists(sku)",
        ExpressionAttributeValues={":text": s("x" * 10_000), ":units": n(1)},
    )
    reasons = cancelled(world, record(world, "o"), grow)
    assert reasons == [{"Code": "None"}, {"Code": "ValidationError", "Message": message}]


def test_a_failed_condition_takes_precedence_over_an_invalid_update(world: World) -> None:
    assert cancelled(world, take(world, "A", 1))[0]["Code"] == "ConditionalCheckFailed"


def test_a_key_of_the_wrong_type_cancels(world: World, moto_differs: Differs) -> None:
    moto_differs(WHOLE_INVALID)
    wrong = take(world, "A", 1, Key={"sku": n(1)})
    put = {"Put": {"TableName": world.stock, "Item": {"sku": n(2)}}}
    reasons = cancelled(world, wrong, put, record(world, "o"))
    assert [reason["Code"] for reason in reasons] == ["ValidationError", "ValidationError", "None"]


def test_an_empty_key_is_invalid(world: World) -> None:
    wrong = take(world, "A", 1, Key={"sku": s("")})
    assert invalid(world.dynamodb.transact_write_items, TransactItems=[wrong])


def test_an_empty_action_is_refused(world: World, moto_differs: Differs) -> None:
    moto_differs(OWN_ERRORS)
    assert invalid(world.dynamodb.transact_write_items, TransactItems=[{}])


def test_an_action_of_two_kinds_is_refused(world: World, ministack_differs: Differs) -> None:
    ministack_differs("MiniStack does one of the two kinds and ignores the other")
    both = {**take(world, "A", 1), **record(world, "o")}
    assert invalid(world.dynamodb.transact_write_items, TransactItems=[both])


def test_a_missing_table_is_not_found(world: World) -> None:
    call = world.dynamodb.transact_write_items
    missing = take(world, "A", 1, TableName="NoSuchTable")
    assert code(call, TransactItems=[missing]) == "ResourceNotFoundException"


def test_a_repeated_token_has_no_further_effect(world: World, moto_differs: Differs) -> None:
    moto_differs(NO_TOKENS)
    world.put("A", quantity=n(5))
    for _ in range(3):
        write(world, take(world, "A", 2), ClientRequestToken="once")
    assert world.get("A") == {"sku": s("A"), "quantity": n(3)}


def test_a_repeated_token_succeeds_even_if_its_condition_is_now_false(
    world: World, moto_differs: Differs
) -> None:
    moto_differs(NO_TOKENS)
    for _ in range(2):
        write(world, record(world, "o"), ClientRequestToken="once")


def test_a_token_of_another_request_is_refused(world: World, moto_differs: Differs) -> None:
    moto_differs(NO_TOKENS)
    world.put("A", quantity=n(5))
    write(world, take(world, "A", 1), ClientRequestToken="once")
    call = world.dynamodb.transact_write_items
    other = {"TransactItems": [take(world, "A", 2)], "ClientRequestToken": "once"}
    assert code(call, **other) == "IdempotentParameterMismatchException"
    assert world.get("A") == {"sku": s("A"), "quantity": n(4)}


def test_a_cancelled_transaction_may_be_retried_with_its_token(world: World) -> None:
    world.put("A", quantity=n(1))
    request = {"TransactItems": [take(world, "A", 2)], "ClientRequestToken": "again"}
    assert code(world.dynamodb.transact_write_items, **request) == "TransactionCanceledException"
    world.put("A", quantity=n(2))
    world.dynamodb.transact_write_items(**request)
    assert world.get("A") == {"sku": s("A"), "quantity": n(0)}


def test_a_token_has_at_most_36_characters(world: World, moto_differs: Differs) -> None:
    moto_differs(NO_TOKENS)
    call = world.dynamodb.transact_write_items
    assert invalid(call, TransactItems=[record(world, "o")], ClientRequestToken="x" * 37)


def test_repeated_calls_without_a_token_both_take_effect(world: World) -> None:
    world.put("A", quantity=n(5))
    write(world, take(world, "A", 2))
    write(world, take(world, "A", 2))
    assert world.get("A") == {"sku": s("A"), "quantity": n(1)}


@pytest.mark.parametrize("kind", ["Put", "Update", "Delete", "ConditionCheck"])
def test_every_kind_of_action_returns_its_item(world: World, kind: str) -> None:
    world.put("A", quantity=n(5))
    request: dict[str, Any] = {
        "TableName": world.stock,
        "ConditionExpression": "quantity < :five",
        "ExpressionAttributeValues": {":five": n(5)},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    request |= {"Item": {"sku": s("A")}} if kind == "Put" else {"Key": {"sku": s("A")}}
    if kind == "Update":
        request["UpdateExpression"] = "REMOVE quantity"
    assert cancelled(world, {kind: request})[0]["Item"] == {"sku": s("A"), "quantity": n(5)}
    assert world.get("A") == {"sku": s("A"), "quantity": n(5)}
