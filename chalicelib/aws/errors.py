"""botocore's errors become ours here, and nowhere else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from chalicelib.errors import AwsError, Reason, Refused, Throttled, TransactionCancelled, Unreachable

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
_THROTTLES: Final = frozenset(
    {
        "KmsThrottled",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "Throttling",
        "ThrottlingException",
        "TransactionConflictException",
    }
)

# With these codes every call fails, whatever its arguments.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html
_CALLER_FAULTS: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "NoCredentialsError",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    }
)


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn what botocore raises inside the block into an `AwsError`, with the original as its cause."""
    try:
        yield
    except ClientError as error:
        raise _translate(error) from error
    except (ConnectionError, HTTPClientError) as error:
        raise Unreachable(f"no response from AWS: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise Refused(f"the call could not be made: {type(error).__name__}", type(error).__name__) from error


def is_throttle(code: str) -> bool:
    """Whether AWS's error code, in any of its spellings, asks to slow down."""
    return code.rpartition("#")[2].rpartition(".")[2] in _THROTTLES


def is_passing(error: Exception) -> bool:
    """Whether a call that failed with `error` may succeed when it is retried."""
    if isinstance(error, TransactionCancelled):
        return error.retryable
    return isinstance(error, Throttled | Unreachable)


def is_caller_fault(error: Exception) -> bool:
    """Whether every call will fail as this one did: no permission, no credentials, no such table."""
    return isinstance(error, Refused) and error.code in _CALLER_FAULTS


def _translate(error: ClientError) -> AwsError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "TransactionCanceledException":
        return TransactionCancelled(
            [_reason(entry) for entry in error.response.get("CancellationReasons", ())]
        )
    if is_throttle(code):
        return Throttled(f"AWS throttled {error.operation_name}: {code}")
    # The first try of a transaction is still in progress: its outcome is not known yet.
    if status >= 500 or code == "TransactionInProgressException":
        return Unreachable(f"AWS failed at {error.operation_name}: {code or status}")
    return Refused(f"AWS refused {error.operation_name}: {code}", code)


def _reason(entry: Mapping[str, Any]) -> Reason:
    # "Item" is absent or empty where there is no such item.
    return Reason(code=entry.get("Code") or "None", item=entry.get("Item") or None)
