import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from local.poller import Poller, polling
from local.resources import create_missing_queues
from local.stage import Stage

Event = dict[str, Any]


@pytest.fixture
def queues(stage: Stage) -> Stage:
    create_missing_queues(stage.sqs, visibility_seconds=1, max_receive_count=2)
    return stage


def send(stage: Stage, *bodies: str) -> None:
    for body in bodies:
        stage.sqs.send_message(QueueUrl=stage.inventory_queue_url, MessageBody=body)


def bodies(event: Event) -> list[str]:
    return [record["body"] for record in event["Records"]]


def fail(event: Event, *failed: str) -> Event:
    records = [record for record in event["Records"] if record["body"] in failed]
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}


def dead_letters(stage: Stage) -> list[str]:
    response = stage.sqs.receive_message(QueueUrl=stage.dlq_url, MaxNumberOfMessages=10)
    return sorted(message["Body"] for message in response.get("Messages", []))


def counted(stage: Stage) -> int:
    """Messages in the inventory queue, in flight ones included."""
    attributes = stage.sqs.get_queue_attributes(
        QueueUrl=stage.inventory_queue_url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    return sum(int(value) for value in attributes["Attributes"].values())


def poll_until_empty(stage: Stage, handler: Callable[[Event, Any], Any]) -> None:
    poller = Poller(stage.sqs, stage.inventory_queue_url, handler, time_limit=1)
    deadline = time.monotonic() + 20
    while counted(stage):
        assert time.monotonic() < deadline, "the queue does not get empty"
        poller.poll()


def test_settled_messages_are_deleted_and_failed_ones_redelivered_until_they_are_dead_letters(
    queues: Stage,
) -> None:
    batches = []

    def handler(event: Event, context: Any) -> Event:
        batches.append(sorted(bodies(event)))
        return fail(event, "poison")

    send(queues, "good", "poison")
    poll_until_empty(queues, handler)

    assert batches == [["good", "poison"], ["poison"]]
    assert dead_letters(queues) == ["poison"]


def test_an_exception_of_the_handler_fails_the_whole_batch(queues: Stage) -> None:
    batches = []

    def handler(event: Event, context: Any) -> None:
        batches.append(sorted(bodies(event)))
        raise RuntimeError("out of memory")

    send(queues, "a", "b")
    poll_until_empty(queues, handler)

    assert batches == [["a", "b"], ["a", "b"]]
    assert dead_letters(queues) == ["a", "b"]


def test_a_response_that_names_an_unknown_message_fails_the_whole_batch(queues: Stage) -> None:
    send(queues, "a", "b")
    poll_until_empty(queues, lambda event, context: {"batchItemFailures": [{"itemIdentifier": "?"}]})
    assert dead_letters(queues) == ["a", "b"]


def test_a_batch_has_up_to_ten_messages_with_their_ids_and_receive_counts(queues: Stage) -> None:
    seen: list[Event] = []

    def handler(event: Event, context: Any) -> None:
        assert 0 < context.get_remaining_time_in_millis() <= 1000
        assert context.aws_request_id
        seen.extend(event["Records"])

    send(queues, *map(str, range(12)))
    poller = Poller(queues.sqs, queues.inventory_queue_url, handler, time_limit=1)
    assert poller.poll() == 10
    assert poller.poll() == 2

    assert len({record["messageId"] for record in seen}) == 12
    for record in seen:
        assert record["attributes"]["ApproximateReceiveCount"] == "1"
        assert abs(int(record["attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60
        assert record["eventSourceARN"].endswith(":IMS-InventoryQueue")


def test_the_thread_survives_an_outage_of_the_queue_and_stops_on_request(queues: Stage) -> None:
    seen: list[str] = []
    calls = iter(range(100))

    class Flaky:
        def __getattr__(self, name: str) -> Any:
            return getattr(queues.sqs, name)

        def receive_message(self, **arguments: Any) -> Any:
            if next(calls) == 0:
                return queues.sqs.receive_message(**{**arguments, "QueueUrl": queues.dlq_url + "-not-there"})
            return queues.sqs.receive_message(**arguments)

    send(queues, "a")
    flaky: Any = Flaky()
    between: list[str] = []
    poller = Poller(flaky, queues.inventory_queue_url, lambda e, c: seen.extend(bodies(e)), time_limit=1)
    with polling(poller, between=lambda: between.append(threading.current_thread().name)):
        deadline = time.monotonic() + 20
        while not seen:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert seen == ["a"]
    assert counted(queues) == 0
    assert len(between) >= 2, "both the poll that failed and the one that did not are followed by it"
    assert set(between) == {"poller"}
