import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.engine_contract.assertions import invalid, n, s
from tests.integration.engine_contract.conftest import Differs, World
from tests.integration.engine_contract.moto_reasons import OWN_ERRORS, UNCHECKED_CONDITION

VALUES = {
    ":four": n(4),
    ":five": n("5.0"),
    ":six": n(6),
    ":ten": n(10),
    ":text": s("abc"),
    ":ab": s("ab"),
    ":true": {"BOOL": True},
    ":map": {"M": {"x": n("1.0")}},
}


def holds(world: World, condition: str, sku: str = "A", **more: Any) -> bool:
    """Whether a condition is true of the item."""
    used = {name: VALUES[name] for name in re.findall(r":\w+", condition)}
    check: dict[str, Any] = {
        "TableName": world.stock,
        "Key": {"sku": s(sku)},
        "ConditionExpression": condition,
        **({"ExpressionAttributeValues": used} if used else {}),
        **more,
    }
    try:
        world.dynamodb.transact_write_items(TransactItems=[{"ConditionCheck": check}])
    except ClientError as error:
        codes = [reason["Code"] for reason in error.response.get("CancellationReasons", [])]
        if codes != ["ConditionalCheckFailed"]:
            raise
        return False
    return True


CONDITIONS = {
    "quantity = :five": True,
    "quantity <> :five": False,
    "quantity < :six": True,
    "quantity < :five": False,
    "quantity <= :five": True,
    "quantity > :four": True,
    "quantity >= :six": False,
    "quantity < :ten": True,  # as a number, not as text
    "quantity BETWEEN :four AND :six": True,
    "quantity BETWEEN :six AND :ten": False,
    "quantity IN (:four, :five)": True,
    "quantity IN (:four)": False,
    ":five = quantity": True,
    "label = :text": True,
    "label > :ab": True,
    "begins_with(label, :ab)": True,
    "begins_with(label, :text)": True,
    "begins_with(gone, :ab)": False,
    "flag = :true": True,
    "tree = :map": True,
    "quantity = same": True,
    "quantity < same": False,
    # A missing attribute equals nothing and differs from everything.
    "gone = :five": False,
    "gone <> :five": True,
    "gone < :five": False,
    "gone >= :five": False,
    "gone BETWEEN :four AND :six": False,
    "gone IN (:four)": False,
    "NOT gone < :five": True,
    # A value of another type does the same.
    "label = :five": False,
    "label <> :five": True,
    "label < :five": False,
    "label > :five": False,
    "quantity = :text": False,
    "attribute_exists(quantity)": True,
    "attribute_exists(gone)": False,
    "attribute_not_exists(gone)": True,
    "attribute_not_exists(quantity)": False,
    "NOT quantity = :four": True,
    "quantity = :five AND label = :text": True,
    "quantity = :five AND label = :ab": False,
    "quantity = :four OR label = :text": True,
    "quantity = :five OR quantity = :four AND label = :ab": True,  # AND binds tighter
    "(quantity = :five OR quantity = :four) AND label = :ab": False,
    "NOT quantity = :four AND label = :ab": False,  # NOT binds tighter still
    "NOT (quantity = :four AND label = :ab)": True,
    "quantity BETWEEN :four AND :six AND label = :text": True,
    "quantity = :five and not label = :ab or flag = :true": True,  # keywords in any case
    "(attribute_exists(sku))AND(quantity>=:four )": True,
}


def test_conditions_on_an_item(world: World, moto_differs: Differs) -> None:
    moto_differs("moto raises TypeError when it compares values of two types")
    world.put(
        "A",
        quantity=n(5),
        same=n(5),
        label=s("abc"),
        flag={"BOOL": True},
        tree={"M": {"x": n(1)}},
    )
    assert {condition: holds(world, condition) for condition in CONDITIONS} == CONDITIONS


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("attribute_exists(sku)", False),
        ("attribute_not_exists(sku)", True),
        ("quantity >= :five", False),
        ("quantity < :five", False),
        ("quantity <> :five", True),
        ("NOT quantity >= :five", True),
    ],
)
def test_conditions_on_a_missing_item(world: World, condition: str, expected: bool) -> None:
    assert holds(world, condition) is expected


def test_a_missing_attribute_equals_nothing(
    world: World, ministack_differs: Differs, moto_differs: Differs
) -> None:
    ministack_differs("MiniStack finds two missing attributes equal; AWS does not")
    moto_differs("moto finds two missing attributes equal; AWS does not")
    world.put("A")
    assert not holds(world, "gone = lost")
    assert holds(world, "gone <> lost")


def test_a_name_can_replace_a_reserved_word(world: World) -> None:
    world.put("A", items=s("x"))
    assert holds(world, "attribute_exists(#items)", ExpressionAttributeNames={"#items": "items"})


