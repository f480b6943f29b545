from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from tests.integration.engine_contract.assertions import code, invalid, n, s
from tests.integration.engine_contract.conftest import Differs, World
from tests.integration.engine_contract.moto_reasons import PARTIQL_FILTER, PARTIQL_GRAMMAR


def mark(world: World, order_id: str, outcome: str = "RESERVED", **more: Any) -> dict[str, Any]:
    return {
        "Statement": f'UPDATE "{world.records}" SET published_at = ? WHERE order_id = ? AND outcome = ?',
        "Parameters": [s("now"), s(order_id), s(outcome)],
        **more,
    }


def put(world: World, order_id: str, **attributes: Any) -> None:
    world.dynamodb.put_item(TableName=world.records, Item={"order_id": s(order_id), **attributes})


def get(world: World, order_id: str) -> Any:
    key = {"order_id": s(order_id)}
    return world.dynamodb.get_item(TableName=world.records, Key=key, ConsistentRead=True).get("Item")


def run(world: World, *statements: dict[str, Any]) -> list[dict[str, Any]]:
    return list(world.dynamodb.batch_execute_statement(Statements=list(statements))["Responses"])


def test_each_statement_succeeds_or_fails_alone_in_order(world: World, moto_differs: Differs) -> None:
    moto_differs(PARTIQL_FILTER)
    put(world, "a", outcome=s("RESERVED"))
    put(world, "b", outcome=s("RELEASED"))
    put(world, "d", outcome=s("RESERVED"), event=s("e"))
    responses = run(world, *(mark(world, order_id) for order_id in "abcd"))
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    assert responses == [
        {"TableName": world.records},
        {"TableName": world.records, "Error": failed},
        {"TableName": world.records, "Error": failed},
        {"TableName": world.records},
    ]
    assert get(world, "a") == {"order_id": s("a"), "outcome": s("RESERVED"), "published_at": s("now")}
    assert get(world, "b") == {"order_id": s("b"), "outcome": s("RELEASED")}
    assert get(world, "c") is None  # the statement did not create it
    assert get(world, "d")["event"] == s("e")


def test_a_failed_statement_returns_the_item_if_requested(world: World, moto_differs: Differs) -> None:
    moto_differs(PARTIQL_FILTER)
    put(world, "a", outcome=s("RELEASED"))
    options = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    existing, missing = run(world, mark(world, "a", **options), mark(world, "b", **options))
    assert existing["Error"]["Item"] == {"order_id": s("a"), "outcome": s("RELEASED")}
    assert "Item" not in missing["Error"]


@pytest.mark.parametrize(
    ("sets", "parameters", "expected"),
    [
        ("SET a = ? SET b = ?", [n(1), n(2)], {"a": n(1), "b": n(2)}),
        ('SET "items" = ?', [n(1)], {"items": n(1)}),
        ("SET units = units + ?", [n(1)], {"units": n(8)}),
        ("SET units = units - ?", [n(1)], {"units": n(6)}),
        ("SET a = ? REMOVE units", [n(1)], {"a": n(1), "units": None}),
    ],
)
def test_a_statement_sets_and_removes(
    world: World, moto_differs: Differs, sets: str, parameters: list[Any], expected: dict[str, Any]
) -> None:
    moto_differs(PARTIQL_GRAMMAR, when=sets != 'SET "items" = ?')
    put(world, "a", units=n(7))
    statement = f'UPDATE "{world.records}" {sets} WHERE order_id = ?'
    response = run(world, {"Statement": statement, "Parameters": [*parameters, s("a")]})
    assert response == [{"TableName": world.records}]
    found = get(world, "a")
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("where", "parameters", "expected"),
    [
        ("units >= ?", [n(7)], True),
        ("units < ?", [n(7)], False),
        ("units < ?", [n(10)], True),
        ("units <> ?", [n(8)], True),
        ("units = ? AND outcome = ?", [n(7), s("RESERVED")], True),
        ("units = ? AND outcome = ?", [n(7), s("REJECTED")], False),
        ("nothing IS MISSING", [], True),
        ("units IS MISSING", [], False),
        ("units IS NOT MISSING", [], True),
        ("nothing = ?", [n(1)], False),
        ("nothing < ?", [n(1)], False),
        ("units = ?", [s("7")], False),
    ],
)
def test_a_statement_is_done_only_if_its_conditions_are_true(
    world: World, moto_differs: Differs, where: str, parameters: list[Any], expected: bool
) -> None:
    supported = where in {"units = ?", "nothing = ?", "units = ? AND outcome = ?"}
    moto_differs(PARTIQL_FILTER, when=supported and not expected)
    moto_differs(PARTIQL_GRAMMAR, when=where in MISREAD and (where, expected) != ("units < ?", False))
    put(world, "a", units=n(7), outcome=s("RESERVED"))
    statement = f'UPDATE "{world.records}" SET done = ? WHERE order_id = ? AND {where}'
    [response] = run(world, {"Statement": statement, "Parameters": [n(1), s("a"), *parameters]})
    assert ("Error" not in response) is expected
    assert ("done" in get(world, "a")) is expected


