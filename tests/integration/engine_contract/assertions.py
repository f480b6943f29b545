"""Helpers to assert refusals and to write values."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refused(call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    """The `response` of the ClientError that the call must raise."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return dict(caught.value.response)


def code(call: Callable[..., Any], **parameters: Any) -> str:
    """The code of the ClientError that the call must raise."""
    return str(refused(call, **parameters)["Error"]["Code"])


def invalid(call: Callable[..., Any], **parameters: Any) -> str:
    """The message of the ValidationException that the call must raise."""
    error = refused(call, **parameters)["Error"]
    assert error["Code"] == "ValidationException"
    return str(error["Message"])


def n(number: object) -> dict[str, str]:
    return {"N": str(number)}


def s(text: str) -> dict[str, str]:
    return {"S": text}
