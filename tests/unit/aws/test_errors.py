from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from chalicelib.aws.errors import aws_errors
from chalicelib.errors import AwsError, Reason, Refused, Throttled, TransactionCancelled, Unreachable

URL = "https://aws.invalid/"


def client_error(code: str, status: int = 400, **extra: object) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "…"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response | extra, "SomeOperation")


def translated(error: Exception) -> AwsError:
    with pytest.raises(AwsError) as caught, aws_errors():
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "Throttling",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "TransactionConflictException",
        "RequestThrottled",
        "AWS.SimpleQueueService.RequestThrottled",
        "com.amazonaws.sqs#RequestThrottled",
        "KmsThrottled",
        "KMS.ThrottlingException",
    ],
)
def test_throttling_becomes_throttled(code: str) -> None:
    assert isinstance(translated(client_error(code)), Throttled)


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        EndpointConnectionError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        client_error("InternalServerError", 500),
        client_error("InternalFailure", 500),
        client_error("ServiceUnavailable", 503),
        client_error("", 502),
        client_error("TransactionInProgressException"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_errors_with_an_unknown_outcome_become_unreachable(error: Exception) -> None:
    assert isinstance(translated(error), Unreachable)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (client_error("ValidationException"), "ValidationException"),
        (client_error("AccessDeniedException"), "AccessDeniedException"),
        (client_error(""), ""),
        (ParamValidationError(report="…"), "ParamValidationError"),
        (NoCredentialsError(), "NoCredentialsError"),
        (BotoCoreError(), "BotoCoreError"),
    ],
)
def test_permanent_errors_become_refused_with_their_code(error: Exception, code: str) -> None:
    refused = translated(error)
    assert isinstance(refused, Refused)
    assert refused.code == code


def test_messages_of_aws_are_not_repeated_since_they_may_quote_the_request() -> None:
    error = client_error("ValidationException", Error={"Code": "ValidationException", "Message": "a secret"})
    assert "a secret" not in str(translated(error))


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(KeyError), aws_errors():
        raise KeyError


class TestTransactionCancelled:
    def cancelled(self, *reasons: Mapping[str, object]) -> TransactionCancelled:
        error = translated(client_error("TransactionCanceledException", CancellationReasons=list(reasons)))
        assert isinstance(error, TransactionCancelled)
        return error

    def test_a_cancellation_has_a_reason_for_each_action(self) -> None:
        item = {"sku": {"S": "A"}}
        error = self.cancelled(
            {"Code": "None"},
            {"Code": "ConditionalCheckFailed", "Item": item, "Message": "…"},
            {"Code": "ConditionalCheckFailed", "Item": {}},
            {"Code": "ConditionalCheckFailed"},
            {},
        )
        failed = "ConditionalCheckFailed"
        assert error.reasons == (
            Reason("None", None),
            Reason(failed, item),
            Reason(failed, None),
            Reason(failed, None),
            Reason("None", None),
        )

    @pytest.mark.parametrize(
        ("codes", "conflicted", "retryable"),
        [
            (["None", "ConditionalCheckFailed"], False, True),
            (["TransactionConflict", "None"], True, True),
            (["ConditionalCheckFailed", "TransactionConflict"], True, True),
            (["ThrottlingError"], True, True),
            (["ProvisionedThroughputExceeded"], True, True),
            (["ValidationError", "None"], False, False),
            (["ItemCollectionSizeLimitExceeded"], False, False),
            (["TransactionConflict", "ValidationError"], True, False),
        ],
    )
    def test_a_cancellation_says_whether_it_conflicted_and_may_be_retried(
        self, codes: list[str], conflicted: bool, retryable: bool
    ) -> None:
        error = self.cancelled(*({"Code": code} for code in codes))
        assert (error.conflicted, error.retryable) == (conflicted, retryable)
