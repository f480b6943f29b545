from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from tests.integration.engine_contract.assertions import code, refused
from tests.integration.engine_contract.conftest import Differs, World
from tests.integration.engine_contract.moto_reasons import UNCHECKED_BODY

MIB = 1024 * 1024
TYPE = {"type": {"DataType": "String", "StringValue": "InventoryReserved"}}


def send(world: World, *bodies: str) -> None:
    for body in bodies:
        world.sqs.send_message(QueueUrl=world.stage.inventory_queue_url, MessageBody=body)


def receive(world: World, url: str | None = None, **options: Any) -> list[dict[str, Any]]:
    answer = world.sqs.receive_message(
        QueueUrl=url or world.stage.inventory_queue_url,
        **{"MaxNumberOfMessages": 10, "AttributeNames": ["All"], **options},
    )
    return list(answer.get("Messages", []))


def delete(world: World, message: dict[str, Any]) -> None:
    world.sqs.delete_message(QueueUrl=world.stage.inventory_queue_url, ReceiptHandle=message["ReceiptHandle"])


def bodies(messages: list[dict[str, Any]]) -> set[str]:
    return {message["Body"] for message in messages}


def test_a_message_is_received_as_it_was_sent(world: World) -> None:
    sent = world.sqs.send_message(
        QueueUrl=world.stage.inventory_queue_url, MessageBody='{"é": 1}', MessageAttributes=TYPE
    )
    [message] = receive(world, MessageAttributeNames=["All"])
    assert message["MessageId"] == sent["MessageId"]
    assert message["Body"] == '{"é": 1}'
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["MessageAttributes"] == TYPE
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["Attributes"]["SentTimestamp"].isdigit()
    first = message["Attributes"]["ApproximateFirstReceiveTimestamp"]
    assert int(first) >= int(message["Attributes"]["SentTimestamp"])


def test_attributes_are_returned_only_if_requested(world: World) -> None:
    world.sqs.send_message(QueueUrl=world.stage.inventory_queue_url, MessageBody="x", MessageAttributes=TYPE)
    [message] = receive(world, AttributeNames=[], VisibilityTimeout=0)
    assert message.keys() == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}
    [message] = receive(
        world, AttributeNames=[], MessageSystemAttributeNames=["SentTimestamp"], MessageAttributeNames=["t.*"]
    )
    assert message["Attributes"].keys() == {"SentTimestamp"}


def test_the_answer_of_an_empty_queue_has_no_messages(world: World) -> None:
    answer = world.sqs.receive_message(QueueUrl=world.stage.inventory_queue_url)
    assert "Messages" not in answer


def test_a_received_message_is_hidden_and_then_redelivered(world: World) -> None:
    send(world, "x")
    [first] = receive(world)
    assert receive(world) == []
    world.wait(2.1)
    [again] = receive(world)
    assert again["MessageId"] == first["MessageId"]
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert again["Attributes"]["SentTimestamp"] == first["Attributes"]["SentTimestamp"]


def test_a_deleted_message_is_not_redelivered(world: World) -> None:
    send(world, "x")
    delete(world, receive(world)[0])
    world.wait(2.1)
    assert receive(world) == []


def test_a_second_deletion_succeeds(world: World, ministack_differs: Differs) -> None:
    ministack_differs("MiniStack refuses to delete a deleted message; on AWS the call succeeds")
    send(world, "x")
    [message] = receive(world)
    delete(world, message)
    delete(world, message)


def test_only_the_latest_receipt_handle_deletes(
    world: World, ministack_differs: Differs, moto_differs: Differs
) -> None:
    ministack_differs("MiniStack refuses an old receipt handle; on AWS the call succeeds and nothing happens")
    moto_differs("moto deletes with every receipt handle that the message ever had")
    send(world, "x")
    [old] = receive(world, VisibilityTimeout=0)
    [new] = receive(world, VisibilityTimeout=0)
    delete(world, old)
    assert len(receive(world, VisibilityTimeout=0)) == 1
    del new


def test_an_unknown_receipt_handle_is_refused(world: World) -> None:
    send(world, "x")
    url = world.stage.inventory_queue_url
    assert code(world.sqs.delete_message, QueueUrl=url, ReceiptHandle="x") == "ReceiptHandleIsInvalid"
    change = {"QueueUrl": url, "ReceiptHandle": "x", "VisibilityTimeout": 0}
    assert code(world.sqs.change_message_visibility, **change) == "ReceiptHandleIsInvalid"


