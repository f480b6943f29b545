from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from chalicelib.errors import AwsError, Refused, Throttled, TransactionCancelled, Unreachable
from chalicelib.store.calls import aws_errors
from local.emulator import HOST
from local.stage import REGION, Stage
from tests.faults import mishaps
from tests.faults.gate import Fault, Gate

READ_SECONDS = 0.5


@pytest.fixture
def gates(stage: Stage) -> Iterator[dict[str, Gate]]:
    opened = {"dynamodb": Gate(stage.dynamodb.meta.endpoint_url), "sqs": Gate(stage.sqs.meta.endpoint_url)}
    yield opened
    for gate in opened.values():
        gate.close()


@pytest.fixture
def client(
    stage: Stage, gates: dict[str, Gate], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients that go through the gates; `tries` counts botocore's."""
    monkeypatch.setenv("NO_PROXY", HOST)
    made: list[Any] = []

    def make(service: Any, tries: int = 1) -> Any:
        config = Config(read_timeout=READ_SECONDS, retries={"mode": "standard", "total_max_attempts": tries})
        made.append(
            boto3.client(
                service,
                REGION,
                endpoint_url=gates[service].url,
                aws_access_key_id=stage.env["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=stage.env["AWS_SECRET_ACCESS_KEY"],
                config=config,
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


def once(fault: Fault) -> Callable[[Any], Fault | None]:
    """The first request meets `fault`, the others nothing."""
    left = [fault]
    return lambda _: left.pop() if left else None


def put(dynamodb: Any, stage: Stage) -> None:
    item = {"sku": {"S": "A"}, "quantity": {"N": "1"}}
    actions = [{"Put": {"TableName": stage.tables.inventory_table, "Item": item}}]
    with aws_errors():
        dynamodb.transact_write_items(TransactItems=actions)


def stored(stage: Stage) -> bool:
    return "Item" in stage.dynamodb.get_item(TableName=stage.tables.inventory_table, Key={"sku": {"S": "A"}})


def send(sqs: Any, stage: Stage, count: int = 2) -> Any:
    entries = [{"Id": str(number), "MessageBody": "hello"} for number in range(count)]
    with aws_errors():
        return sqs.send_message_batch(QueueUrl=stage.oms_queue_url, Entries=entries)


def arrived(stage: Stage) -> int:
    answer = stage.sqs.receive_message(QueueUrl=stage.oms_queue_url, MaxNumberOfMessages=10)
    return len(answer.get("Messages", []))


@pytest.mark.parametrize(
    "expected",
    [
        (mishaps.throttled, Throttled, False),
        (mishaps.over_capacity, Throttled, False),
        (mishaps.server_error, Unreachable, False),
        (mishaps.server_error_after_effect, Unreachable, True),
        (mishaps.unavailable, Unreachable, False),
        (mishaps.reset_before_effect, Unreachable, False),
        (mishaps.reset_after_effect, Unreachable, True),
        (mishaps.cut_short, Unreachable, True),
        (mishaps.silent_before_effect, Unreachable, False),
        (mishaps.silent_after_effect, Unreachable, True),
    ],
)
def test_each_fault_reaches_the_application_as_what_it_is_on_both_services(
    stage: Stage,
    gates: dict[str, Gate],
    client: Callable[..., Any],
    expected: tuple[Fault, type[AwsError], bool],
) -> None:
    fault, error, effect = expected
    for gate in gates.values():
        gate.script = once(fault)
    with pytest.raises(error):
        put(client("dynamodb"), stage)
    with pytest.raises(error):
        send(client("sqs"), stage)
    assert stored(stage) is effect
    assert bool(arrived(stage)) is effect


@pytest.mark.parametrize("fault", [mishaps.server_error, mishaps.reset_after_effect, mishaps.throttled])
def test_the_second_try_of_botocore_gets_through(
    stage: Stage, gates: dict[str, Gate], client: Callable[..., Any], fault: Fault
) -> None:
    gates["dynamodb"].script = once(fault)
    put(client("dynamodb", tries=2), stage)
    assert stored(stage)


def test_a_conflict_is_a_cancelled_transaction_that_says_nothing_of_conditions(
    stage: Stage, gates: dict[str, Gate], client: Callable[..., Any]
) -> None:
    gates["dynamodb"].script = once(mishaps.conflict)
    with pytest.raises(TransactionCancelled) as cancelled:
        put(client("dynamodb"), stage)
    assert cancelled.value.contended
    assert not stored(stage)


def test_a_partial_batch_does_all_entries_but_the_first(
    stage: Stage, gates: dict[str, Gate], client: Callable[..., Any]
) -> None:
    gates["sqs"].script = once(mishaps.partial)
    answer = send(client("sqs"), stage, 3)
    assert [entry["Id"] for entry in answer["Failed"]] == ["0"]
    assert [entry["Id"] for entry in answer["Successful"]] == ["1", "2"]
    assert arrived(stage) == 2


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("AWS.SimpleQueueService.NonExistentQueue", 400)]
)
def test_a_refusal_for_good_is_told_by_its_code(
    stage: Stage, gates: dict[str, Gate], client: Callable[..., Any], code: str, status: int
) -> None:
    gates["sqs"].script = once(mishaps.refused(code, status))
    with pytest.raises(Refused) as refused:
        send(client("sqs"), stage)
    assert refused.value.code == code


def test_a_gate_that_is_shut_refuses_connections_until_it_is_open_again(
    stage: Stage, gates: dict[str, Gate], client: Callable[..., Any]
) -> None:
    dynamodb = client("dynamodb")
    put(dynamodb, stage)
    gates["dynamodb"].shut()
    with pytest.raises(Unreachable):
        put(dynamodb, stage)
    with pytest.raises(Unreachable):  # no connection stands any more
        put(dynamodb, stage)
    gates["dynamodb"].open()
    put(dynamodb, stage)
