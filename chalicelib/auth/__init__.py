"""Who may call what."""

from typing import Any


def authorize(token: str, method_arn: str) -> dict[str, Any]:
    raise NotImplementedError