MISTAKES: dict[str, dict[str, Any]] = {
    "a reserved word": {"ConditionExpression": "attribute_exists(items)"},
    "a reserved word in any case": {"ConditionExpression": "attribute_exists(Name)"},
    "no expression": {"ConditionExpression": ""},
    "half an expression": {"ConditionExpression": "quantity ="},
    "two expressions": {"ConditionExpression": "attribute_exists(a) attribute_exists(b)"},
    "an unknown function": {"ConditionExpression": "exists(a)"},
    "redundant parentheses": {"ConditionExpression": "((attribute_exists(a)))"},
    "an invalid character": {"ConditionExpression": "quantity ! a"},
    "arithmetic": {"ConditionExpression": "a >= b + c"},
    "an undefined value": {"ConditionExpression": "a = :x"},
    "another undefined value": {
        "ConditionExpression": "a = :x AND b = :y",
        "ExpressionAttributeValues": {":x": n(1)},
    },
    "an unused value": {
        "ConditionExpression": "a = :x",
        "ExpressionAttributeValues": {":x": n(1), ":y": n(1)},
    },
    "no values": {"ConditionExpression": "attribute_exists(a)", "ExpressionAttributeValues": {}},
    "no names": {"ConditionExpression": "attribute_exists(a)", "ExpressionAttributeNames": {}},
    "an undefined name": {"ConditionExpression": "attribute_exists(#a)"},
    "an unused name": {
        "ConditionExpression": "attribute_exists(a)",
        "ExpressionAttributeNames": {"#b": "b"},
    },
    "values without an expression": {"ExpressionAttributeValues": {":x": n(1)}},
    "names without an expression": {"ExpressionAttributeNames": {"#a": "a"}},
    "an ordering of booleans": {
        "ConditionExpression": "a < :x",
        "ExpressionAttributeValues": {":x": {"BOOL": True}},
    },
    "a prefix that is a number": {
        "ConditionExpression": "begins_with(a, :x)",
        "ExpressionAttributeValues": {":x": n(1)},
    },
    "reversed bounds": {
        "ConditionExpression": "a BETWEEN :x AND :y",
        "ExpressionAttributeValues": {":x": n(2), ":y": n(1)},
    },
    "an invalid number": {
        "ConditionExpression": "a = :x",
        "ExpressionAttributeValues": {":x": n("one")},
    },
}
NOT_CHECKED = {"an invalid character", "an ordering of booleans", "a prefix that is a number", "arithmetic"}
MOTO_FAILS_ON = {
    "half an expression",
    "two expressions",
    "an invalid character",
    "arithmetic",
    "an undefined value",
    "another undefined value",
    "an undefined name",
    "an invalid number",
}
MOTO_ACCEPTS = {
    "no expression",
    "an unused value",
    "no names",
    "values without an expression",
    "an ordering of booleans",
    "a prefix that is a number",
    "reversed bounds",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_condition_is_invalid(
    world: World, ministack_differs: Differs, moto_differs: Differs, mistake: str
) -> None:
    ministack_differs(
        "MiniStack treats some invalid conditions as false; AWS refuses them",
        when=mistake in NOT_CHECKED,
    )
    moto_differs(OWN_ERRORS, when=mistake in MOTO_FAILS_ON)
    moto_differs(UNCHECKED_CONDITION, when=mistake in MOTO_ACCEPTS)
    request = {"TableName": world.stock, "Key": {"sku": s("A")}, **MISTAKES[mistake]}
    assert invalid(world.dynamodb.delete_item, **request)


def test_the_message_names_the_mistake(world: World, moto_differs: Differs) -> None:
    moto_differs(UNCHECKED_CONDITION)

    def message(**request: Any) -> str:
        return invalid(world.dynamodb.delete_item, TableName=world.stock, Key={"sku": s("A")}, **request)

    unused = "Value provided in ExpressionAttribute{} unused in expressions: keys: {{{}}}"
    assert unused.format("Values", ":y") in message(**MISTAKES["an unused value"])
    assert unused.format("Names", "#b") in message(**MISTAKES["an unused name"])
    assert (
        "Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
        "attribute value: :x"
    ) in message(**MISTAKES["an undefined value"])
    assert (
        "Invalid ConditionExpression: An expression attribute name used in the document path is not "
        "defined; attribute name: #a"
    ) in message(**MISTAKES["an undefined name"])
    reserved = "Expression: Attribute name is a reserved keyword; reserved keyword: items"
    assert reserved in message(**MISTAKES["a reserved word"])
    assert "ExpressionAttributeValues must not be empty" in message(**MISTAKES["no values"])
