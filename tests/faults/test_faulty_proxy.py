from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from chalicelib.aws.errors import aws_errors
from chalicelib.errors import AwsError, Refused, Throttled, TransactionCancelled, Unreachable
from local.emulator import HOST
from local.stage import REGION, Stage
from tests.faults import http_faults
from tests.faults.faulty_proxy import Fault, FaultyProxy

READ_SECONDS = 0.5


@pytest.fixture
def proxies(stage: Stage) -> Iterator[dict[str, FaultyProxy]]:
    opened = {
        "dynamodb": FaultyProxy(stage.dynamodb.meta.endpoint_url),
        "sqs": FaultyProxy(stage.sqs.meta.endpoint_url),
    }
    yield opened
    for proxy in opened.values():
        proxy.close()


@pytest.fixture
def client(
    stage: Stage, proxies: dict[str, FaultyProxy], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients that go through the proxies; `tries` counts botocore's."""
    monkeypatch.setenv("NO_PROXY", HOST)
    made: list[Any] = []

    def make(service: Any, tries: int = 1) -> Any:
        config = Config(read_timeout=READ_SECONDS, retries={"mode": "standard", "total_max_attempts": tries})
        made.append(
            boto3.client(
                service,
                REGION,
                endpoint_url=proxies[service].url,
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
    """A script: the first request meets `fault`, the others none."""
    left = [fault]
    return lambda _: left.pop() if left else None


def put(dynamodb: Any, stage: Stage) -> None:
    item = {"sku": {"S": "A"}, "quantity": {"N": "1"}}
    actions = [{"Put": {"TableName": stage.tables.inventory_table, "Item": item}}]
    with aws_errors():
        dynamodb.transact_write_items(TransactItems=actions)


def is_stored(stage: Stage) -> bool:
    return "Item" in stage.dynamodb.get_item(TableName=stage.tables.inventory_table, Key={"sku": {"S": "A"}})


def send(sqs: Any, stage: Stage, count: int = 2) -> Any:
    entries = [{"Id": str(number), "MessageBody": "hello"} for number in range(count)]
    with aws_errors():
        return sqs.send_message_batch(QueueUrl=stage.oms_queue_url, Entries=entries)


def received_count(stage: Stage) -> int:
    response = stage.sqs.receive_message(QueueUrl=stage.oms_queue_url, MaxNumberOfMessages=10)
    return len(response.get("Messages", []))


@pytest.mark.parametrize(
    "expected",
    [
        (http_faults.throttled, Throttled, False),
        (http_faults.over_capacity, Throttled, False),
        (http_faults.server_error, Unreachable, False),
        (http_faults.server_error_after_effect, Unreachable, True),
        (http_faults.unavailable, Unreachable, False),
        (http_faults.reset_before_effect, Unreachable, False),
        (http_faults.reset_after_effect, Unreachable, True),
        (http_faults.truncated_response, Unreachable, True),
        (http_faults.timed_out_before_effect, Unreachable, False),
        (http_faults.timed_out_after_effect, Unreachable, True),
    ],
)
def test_each_fault_raises_its_error_for_both_services(
    stage: Stage,
    proxies: dict[str, FaultyProxy],
    client: Callable[..., Any],
    expected: tuple[Fault, type[AwsError], bool],
) -> None:
    fault, error, effect = expected
    for proxy in proxies.values():
        proxy.script = once(fault)
    with pytest.raises(error):
        put(client("dynamodb"), stage)
    with pytest.raises(error):
        send(client("sqs"), stage)
    assert is_stored(stage) is effect
    assert bool(received_count(stage)) is effect


@pytest.mark.parametrize(
    "fault", [http_faults.server_error, http_faults.reset_after_effect, http_faults.throttled]
)
def test_botocores_retry_succeeds(
    stage: Stage, proxies: dict[str, FaultyProxy], client: Callable[..., Any], fault: Fault
) -> None:
    proxies["dynamodb"].script = once(fault)
    put(client("dynamodb", tries=2), stage)
    assert is_stored(stage)


def test_a_conflict_is_a_cancelled_transaction_without_failed_conditions(
    stage: Stage, proxies: dict[str, FaultyProxy], client: Callable[..., Any]
) -> None:
    proxies["dynamodb"].script = once(http_faults.conflict)
    with pytest.raises(TransactionCancelled) as cancelled:
        put(client("dynamodb"), stage)
    assert cancelled.value.conflicted
    assert not is_stored(stage)


def test_a_partial_batch_fails_for_the_first_entry_only(
    stage: Stage, proxies: dict[str, FaultyProxy], client: Callable[..., Any]
) -> None:
    proxies["sqs"].script = once(http_faults.partial)
    response = send(client("sqs"), stage, 3)
    assert [entry["Id"] for entry in response["Failed"]] == ["0"]
    assert [entry["Id"] for entry in response["Successful"]] == ["1", "2"]
    assert received_count(stage) == 2


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("AWS.SimpleQueueService.NonExistentQueue", 400)]
)
def test_a_permanent_refusal_has_the_code_of_aws(
    stage: Stage, proxies: dict[str, FaultyProxy], client: Callable[..., Any], code: str, status: int
) -> None:
    proxies["sqs"].script = once(http_faults.refused(code, status))
    with pytest.raises(Refused) as refused:
        send(client("sqs"), stage)
    assert refused.value.code == code


def test_a_stopped_proxy_refuses_connections_until_it_starts_again(
    stage: Stage, proxies: dict[str, FaultyProxy], client: Callable[..., Any]
) -> None:
    dynamodb = client("dynamodb")
    put(dynamodb, stage)
    proxies["dynamodb"].stop()
    with pytest.raises(Unreachable):
        put(dynamodb, stage)
    with pytest.raises(Unreachable):  # no connection is open any more
        put(dynamodb, stage)
    proxies["dynamodb"].start()
    put(dynamodb, stage)
