from typing import Any

import pytest

from tests.integration.engine_contract.assertions import code, invalid, n, s
from tests.integration.engine_contract.conftest import Differs, World
from tests.integration.engine_contract.moto_reasons import NUMBERS_AS_TEXT

ITEM = {"quantity": n(5), "label": s("abc")}


def change(world: World, expression: str, values: dict[str, Any] | None = None, **more: Any) -> Any:
    """The item after the update, without its key."""
    request = {
        "TableName": world.stock,
        "Key": {"sku": s("A")},
        "UpdateExpression": expression,
        **({"ExpressionAttributeValues": values} if values else {}),
        **more,
    }
    answer = world.dynamodb.update_item(**request, ReturnValues="ALL_NEW")["Attributes"]
    assert answer == world.get("A")
    del answer["sku"]
    return answer


def ss(*members: str) -> dict[str, list[str]]:
    return {"SS": list(members)}


def cut(world: World, *gone: str) -> Any:
    """The item after these members were deleted from its set `owed`, without its key."""
    return change(world, "DELETE owed :gone", {":gone": ss(*gone)})


def members(item: dict[str, Any]) -> dict[str, Any]:
    """The item's values, those of sets in order."""
    return {name: sorted(value.get("SS", ())) or value["S"] for name, value in item.items()}


@pytest.mark.parametrize(
    ("expression", "values", "changed"),
    [
        ("SET quantity = :v", {":v": n(7)}, {"quantity": n(7)}),
        ("SET quantity = quantity + :v", {":v": n(7)}, {"quantity": n(12)}),
        ("SET quantity = quantity - :v", {":v": n(7)}, {"quantity": n(-2)}),
        ("SET quantity = :v - quantity", {":v": n(7)}, {"quantity": n(2)}),
        ("SET quantity = quantity + :v", {":v": n("0.1")}, {"quantity": n("5.1")}),
        ("SET quantity = quantity + :v", {":v": n("-5.0")}, {"quantity": n(0)}),
        ("SET quantity = if_not_exists(quantity, :v)", {":v": n(7)}, {"quantity": n(5)}),
        ("SET more = if_not_exists(more, :v)", {":v": n(7)}, {"more": n(7)}),
        ("SET more = if_not_exists(more, :v) + :w", {":v": n(7), ":w": n(1)}, {"more": n(8)}),
        ("SET quantity = if_not_exists(quantity, :v) - :w", {":v": n(7), ":w": n(1)}, {"quantity": n(4)}),
        ("SET more = if_not_exists(label, :v)", {":v": n(7)}, {"more": s("abc")}),
        ("SET more = label", None, {"more": s("abc")}),
        ("SET a = quantity, quantity = :v", {":v": n(7)}, {"a": n(5), "quantity": n(7)}),
        ("set a = :v remove b", {":v": n(7)}, {"a": n(7)}),
        ("ADD quantity :v", {":v": n(7)}, {"quantity": n(12)}),
        ("ADD more :v, quantity :v", {":v": n(7)}, {"more": n(7), "quantity": n(12)}),
    ],
)
def test_an_update_changes_only_the_attributes_that_it_names(
    world: World,
    moto_differs: Differs,
    expression: str,
    values: dict[str, Any] | None,
    changed: dict[str, Any],
) -> None:
    moto_differs(NUMBERS_AS_TEXT, when=values == {":v": n("-5.0")})
    world.put("A", **ITEM)
    assert change(world, expression, values) == ITEM | changed


def test_a_sum_keeps_all_its_digits(world: World, ministack_differs: Differs) -> None:
    ministack_differs("MiniStack rounds sums of more than 28 digits")
    world.put("A", **ITEM)
    addend = {":v": n("1" + "0" * 30)}
    assert change(world, "SET quantity = quantity + :v", addend) == ITEM | {
        "quantity": n("1" + "0" * 29 + "5")
    }


def test_existing_and_missing_attributes_can_be_removed(world: World) -> None:
    world.put("A", **ITEM)
    assert change(world, "REMOVE label, more") == {"quantity": n(5)}


def test_an_update_reads_the_values_from_before_the_update(world: World) -> None:
    world.put("A", a=n(1), b=n(2))
    assert change(world, "SET a = b, b = a REMOVE c ADD d :one", {":one": n(1)}) == {
        "a": n(2),
        "b": n(1),
        "d": n(1),
    }


@pytest.mark.parametrize(
    ("before", "gone", "left"),
    [
        (["a", "b", "c"], ["b"], ["a", "c"]),
        (["a", "b", "c"], ["a", "c", "x"], ["b"]),
        (["a", "b"], ["x", "y"], ["a", "b"]),
    ],
    ids=["a member", "members and another", "others"],
)
def test_members_can_be_deleted_from_a_set(
    world: World, before: list[str], gone: list[str], left: list[str]
) -> None:
    world.put("A", owed=ss(*before), label=s("abc"))
    assert members(cut(world, *gone)) == {"owed": left, "label": "abc"}


@pytest.mark.parametrize("gone", [("a", "b"), ("b", "x", "a")])
def test_an_attribute_goes_with_the_last_member_of_its_set(world: World, gone: tuple[str, ...]) -> None:
    world.put("A", owed=ss("a", "b"), label=s("abc"))
    assert cut(world, *gone) == {"label": s("abc")}


