"""The engines' errors: botocore's own exception classes, with the content that AWS gives them."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.exceptions import ClientError


class Refusal(Exception):
    """A service's refusal, without the name of the operation that it refuses.

    `extra` holds the error's members other than code and message, such as `CancellationReasons`.
    """

    def __init__(
        self, code: str, message: str, *, status: int = 400, query_code: str = "", extra: Any = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.query_code = query_code
        self.extra: dict[str, Any] = extra or {}

    def as_client_error(self, operation: str) -> ClientError:
        """The exception that botocore raises for this refusal; `operation` is in PascalCase."""
        error = {"Message": self.message, "Code": self.code}
        if self.query_code:
            error |= {"QueryErrorCode": self.query_code, "Type": "Sender"}
        response = {"Error": error, "ResponseMetadata": metadata(self.status), **self.extra}
        return exception_class(self.query_code or self.code)(response, operation)  # type: ignore[arg-type]


class ConditionFailed(Refusal):
    """A condition was false; `item` is the stored item if it exists and the request asked for it."""

    def __init__(self, item: dict[str, Any] | None) -> None:
        extra = {"Item": item} if item is not None else {}
        super().__init__("ConditionalCheckFailedException", "The conditional request failed", extra=extra)


def invalid(message: str) -> Refusal:
    """A `ValidationException`."""
    return Refusal("ValidationException", message)


@cache
def exception_class(code: str) -> type[ClientError]:
    """The subclass of `ClientError` that `client.exceptions` has for the error code."""
    return type(code.rpartition(".")[2], (ClientError,), {})


class Exceptions:
    """`client.exceptions`: one class for each error of the service."""

    def __getattr__(self, name: str) -> type[ClientError]:
        if name.startswith("_"):
            raise AttributeError(name)
        return ClientError if name == "ClientError" else exception_class(name)


def metadata(status: int = 200) -> dict[str, Any]:
    """The `ResponseMetadata` of an answer."""
    return {"RequestId": "0" * 32, "HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0}
