import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from tests.support.engines import Crash, FakeStage, Network, RandomFaults, Scripted, fake_stage, faults


@pytest.fixture
def stage() -> FakeStage:
    made = fake_stage()
    for sku in ("A", "B"):
        made.dynamodb.put_item(TableName=made.tables.inventory_table, Item=stock(sku, 5))
    made.dynamodb.counts.clear()
    return made


def stock(sku: str, quantity: int) -> dict[str, Any]:
    return {"sku": {"S": sku}, "quantity": {"N": str(quantity)}}


def take(stage: FakeStage, sku: str, units: int) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": stage.tables.inventory_table,
            "Key": {"sku": {"S": sku}},
            "UpdateExpression": "SET quantity = quantity - :units",
            "ConditionExpression": "quantity >= :units",
            "ExpressionAttributeValues": {":units": {"N": str(units)}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def quantity(stage: FakeStage, sku: str) -> int:
    return int(stage.dynamodb.tables[stage.tables.inventory_table].items[sku]["quantity"]["N"])


def faulty(client: Any, operation: str, fault: Callable[..., Any]) -> Any:
    """A client whose first call of `operation` meets the fault."""
    return Network(Scripted(by_operation={operation: [fault]})).client(client)


@pytest.mark.parametrize(
    ("fault", "expected", "left"),
    [
        (faults.throttled, ClientError, 5),
        (faults.unavailable, ClientError, 5),
        (faults.failed_after_effect, ClientError, 3),
        (faults.unreachable, ConnectTimeoutError, 5),
        (faults.timed_out_before_effect, ReadTimeoutError, 5),
        (faults.timed_out_after_effect, ReadTimeoutError, 3),
        (faults.reset_after_effect, ConnectionClosedError, 3),
        (faults.crash_before, Crash, 5),
        (faults.crash_after, Crash, 3),
    ],
)
def test_a_fault_occurs_before_or_after_the_effect(
    stage: FakeStage, fault: Callable[..., Any], expected: type[BaseException], left: int
) -> None:
    client = faulty(stage.dynamodb, "transact_write_items", fault)
    with pytest.raises(expected):
        client.transact_write_items(TransactItems=[take(stage, "A", 2)])
    assert quantity(stage, "A") == left


def test_only_the_scripted_call_fails(stage: FakeStage) -> None:
    network = Network(Scripted(at={1: faults.throttled}))
    client = network.client(stage.dynamodb)
    client.scan(TableName=stage.tables.inventory_table)
    with pytest.raises(ClientError):
        client.scan(TableName=stage.tables.inventory_table)
    client.scan(TableName=stage.tables.inventory_table)
    assert network.calls == 3
    assert stage.dynamodb.counts["scan"] == 2


def test_a_script_sees_the_result_of_each_call(stage: FakeStage) -> None:
    script = Scripted(by_operation={"scan": [None, faults.throttled]})
    client = Network(script).client(stage.dynamodb)
    client.scan(TableName=stage.tables.inventory_table)
    with pytest.raises(ClientError):
        client.scan(TableName=stage.tables.inventory_table)
    (first, answer), (second, error) = script.results
    assert (first.number, second.number, first.operation) == (0, 1, "scan")
    assert answer["Count"] == 2
    assert isinstance(error, ClientError)


def test_a_transaction_sent_twice_is_done_once_because_of_its_token(stage: FakeStage) -> None:
    client = faulty(stage.dynamodb, "transact_write_items", faults.sent_twice)
    client.transact_write_items(TransactItems=[take(stage, "A", 2)])
    assert stage.dynamodb.counts["transact_write_items"] == 2
    assert quantity(stage, "A") == 3


def test_an_update_sent_twice_is_done_twice(stage: FakeStage) -> None:
    client = faulty(stage.dynamodb, "update_item", faults.sent_twice)
    request = take(stage, "A", 2)["Update"]
    client.update_item(**request)
    assert quantity(stage, "A") == 1


def test_a_message_sent_twice_is_two_messages(stage: FakeStage) -> None:
    client = faulty(stage.sqs, "send_message", faults.sent_twice)
    client.send_message(QueueUrl=stage.oms_queue_url, MessageBody="x")
    assert stage.sqs.find(stage.oms_queue_url).bodies == ["x", "x"]


def test_a_conflict_is_reported_beside_failed_conditions_and_writes_nothing(stage: FakeStage) -> None:
    client = faulty(stage.dynamodb, "transact_write_items", faults.Conflict([1]))
    with pytest.raises(ClientError) as caught:
        client.transact_write_items(TransactItems=[take(stage, "A", 6), take(stage, "B", 1)])
    failed, conflict = caught.value.response["CancellationReasons"]
    assert (failed["Code"], failed["Item"]) == ("ConditionalCheckFailed", stock("A", 5))
    assert conflict["Code"] == "TransactionConflict"
    assert "Item" not in conflict
    assert quantity(stage, "B") == 5


def test_a_conflict_alone_gives_the_other_actions_the_reason_none(stage: FakeStage) -> None:
    client = faulty(stage.dynamodb, "transact_write_items", faults.Conflict([0], "ThrottlingError"))
    with pytest.raises(ClientError) as caught:
        client.transact_write_items(TransactItems=[take(stage, "A", 1), take(stage, "B", 1)])
    codes = [reason["Code"] for reason in caught.value.response["CancellationReasons"]]
    assert codes == ["ThrottlingError", "None"]


def test_a_conflict_of_a_single_write_is_a_transaction_conflict_exception(stage: FakeStage) -> None:
    client = faulty(stage.dynamodb, "update_item", faults.Conflict())
    with pytest.raises(client.exceptions.TransactionConflictException):
        client.update_item(**take(stage, "A", 1)["Update"])
    assert quantity(stage, "A") == 5


def test_few_reasons_include_at_least_one_failed_condition(stage: FakeStage) -> None:
    reported = set()
    for seed in range(20):
        client = faulty(stage.dynamodb, "transact_write_items", faults.FewReasons(Random(seed)))
        with pytest.raises(ClientError) as caught:
            client.transact_write_items(TransactItems=[take(stage, "A", 6), take(stage, "B", 6)])
        reported.add(tuple(reason["Code"] for reason in caught.value.response["CancellationReasons"]))
    failed = "ConditionalCheckFailed"
    assert reported == {(failed, "None"), ("None", failed), (failed, failed)}


def test_keys_are_left_unprocessed(stage: FakeStage) -> None:
    client = faulty(stage.dynamodb, "batch_get_item", faults.Partial([1]))
    table = stage.tables.inventory_table
    keys = [{"sku": {"S": "A"}}, {"sku": {"S": "B"}}]
    answer = client.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
    assert answer["Responses"] == {table: [stock("A", 5)]}
    assert answer["UnprocessedKeys"] == {table: {"Keys": keys[1:], "ConsistentRead": True}}
    rest = client.batch_get_item(RequestItems=answer["UnprocessedKeys"])
    assert rest["Responses"] == {table: [stock("B", 5)]}


def test_all_keys_may_be_left_unprocessed(stage: FakeStage) -> None:
    client = faulty(stage.dynamodb, "batch_get_item", faults.Partial([0]))
    table = stage.tables.inventory_table
    answer = client.batch_get_item(RequestItems={table: {"Keys": [{"sku": {"S": "A"}}]}})
    assert answer["Responses"] == {}
    assert answer["UnprocessedKeys"][table]["Keys"] == [{"sku": {"S": "A"}}]


def test_puts_are_left_unprocessed(stage: FakeStage) -> None:
    client = faulty(stage.dynamodb, "batch_write_item", faults.Partial([0]))
    table = stage.tables.inventory_table
    puts = [{"PutRequest": {"Item": stock(sku, 1)}} for sku in ("A", "B")]
    answer = client.batch_write_item(RequestItems={table: puts})
    assert answer["UnprocessedItems"] == {table: puts[:1]}
    assert (quantity(stage, "A"), quantity(stage, "B")) == (5, 1)


def test_a_message_fails_alone_and_reports_whether_the_sender_is_at_fault(stage: FakeStage) -> None:
    client = faulty(stage.sqs, "send_message_batch", faults.Partial([1], "InternalError"))
    entries = [{"Id": id_, "MessageBody": id_} for id_ in ("a", "b")]
    answer = client.send_message_batch(QueueUrl=stage.oms_queue_url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["a"]
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("b", "InternalError", False)
    assert stage.sqs.find(stage.oms_queue_url).bodies == ["a"]


def scans(seed: int) -> tuple[list[str], dict[str, int]]:
    """The results of 200 calls with random faults, and the number of each fault."""
    stage, script = fake_stage(), RandomFaults(Random(seed), rate=0.5, crash_rate=0.1)
    client = Network(script).client(stage.dynamodb)
    results = []
    for _ in range(200):
        try:
            client.scan(TableName=stage.tables.inventory_table)
            results.append("answered")
        except (Crash, Exception) as error:  # noqa: BLE001 - a fault may raise anything
            results.append(type(error).__name__)
    return results, script.counts


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    assert scans(1) == scans(1)
    assert scans(1) != scans(2)


def test_random_faults_occur_at_their_rates() -> None:
    results, counts = scans(3)
    assert 60 <= results.count("answered") <= 130  # includes calls sent twice
    assert 5 <= results.count("Crash") <= 40
    assert sum(counts.values()) >= 90


def test_random_faults_have_a_fault_for_every_operation(stage: FakeStage) -> None:
    table = stage.tables.inventory_table
    key = {"sku": {"S": "A"}}
    entries = [{"Id": "0", "MessageBody": "x"}]
    calls: dict[str, dict[str, Any]] = {
        "transact_write_items": {"TransactItems": [take(stage, "A", 1)]},
        "update_item": take(stage, "A", 1)["Update"],
        "batch_get_item": {"RequestItems": {table: {"Keys": [key]}}},
        "batch_write_item": {"RequestItems": {table: [{"PutRequest": {"Item": stock("A", 5)}}]}},
        "send_message_batch": {"QueueUrl": stage.oms_queue_url, "Entries": entries},
    }
    script = RandomFaults(Random(5), rate=1, crash_rate=0)
    network = Network(script)
    for operation, parameters in calls.items():
        client = network.client(stage.sqs if operation.startswith("send") else stage.dynamodb)
        for _ in range(50):
            # Any other exception would be a mistake in the engine, not a fault.
            with contextlib.suppress(ClientError, BotoCoreError):
                getattr(client, operation)(**parameters)
    assert script.counts.keys() >= {"Conflict", "FewReasons", "Partial", "sent_twice", "throttled"}
