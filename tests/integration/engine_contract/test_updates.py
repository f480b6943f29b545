from typing import Any

import pytest

from tests.integration.engine_contract.assertions import invalid, n, s
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
    world.put("A", **ITEM)
    request = {
        "TableName": world.stock,
        "Key": {"sku": s("A")},
        "UpdateExpression": expression,
        **({"ExpressionAttributeValues": values} if values else {}),
    }
    assert invalid(world.dynamodb.update_item, **request)
    assert world.get("A") == {"sku": s("A"), **ITEM}