def test_visibility_can_be_changed(world: World) -> None:
    send(world, "x")
    [message] = receive(world)
    change = {"QueueUrl": world.stage.inventory_queue_url, "ReceiptHandle": message["ReceiptHandle"]}
    world.sqs.change_message_visibility(**change, VisibilityTimeout=0)
    [message] = receive(world, VisibilityTimeout=1)
    change["ReceiptHandle"] = message["ReceiptHandle"]
    world.sqs.change_message_visibility(**change, VisibilityTimeout=60)
    world.wait(2.1)
    assert receive(world) == []


def test_the_visibility_of_a_message_not_in_flight_cannot_be_changed(
    world: World, ministack_differs: Differs, moto_differs: Differs
) -> None:
    ministack_differs("MiniStack hides a message that is visible again; AWS refuses to")
    moto_differs("moto hides a message that is visible again; AWS refuses to")
    send(world, "x")
    [message] = receive(world, VisibilityTimeout=0)
    change = {"QueueUrl": world.stage.inventory_queue_url, "ReceiptHandle": message["ReceiptHandle"]}
    assert refused(world.sqs.change_message_visibility, **change, VisibilityTimeout=5)


def test_each_entry_of_a_visibility_batch_succeeds_or_fails_alone(world: World) -> None:
    send(world, "x")
    [message] = receive(world)
    answer = world.sqs.change_message_visibility_batch(
        QueueUrl=world.stage.inventory_queue_url,
        Entries=[
            {"Id": "0", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0},
            {"Id": "1", "ReceiptHandle": "x", "VisibilityTimeout": 0},
        ],
    )
    assert answer["Successful"] == [{"Id": "0"}]
    assert [entry["Id"] for entry in answer["Failed"]] == ["1"]
    assert len(receive(world)) == 1


def test_a_message_goes_to_the_dlq_after_three_receives(world: World, moto_differs: Differs) -> None:
    moto_differs("moto has no attribute DeadLetterQueueSourceArn")
    send(world, "x")
    for count in ("1", "2", "3"):
        [message] = receive(world, VisibilityTimeout=0)
        assert message["Attributes"]["ApproximateReceiveCount"] == count
    assert receive(world, VisibilityTimeout=0) == []
    [dead] = receive(world, world.stage.dlq_url)
    assert dead["MessageId"] == message["MessageId"]
    assert dead["Body"] == "x"
    assert dead["Attributes"]["SentTimestamp"] == message["Attributes"]["SentTimestamp"]
    assert dead["Attributes"]["DeadLetterQueueSourceArn"].endswith("IMS-InventoryQueue")


def test_a_message_in_flight_does_not_go_to_the_dlq(world: World) -> None:
    send(world, "x")
    for _ in range(2):
        receive(world, VisibilityTimeout=0)
    [last] = receive(world, VisibilityTimeout=60)
    assert receive(world) == []
    assert receive(world, world.stage.dlq_url) == []
    delete(world, last)


def test_a_delayed_message_is_delivered_after_its_delay(world: World) -> None:
    world.sqs.send_message(QueueUrl=world.stage.inventory_queue_url, MessageBody="x", DelaySeconds=1)
    assert receive(world) == []
    world.wait(1.1)
    assert bodies(receive(world)) == {"x"}


def test_a_receive_returns_at_most_10_messages(world: World) -> None:
    send(world, *map(str, range(12)))
    first = receive(world)
    assert 1 <= len(first) <= 10
    assert len(receive(world, MaxNumberOfMessages=1)) == 1
    options = {"QueueUrl": world.stage.inventory_queue_url, "MaxNumberOfMessages": 11}
    assert code(world.sqs.receive_message, **options) == "InvalidParameterValue"


def test_each_entry_of_a_batch_is_sent_and_deleted_alone(world: World) -> None:
    url = world.stage.inventory_queue_url
    entries = [{"Id": str(i), "MessageBody": f"m{i}", "MessageAttributes": TYPE} for i in range(10)]
    answer = world.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert {entry["Id"] for entry in answer["Successful"]} == set(map(str, range(10)))
    assert answer["Successful"][0].keys() >= {"MessageId", "MD5OfMessageBody", "MD5OfMessageAttributes"}
    assert not answer.get("Failed")
    messages = receive(world)
    assert bodies(messages) == {f"m{i}" for i in range(10)}
    handles = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
    handles[3]["ReceiptHandle"] = "unknown"
    answer = world.sqs.delete_message_batch(QueueUrl=url, Entries=handles)
    assert {entry["Id"] for entry in answer["Successful"]} == {str(i) for i in range(10)} - {"3"}
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("3", "ReceiptHandleIsInvalid", True)


