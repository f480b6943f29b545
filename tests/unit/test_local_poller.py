from typing import Any

import pytest

from local.poller import failed_ids, sqs_record

IDS = {"a", "b"}
ARN = "arn:aws:sqs:eu-central-1:000000000000:IMS-InventoryQueue"


@pytest.mark.parametrize("response", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_an_empty_response_means_that_all_succeeded(response: object) -> None:
    assert set(failed_ids(response, IDS)) == set()


def test_the_named_messages_failed() -> None:
    assert set(failed_ids({"batchItemFailures": [{"itemIdentifier": "b"}]}, IDS)) == {"b"}


@pytest.mark.parametrize(
    "response",
    [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"messageId": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "unknown"}]},
        {"batchItemFailures": "a"},
        {"batchItemFailures": 1},
        ["a"],
        "a",
    ],
)
def test_an_invalid_response_means_that_all_failed(response: object) -> None:
    assert set(failed_ids(response, IDS)) == IDS


def test_a_record_has_the_shape_that_lambda_passes() -> None:
    attributes: Any = {"SentTimestamp": "1700000000000", "ApproximateReceiveCount": "2"}
    made = sqs_record(
        {
            "MessageId": "id",
            "ReceiptHandle": "handle",
            "Body": "{}",
            "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
            "Attributes": attributes,
            "MessageAttributes": {
                "type": {"StringValue": "ReserveInventory", "DataType": "String"},
                "raw": {"BinaryValue": b"\x00\xff", "DataType": "Binary"},
            },
        },
        ARN,
    )
    lists: dict[str, list[Any]] = {"stringListValues": [], "binaryListValues": []}
    assert made == {
        "messageId": "id",
        "receiptHandle": "handle",
        "body": "{}",
        "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
        "attributes": attributes,
        "messageAttributes": {
            "type": {"stringValue": "ReserveInventory", "dataType": "String", **lists},
            "raw": {"binaryValue": "AP8=", "dataType": "Binary", **lists},
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
        "awsRegion": "eu-central-1",
    }