def test_members_of_a_set_of_numbers_can_be_deleted(world: World) -> None:
    world.put("A", owed={"NS": ["1", "2"]})
    assert change(world, "DELETE owed :gone", {":gone": {"NS": ["1"]}}) == {"owed": {"NS": ["2"]}}


def test_deleting_from_a_missing_attribute_changes_nothing(world: World) -> None:
    world.put("A", **ITEM)
    assert cut(world, "a") == ITEM


def test_deleting_from_the_set_of_a_missing_item_creates_the_item(world: World) -> None:
    assert cut(world, "a") == {}
    assert world.get("A") == {"sku": s("A")}


def test_deleting_from_a_set_on_condition_that_the_item_exists_does_not_create_it(world: World) -> None:
    failed = code(
        world.dynamodb.update_item,
        TableName=world.stock,
        Key={"sku": s("A")},
        UpdateExpression="DELETE owed :gone",
        ConditionExpression="attribute_exists(sku)",
        ExpressionAttributeValues={":gone": ss("a")},
    )
    assert failed == "ConditionalCheckFailedException"
    assert world.get("A") is None


def test_a_name_can_replace_a_reserved_word(world: World) -> None:
    assert change(world, "SET #ttl = :v", {":v": n(1)}, ExpressionAttributeNames={"#ttl": "ttl"}) == {
        "ttl": n(1)
    }


def test_an_update_without_an_expression_creates_a_missing_item(world: World, moto_differs: Differs) -> None:
    moto_differs("moto's UpdateItem raises AttributeError without an UpdateExpression")
    for _ in range(2):
        world.dynamodb.update_item(TableName=world.stock, Key={"sku": s("A")})
    assert world.get("A") == {"sku": s("A")}


MISTAKES: dict[str, tuple[str, dict[str, Any] | None]] = {
    "nothing": ("", None),
    "no section": ("quantity = :v", {":v": n(1)}),
    "a reserved word": ("SET name = :v", {":v": n(1)}),
    "a section twice": ("SET a = :v SET b = :v", {":v": n(1)}),
    "an attribute twice": ("SET a = :v, a = :v", {":v": n(1)}),
    "an attribute in two sections": ("SET a = :v REMOVE a", {":v": n(1)}),
    "the key": ("SET sku = :v", {":v": s("B")}),
    "the key removed": ("REMOVE sku", None),
    "text added": ("SET quantity = quantity + :v", {":v": s("1")}),
    "text ADDed": ("ADD quantity :v", {":v": s("1")}),
    "added to text": ("SET label = label + :v", {":v": n(1)}),
    "ADDed to text": ("ADD label :v", {":v": n(1)}),
    "added to nothing": ("SET more = more + :v", {":v": n(1)}),
    "taken from nothing": ("SET more = :v - more", {":v": n(1)}),
    "nothing copied": ("SET a = more", None),
    "multiplication": ("SET quantity = quantity * :v", {":v": n(2)}),
    "three terms": ("SET quantity = quantity + :v + :v", {":v": n(2)}),
    "an undefined value": ("SET a = :v, b = :w", {":v": n(2)}),
    "an unused value": ("SET a = :v", {":v": n(2), ":w": n(2)}),
    "a function of conditions": ("SET a = attribute_exists(b)", None),
    "members of a text": ("DELETE label :v", {":v": {"SS": ["abc"]}}),
    "members of another type": ("DELETE owed :v", {":v": {"NS": ["1"]}}),
    "a text for members": ("DELETE owed :v", {":v": s("a")}),
    "a text for members of nothing": ("DELETE more :v", {":v": s("a")}),
    "no members": ("DELETE owed", None),
    "the key as a set": ("DELETE sku :v", {":v": {"SS": ["A"]}}),
    "39 digits": ("SET quantity = quantity + :v", {":v": n("1" + "0" * 38)}),
}


NOT_CHECKED = {
    "a section twice",
    "an attribute twice",
    "an attribute in two sections",
    "text added",
    "added to text",
    "multiplication",
    "three terms",
    "no members",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_an_update_is_invalid_and_changes_nothing(
    world: World, ministack_differs: Differs, moto_differs: Differs, mistake: str
) -> None:
    ministack_differs("MiniStack rounds sums of more than 28 digits", when=mistake == "39 digits")
    ministack_differs(
        "MiniStack does some invalid updates, wholly or in part; AWS refuses them",
        when=mistake in NOT_CHECKED,
    )
    moto_differs(NUMBERS_AS_TEXT, when=mistake == "39 digits")
    moto_differs("moto's UpdateExpressionParser accepts a sum of three terms", when=mistake == "three terms")
    expression, values = MISTAKES[mistake]
    world.put("A", **ITEM, owed=ss("a"))
    request = {
        "TableName": world.stock,
        "Key": {"sku": s("A")},
        "UpdateExpression": expression,
        **({"ExpressionAttributeValues": values} if values else {}),
    }
    assert invalid(world.dynamodb.update_item, **request)
    assert world.get("A") == {"sku": s("A"), **ITEM, "owed": ss("a")}
