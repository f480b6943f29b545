from typing import Any

import pytest

from bench.units import Accounts, kilobytes, size_of


def record(order_id: str, size: int) -> dict[str, Any]:
    """An item of `size` bytes."""
    padding = size - len("order_id") - len(order_id) - len("event")
    return {"order_id": {"S": order_id}, "event": {"S": "x" * padding}}


def transaction(*actions: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    return "dynamodb", "TransactWriteItems", {"TransactItems": list(actions)}


def removal(change: str) -> tuple[str, str, dict[str, Any]]:
    return "dynamodb", "DeleteItem", {"Key": {"id": {"S": change}}}


def test_a_transaction_costs_two_units_for_each_kilobyte_of_each_item() -> None:
    update = {"Update": {"Key": {"sku": {"S": "A"}}, "ExpressionAttributeValues": {}}}
    check = {"ConditionCheck": {"Key": {"sku": {"S": "B"}}}}

    units = Accounts().charge([transaction(update, check, {"Put": {"Item": record("o", 1025)}})])

    assert (units.written, units.read) == (2 + 2 + 4, 0)


def test_a_deletion_is_charged_by_the_size_of_what_was_there() -> None:
    accounts = Accounts()
    owed = {"id": {"S": "c1"}, "owed": {"SS": ["x" * 1_020, "y" * 10]}}
    assert accounts.charge([transaction({"Put": {"Item": owed}})]).written == 4
    assert accounts.charge([removal("c1")]).written == 2
    assert accounts.charge([removal("c1")]).written == 1, "a deletion of nothing"


def test_a_read_costs_one_unit_for_each_item_even_if_it_is_missing() -> None:
    get = ("dynamodb", "GetItem", {"Key": {"order_id": {"S": "o"}}})
    keys = {"T": {"Keys": [{"sku": {"S": "A"}}, {"sku": {"S": "B"}}]}}

    units = Accounts().charge([get, ("dynamodb", "BatchGetItem", {"RequestItems": keys})])

    assert (units.written, units.read) == (0, 3)


def test_messages_cost_no_units() -> None:
    units = Accounts().charge([("sqs", "SendMessageBatch", {})])

    assert (units.written, units.read) == (0, 0)


def test_a_call_without_a_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="no rule for Query"):
        Accounts().charge([("dynamodb", "Query", {})])


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "é"}, 2),
        ({"N": "12"}, 3),
        ({"BOOL": True}, 1),
        ({"SS": ["é", "ab"]}, 4),
        ({"L": [{"S": "ab"}]}, 6),
        ({"M": {"A": {"N": "12"}}}, 3 + 1 + 1 + 3),
    ],
)
def test_sizes_follow_dynamodbs_rules(value: dict[str, Any], size: int) -> None:
    assert size_of(value) == size


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (1024, 1), (1025, 2)])
def test_kilobytes_are_rounded_up(size: int, units: int) -> None:
    assert kilobytes(size) == units
