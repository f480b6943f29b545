"""Behaviour of the engines that AWS does not have, or that would take too long to test on AWS."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.support.engines import Disorder, FakeClock, FakeDynamoDB, FakeStage, fake_stage, store


def put(client: Any, sku: str, quantity: int, **more: Any) -> None:
    client.put_item(TableName="Stock", Item={"sku": {"S": sku}, "quantity": {"N": str(quantity)}, **more})


def take(sku: str, units: int) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": "Stock",
            "Key": {"sku": {"S": sku}},
            "UpdateExpression": "SET quantity = quantity - :units",
            "ConditionExpression": "quantity >= :units",
            "ExpressionAttributeValues": {":units": {"N": str(units)}},
        }
    }


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def dynamodb(clock: FakeClock) -> FakeDynamoDB:
    return FakeDynamoDB({"Stock": "sku"}, clock, record=True)


def test_calls_are_counted_and_recorded(dynamodb: FakeDynamoDB) -> None:
    put(dynamodb, "A", 1)
    request = {"sku": {"S": "A"}}
    dynamodb.get_item(TableName="Stock", Key=request)
    request["sku"]["S"] = "B"
    with pytest.raises(ClientError):
        dynamodb.get_item(TableName="None", Key=request)
    assert dynamodb.counts == {"put_item": 1, "get_item": 2}
    assert [(call.operation, call.error) for call in dynamodb.calls] == [
        ("put_item", None),
        ("get_item", None),
        ("get_item", "ResourceNotFoundException"),
    ]
    assert dynamodb.calls[1].parameters == {"TableName": "Stock", "Key": {"sku": {"S": "A"}}}


def test_the_history_has_every_commit_with_its_changes(dynamodb: FakeDynamoDB, clock: FakeClock) -> None:
    put(dynamodb, "A", 5)
    put(dynamodb, "B", 5)
    clock.advance(3)
    check = {
        "TableName": "Stock",
        "Key": {"sku": {"S": "B"}},
        "ConditionExpression": "attribute_exists(sku)",
    }
    dynamodb.transact_write_items(TransactItems=[take("A", 2), {"ConditionCheck": check}])
    with pytest.raises(ClientError):
        dynamodb.transact_write_items(TransactItems=[take("A", 4)])
    dynamodb.delete_item(TableName="Stock", Key={"sku": {"S": "A"}})
    put_a, _, taken, deleted = dynamodb.history
    assert [commit.number for commit in dynamodb.history] == [1, 2, 3, 4]
    assert (taken.time, taken.operation) == (clock.now, "TransactWriteItems")
    [change] = taken.changes
    assert (change.table, change.key) == ("Stock", "A")
    assert change.before == put_a.changes[0].after == {"sku": {"S": "A"}, "quantity": {"N": "5"}}
    assert change.after == {"sku": {"S": "A"}, "quantity": {"N": "3"}}
    assert deleted.changes[0].after is None


@pytest.mark.parametrize(
    ("text", "quantity", "units"), [("x", 1, 2), ("x" * 2000, 1, 4), ("x" * 2000, 9, 4), ("x", 9, 2)]
)
def test_a_transaction_takes_two_write_units_per_kb_even_if_cancelled(
    dynamodb: FakeDynamoDB, text: str, quantity: int, units: int
) -> None:
    put(dynamodb, "A", 5, text={"S": text})
    dynamodb.units.clear()
    try:
        dynamodb.transact_write_items(TransactItems=[take("A", quantity)])
    except ClientError:
        assert quantity > 5
    assert dynamodb.units == {"write": units}


def test_a_read_takes_one_unit_per_4_kb_and_half_if_not_consistent(dynamodb: FakeDynamoDB) -> None:
    put(dynamodb, "A", 5, text={"S": "x" * 5000})
    dynamodb.units.clear()
    keys = [{"sku": {"S": "A"}}, {"sku": {"S": "missing"}}]
    dynamodb.batch_get_item(RequestItems={"Stock": {"Keys": keys, "ConsistentRead": True}})
    assert dynamodb.units["read"] == 3
    dynamodb.get_item(TableName="Stock", Key=keys[0])
    assert dynamodb.units["read"] == 4


def test_a_token_expires_after_ten_minutes(dynamodb: FakeDynamoDB, clock: FakeClock) -> None:
    put(dynamodb, "A", 5)
    for seconds in (0, 599, 2):
        clock.advance(seconds)
        dynamodb.transact_write_items(TransactItems=[take("A", 1)], ClientRequestToken="once")
    assert dynamodb.tables["Stock"].items["A"]["quantity"] == {"N": "3"}


def test_a_read_that_is_not_consistent_may_be_stale(clock: FakeClock) -> None:
    dynamodb = FakeDynamoDB({"Stock": "sku"}, clock, stale=lambda: True)
    put(dynamodb, "A", 1)
    key = {"TableName": "Stock", "Key": {"sku": {"S": "A"}}}
    assert "Item" not in dynamodb.get_item(**key)
    put(dynamodb, "A", 2)
    assert dynamodb.get_item(**key)["Item"]["quantity"] == {"N": "1"}
    assert dynamodb.get_item(**key, ConsistentRead=True)["Item"]["quantity"] == {"N": "2"}
    assert dynamodb.scan(TableName="Stock")["Items"][0]["quantity"] == {"N": "1"}


def hold(client: Any, order_id: str, due_at: str) -> None:
    item = {"order_id": {"S": order_id}, "hold_shard": {"S": "0"}, "due_at": {"S": due_at}}
    client.put_item(TableName="ProcessedEventsTable", Item=item)


def due(client: Any, **more: Any) -> str:
    """The orders that the index `holds` shows as due at 5."""
    page = client.query(
        TableName="ProcessedEventsTable",
        IndexName="holds",
        KeyConditionExpression="hold_shard = :shard AND due_at <= :now",
        ExpressionAttributeValues={":shard": {"S": "0"}, ":now": {"S": "5"}},
        **more,
    )
    return "".join(entry["order_id"]["S"] for entry in page["Items"])


def test_an_index_shows_a_write_when_it_is_as_old_as_the_lag() -> None:
    stage = fake_stage(index_lag=2)
    client, key = stage.dynamodb, {"order_id": {"S": "a"}}
    hold(client, "a", "1")
    assert due(client) == ""
    stage.clock.advance(1)
    hold(client, "a", "9")
    hold(client, "b", "2")
    assert due(client) == ""
    stage.clock.advance(1)
    assert due(client) == "a"
    stage.clock.advance(1)
    client.delete_item(TableName="ProcessedEventsTable", Key={"order_id": {"S": "b"}})
    hold(client, "a", "3")
    assert due(client) == "b"
    assert client.get_item(TableName="ProcessedEventsTable", Key=key)["Item"]["due_at"] == {"S": "3"}
    stage.clock.advance(2)
    assert due(client) == "a"


def test_the_lag_of_an_index_may_change_and_no_query_goes_back_in_time() -> None:
    stage = fake_stage(index_lag=100)
    hold(stage.dynamodb, "a", "1")
    assert due(stage.dynamodb) == ""
    stage.dynamodb.index_lag = 0
    assert due(stage.dynamodb) == "a"
    stage.dynamodb.index_lag = 100
    hold(stage.dynamodb, "b", "2")
    assert due(stage.dynamodb) == "a"


def test_a_page_of_an_index_ends_before_1_mb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_PAGE", 100)
    stage = fake_stage()
    for name in "abcd":
        hold(stage.dynamodb, name, "1")  # an entry of 27 bytes
    assert len(due(stage.dynamodb)) == 3


def test_a_query_takes_half_a_unit_per_4_kb_of_entries() -> None:
    stage = fake_stage()
    due(stage.dynamodb)
    assert stage.dynamodb.units == {"read": 0.5}
    for number in range(20):
        item = {"order_id": {"S": f"{number:1000}"}, "hold_shard": {"S": "0"}, "due_at": {"S": "1"}}
        more = {"lines": {"S": "x" * 5000}}
        stage.dynamodb.put_item(TableName="ProcessedEventsTable", Item={**item, **more})
    for limit, units in ((3, 0.5), (4, 1), (20, 3)):  # an entry has 1026 bytes
        stage.dynamodb.units.clear()
        due(stage.dynamodb, Limit=limit)
        assert stage.dynamodb.units == {"read": units}


def test_equal_sort_keys_are_in_no_order_of_the_table_keys() -> None:
    stage = fake_stage()
    for name in "abcdefgh":
        hold(stage.dynamodb, name, "1")
    assert "".join(sorted(due(stage.dynamodb))) == "abcdefgh" != due(stage.dynamodb)


def test_a_query_without_an_index_is_not_supported(dynamodb: FakeDynamoDB) -> None:
    values = {":sku": {"S": "A"}}
    with pytest.raises(NotImplementedError):
        dynamodb.query(
            TableName="Stock", KeyConditionExpression="sku = :sku", ExpressionAttributeValues=values
        )


def test_a_later_write_does_not_change_a_snapshot(dynamodb: FakeDynamoDB) -> None:
    put(dynamodb, "A", 1)
    before = dynamodb.snapshot()
    put(dynamodb, "A", 2)
    put(dynamodb, "B", 2)
    assert before == {"Stock": {"A": {"sku": {"S": "A"}, "quantity": {"N": "1"}}}}


def test_threads_never_take_more_than_is_in_stock(dynamodb: FakeDynamoDB) -> None:
    put(dynamodb, "A", 50)

    def one(_: int) -> bool:
        try:
            dynamodb.transact_write_items(TransactItems=[take("A", 1)])
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(200))) == 50
    assert dynamodb.tables["Stock"].items["A"]["quantity"] == {"N": "0"}


def test_parameters_are_checked_as_botocore_does_unless_disabled(clock: FakeClock) -> None:
    request: dict[str, Any] = {"TableName": "Stock", "Item": {"sku": {"S": 1}}}
    with pytest.raises(ParamValidationError):
        FakeDynamoDB({"Stock": "sku"}, clock).put_item(**request)
    with pytest.raises(TypeError, match="Expected"):
        FakeDynamoDB({"Stock": "sku"}, clock, checked=False).put_item(TableName="Stock", Expected={})


@pytest.mark.parametrize("expression", ["SET a.b = :v", "SET a[0] = :v", "SET a = list_append(a, :v)"])
def test_an_unsupported_feature_is_an_error(dynamodb: FakeDynamoDB, expression: str) -> None:
    with pytest.raises(NotImplementedError):
        dynamodb.update_item(
            TableName="Stock",
            Key={"sku": {"S": "A"}},
            UpdateExpression=expression,
            ExpressionAttributeValues={":v": {"L": []}},
        )


def send(stage: FakeStage, count: int) -> None:
    for number in range(count):
        stage.sqs.send_message(QueueUrl=stage.inventory_queue_url, MessageBody=str(number))


def drain(stage: FakeStage) -> list[str]:
    """The bodies of all received messages, in order; deletes each message once received."""
    bodies: list[str] = []
    url = stage.inventory_queue_url
    while stage.sqs.find(url).messages:
        for message in stage.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            bodies.append(message["Body"])
            stage.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        stage.clock.advance(31)
    return bodies


def test_messages_keep_their_order_without_disorder() -> None:
    stage = fake_stage()
    send(stage, 25)
    assert drain(stage) == [str(number) for number in range(25)]


def test_disorder_delivers_messages_in_any_order_and_some_twice() -> None:
    def run(seed: int) -> list[str]:
        stage = fake_stage(disorder=Disorder(Random(seed), duplicate=0.2), max_receive_count=1000)
        send(stage, 50)
        return drain(stage)

    bodies = run(1)
    assert bodies == run(1)
    assert bodies != run(2)
    assert set(bodies) == {str(number) for number in range(50)}
    assert len(bodies) > 50
    assert list(dict.fromkeys(bodies)) != sorted(bodies, key=int)


def test_retention_counts_from_the_first_enqueue_in_a_dlq_too() -> None:
    stage = fake_stage(visibility_seconds=0, max_receive_count=1)
    send(stage, 1)
    day = 24 * 3600
    stage.clock.advance(3 * day)
    for _ in range(2):
        stage.sqs.receive_message(QueueUrl=stage.inventory_queue_url)
    dlq = stage.sqs.find(stage.dlq_url)
    assert dlq.bodies == ["0"]
    stage.clock.advance(11 * day - 1)
    assert stage.sqs.receive_message(QueueUrl=dlq.url, VisibilityTimeout=0)["Messages"]
    stage.clock.advance(1)
    assert "Messages" not in stage.sqs.receive_message(QueueUrl=dlq.url)


def test_an_expired_message_does_not_go_to_the_dlq() -> None:
    stage = fake_stage()
    send(stage, 1)
    stage.clock.advance(4 * 24 * 3600)
    assert "Messages" not in stage.sqs.receive_message(QueueUrl=stage.inventory_queue_url)
    assert stage.sqs.find(stage.dlq_url).bodies == []


def test_the_history_keeps_all_sent_messages() -> None:
    stage = fake_stage()
    send(stage, 2)
    drain(stage)
    assert [(sent.queue, sent.body) for sent in stage.sqs.history] == [
        ("IMS-InventoryQueue", "0"),
        ("IMS-InventoryQueue", "1"),
    ]