MISREAD = {"units >= ?", "units < ?", "units <> ?", "units IS MISSING"}
NOT_CHECKED = {
    'UPDATE "{t}" SET a = ? WHERE order_id = ?',
    'UPDATE "{t}" SET order_id = ? WHERE order_id = ?',
}


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ('UPDATE "{t}" SET a = ? WHERE outcome = ?', 2),
        ('UPDATE "{t}" SET a = ? WHERE order_id = ?', 1),
        ('UPDATE "{t}" SET a = ? WHERE order_id = ?', 3),
        ('UPDATE "{t}" SET order_id = ? WHERE order_id = ?', 2),
        ('UPDATE "{t}" SET a = b + ? WHERE order_id = ?', 2),
        ('UPDATE "{t}" WHERE order_id = ?', 1),
        ('UPDATE "{t}" SET a = ?', 1),
    ],
)
def test_a_bad_statement_fails_alone(
    world: World, ministack_differs: Differs, moto_differs: Differs, statement: str, parameters: int
) -> None:
    ministack_differs(
        "MiniStack ignores extra parameters, and lets a statement change a key",
        when=statement in NOT_CHECKED and parameters > 1,
    )
    moto_differs(PARTIQL_FILTER, when="outcome" in statement or "WHERE" not in statement)
    moto_differs("moto lets a statement change a key", when="SET order_id" in statement)
    moto_differs(PARTIQL_GRAMMAR, when="b + ?" in statement or "SET" not in statement)
    put(world, "x", outcome=s("RESERVED"))
    bad = {"Statement": statement.format(t=world.records), "Parameters": [s("x")] * parameters}
    response, good = run(world, bad, mark(world, "x"))
    assert response["Error"]["Code"] == "ValidationError"
    assert good == {"TableName": world.records}


def test_a_statement_on_a_missing_table_fails_alone(world: World) -> None:
    statement = {
        "Statement": 'UPDATE "NoSuchTable" SET a = ? WHERE order_id = ?',
        "Parameters": [s("x"), s("x")],
    }
    [response] = run(world, statement)
    assert response["Error"]["Code"] == "ResourceNotFound"


def test_a_batch_has_1_to_25_statements(world: World, moto_differs: Differs) -> None:
    moto_differs("moto's BatchExecuteStatement accepts any number of statements")
    for number in range(25):
        put(world, str(number), outcome=s("RESERVED"))
    marks = [mark(world, str(number)) for number in range(25)]
    assert run(world, *marks) == [{"TableName": world.records}] * 25
    call = world.dynamodb.batch_execute_statement
    assert invalid(call, Statements=[*marks, mark(world, "x")])
    with pytest.raises(ParamValidationError):
        call(Statements=[])


def test_a_single_statement_raises_the_error_that_a_batch_reports(
    world: World, moto_differs: Differs
) -> None:
    moto_differs(PARTIQL_FILTER)
    put(world, "a", outcome=s("RESERVED"))
    call = world.dynamodb.execute_statement
    assert call(**mark(world, "a"))["Items"] == []
    assert get(world, "a")["published_at"] == s("now")
    assert code(call, **mark(world, "a", "RELEASED")) == "ConditionalCheckFailedException"
    assert code(call, **mark(world, "b")) == "ConditionalCheckFailedException"
    assert get(world, "b") is None
