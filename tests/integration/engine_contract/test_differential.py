"""Both engines give the same answers to random calls and end in the same state."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.stage import Stage
from tests.support.engines import FakeStage, fake_stage

SKUS = ("A", "B", "C", "D")
ORDERS = ("o1", "o2", "o3")
numbers = st.integers(-3, 12)
skus = st.sampled_from(SKUS)

CONDITIONS = (
    None,
    "attribute_exists({key})",
    "attribute_not_exists({key})",
    "quantity >= :a",
    "quantity >= :a AND quantity < :b",
    "NOT quantity < :a",
    "quantity <> :a OR (units = :b AND attribute_exists(units))",
    "quantity IN (:a, :b)",
    "units < quantity",
)
UPDATES = (
    "SET quantity = :a",
    "SET quantity = quantity - :a, units = :b",
    "SET quantity = quantity + :b REMOVE units",
    "SET units = if_not_exists(units, :a) + :b",
    "SET units = quantity, quantity = :a",
    "ADD quantity :a, units :b",
    "REMOVE quantity",
    "DELETE owed :gone",
    "SET quantity = :a DELETE owed :gone",
    "SET hold_shard = :shard, due_at = :due",
    "SET due_at = :due",
    "REMOVE hold_shard",
)


def _action(
    kind: str, where: tuple[str, str, str], expressions: tuple[str | None, str], a: int, b: int
) -> Any:
    table, key, value = where
    condition, update = expressions
    request: dict[str, Any] = {"TableName": table, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    if kind == "Put":
        request["Item"] = {key: {"S": value}, "quantity": {"N": str(a)}, "owed": {"SS": ["1", "2", "3"]}}
        if a > 4:
            request["Item"] |= {
                "hold_shard": {"S": str(a % 2)},
                "due_at": {"S": f"{b:+}"} if b else {"N": "0"},
            }
    else:
        request["Key"] = {key: {"S": value}}
    if kind == "Update":
        request["UpdateExpression"] = update
    if condition or kind == "ConditionCheck":
        request["ConditionExpression"] = (condition or "attribute_exists({key})").format(key=key)
    text = request.get("ConditionExpression", "") + request.get("UpdateExpression", "")
    values: dict[str, Any] = {":a": {"N": str(a)}, ":b": {"N": str(b)}}
    values |= {":shard": {"S": str(a % 2)}, ":due": {"S": f"{b:+}"}}
    values[":gone"] = {"SS": sorted({str(a), str(b)})}
    used = {name: number for name, number in values.items() if name in text}
    return {kind: request | {"ExpressionAttributeValues": used} if used else request}


def actions() -> st.SearchStrategy[Any]:
    stage = fake_stage()
    places = [(stage.tables.inventory_table, "sku", sku) for sku in SKUS]
    places += [(stage.tables.processed_events_table, "order_id", order_id) for order_id in ORDERS]
    return st.builds(
        _action,
        st.sampled_from(["Put", "Update", "Update", "Delete", "ConditionCheck"]),
        st.sampled_from(places),
        st.tuples(st.sampled_from(CONDITIONS), st.sampled_from(UPDATES)),
        numbers,
        numbers,
    )


def _transaction(actions: list[Any], token: str | None) -> tuple[str, dict[str, Any]]:
    return "transact_write_items", {
        "TransactItems": actions,
        **({"ClientRequestToken": token} if token else {}),
    }


def _single(action: dict[str, Any], values: str) -> tuple[str, dict[str, Any]]:
    ((kind, request),) = action.items()
    method = {"Put": "put_item", "Update": "update_item"}.get(kind, "delete_item")
    wanted = values if kind == "Update" else "ALL_OLD"
    return method, {**request, "ReturnValues": wanted}


def _read(keys: set[str]) -> tuple[str, dict[str, Any]]:
    wanted = [{"sku": {"S": sku}} for sku in sorted(keys)]
    table = fake_stage().tables.inventory_table
    return "batch_get_item", {"RequestItems": {table: {"Keys": wanted, "ConsistentRead": True}}}


values = st.sampled_from(["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"])
calls = st.one_of(
    st.builds(_transaction, st.lists(actions(), min_size=1, max_size=5), st.none()),
    st.builds(_transaction, st.lists(actions(), min_size=1, max_size=2), st.sampled_from(["t1", "t2"])),
    st.builds(_single, actions(), values),
    st.builds(_read, st.sets(skus, min_size=1)),
)


def answer(client: Any, call: tuple[str, dict[str, Any]]) -> Any:
    """The answer or the error of the call, without the parts that differ between engines."""
    method, parameters = call
    try:
        response: dict[str, Any] = getattr(client, method)(**parameters)
    except ClientError as error:
        response = dict(error.response)
        if response["Error"]["Code"] == "ValidationException":
            return "ValidationException"  # the messages may differ
    response.pop("ResponseMetadata")
    for repeated in ("Message", "message"):  # botocore sometimes repeats the error's message here
        response.pop(repeated, None)
    response = _in_order(response)
    for items in response.get("Responses", {}).values() if method == "batch_get_item" else ():
        items.sort(key=repr)
    return response


def _in_order(value: Any) -> Any:
    """`value` with the members of each set in order: engines may return them in any."""
    if isinstance(value, list):
        return [_in_order(member) for member in value]
    if not isinstance(value, dict):
        return value
    return {name: sorted(member) if name == "SS" else _in_order(member) for name, member in value.items()}


def state(stage: Stage | FakeStage) -> dict[str, list[Any]]:
    """All items of all tables."""
    names = (stage.tables.inventory_table, stage.tables.processed_events_table)
    scans = {name: stage.dynamodb.scan(TableName=name, ConsistentRead=True)["Items"] for name in names}
    found = {name: sorted(_in_order(items), key=repr) for name, items in scans.items()}
    return found | {f"holds {shard}": _due(stage, shard) for shard in "01"}


def _due(stage: Stage | FakeStage, shard: str) -> list[Any]:
    """The entries of the index that are due, in the order of their times and orders."""
    answer = stage.dynamodb.query(
        TableName=stage.tables.processed_events_table,
        IndexName="holds",
        KeyConditionExpression="hold_shard = :shard AND due_at <= :now",
        ExpressionAttributeValues={":shard": {"S": shard}, ":now": {"S": "+9"}},
    )
    return sorted(answer["Items"], key=lambda entry: (entry["due_at"]["S"], entry["order_id"]["S"]))


@pytest.fixture
def embedded(stage: Stage) -> Callable[[], Stage]:
    """A function that returns the embedded stage without items."""

    def emptied() -> Stage:
        for table, key in (
            (stage.tables.inventory_table, "sku"),
            (stage.tables.processed_events_table, "order_id"),
        ):
            for item in stage.dynamodb.scan(TableName=table)["Items"]:
                stage.dynamodb.delete_item(TableName=table, Key={key: item[key]})
        return stage

    return emptied


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(calls, min_size=1, max_size=12))
def test_both_engines_give_the_same_answers(embedded: Callable[[], Stage], calls: list[Any]) -> None:
    real, fake = embedded(), fake_stage()
    run = uuid4().hex  # makes tokens unique to this run, since MiniStack keeps them across runs
    for method, parameters in calls:
        token = parameters.get("ClientRequestToken")
        call = (method, parameters | {"ClientRequestToken": token + run} if token else parameters)
        assert answer(fake.dynamodb, call) == answer(real.dynamodb, call)
    assert state(fake) == state(real)