def test_an_invalid_entry_fails_alone(world: World, moto_differs: Differs) -> None:
    moto_differs(UNCHECKED_BODY)
    entries = [{"Id": "0", "MessageBody": "good"}, {"Id": "1", "MessageBody": "bad \x00"}]
    answer = world.sqs.send_message_batch(QueueUrl=world.stage.inventory_queue_url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["0"]
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("1", "InvalidMessageContents", True)


@pytest.mark.parametrize(
    ("ids", "sizes", "expected"),
    [
        ([], [], "EmptyBatchRequest"),
        (list(range(11)), [1] * 11, "TooManyEntriesInBatchRequest"),
        ([1, 1], [1, 1], "BatchEntryIdsNotDistinct"),
        (["a b"], [1], "InvalidBatchEntryId"),
        (["x" * 81], [1], "InvalidBatchEntryId"),
        ([1, 2], [MIB // 2, MIB // 2 + 1], "BatchRequestTooLong"),
    ],
)
def test_a_bad_batch_is_refused_as_a_whole(
    world: World, ids: list[Any], sizes: list[int], expected: str
) -> None:
    entries = [{"Id": str(i), "MessageBody": "x" * size} for i, size in zip(ids, sizes, strict=True)]
    url = world.stage.inventory_queue_url
    assert code(world.sqs.send_message_batch, QueueUrl=url, Entries=entries) == (
        f"AWS.SimpleQueueService.{expected}"
    )
    with pytest.raises(getattr(world.sqs.exceptions, expected)):
        world.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert receive(world) == []


def test_a_message_has_at_most_1_mib(world: World) -> None:
    url = world.stage.inventory_queue_url
    world.sqs.send_message(QueueUrl=url, MessageBody="x" * MIB)
    assert code(world.sqs.send_message, QueueUrl=url, MessageBody="x" * (MIB + 1)) == "InvalidParameterValue"


def test_attributes_count_towards_the_size(
    world: World, ministack_differs: Differs, moto_differs: Differs
) -> None:
    ministack_differs("MiniStack counts only the body")
    moto_differs(UNCHECKED_BODY)
    url = world.stage.inventory_queue_url
    request = {"QueueUrl": url, "MessageBody": "x" * MIB, "MessageAttributes": TYPE}
    assert code(world.sqs.send_message, **request) == "InvalidParameterValue"
    entries = [{"Id": "0", "MessageBody": "x" * MIB, "MessageAttributes": TYPE}]
    assert "BatchRequestTooLong" in code(world.sqs.send_message_batch, QueueUrl=url, Entries=entries)


@pytest.mark.parametrize(("body", "expected"), [("", "MissingParameter"), ("\x01", "InvalidMessageContents")])
def test_a_bad_body_is_refused(world: World, moto_differs: Differs, body: str, expected: str) -> None:
    moto_differs(UNCHECKED_BODY)
    url = world.stage.inventory_queue_url
    assert code(world.sqs.send_message, QueueUrl=url, MessageBody=body) == expected


def test_a_missing_queue_is_an_error(world: World) -> None:
    url = world.stage.inventory_queue_url + "-not"
    expected = "AWS.SimpleQueueService.NonExistentQueue"
    assert code(world.sqs.receive_message, QueueUrl=url) == expected
    assert code(world.sqs.send_message, QueueUrl=url, MessageBody="x") == expected
    error = refused(world.sqs.send_message, QueueUrl=url, MessageBody="x")["Error"]
    assert error["QueryErrorCode"] == "QueueDoesNotExist"


def test_a_purged_queue_is_empty(world: World) -> None:
    send(world, "x", "y")
    world.sqs.purge_queue(QueueUrl=world.stage.inventory_queue_url)
    assert receive(world) == []


def test_the_attributes_of_a_queue_report_its_messages(world: World) -> None:
    send(world, "x", "y", "z")
    receive(world, MaxNumberOfMessages=1)
    attributes = world.sqs.get_queue_attributes(
        QueueUrl=world.stage.inventory_queue_url, AttributeNames=["All"]
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "2"
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
    assert attributes["ApproximateNumberOfMessagesDelayed"] == "0"
    assert attributes["VisibilityTimeout"] == "2"
    assert attributes["QueueArn"].endswith("IMS-InventoryQueue")
    assert '"maxReceiveCount": 3' in attributes["RedrivePolicy"]


def test_parameters_of_the_wrong_type_are_refused_by_botocore(world: World) -> None:
    with pytest.raises(ParamValidationError):
        world.sqs.send_message(QueueUrl=world.stage.inventory_queue_url, MessageBody=1)
    with pytest.raises(ParamValidationError):
        world.sqs.send_message(QueueUrl=world.stage.inventory_queue_url, Body="x")
