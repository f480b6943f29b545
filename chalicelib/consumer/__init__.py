"""The consumer of the inventory queue."""

from typing import Any


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    raise NotImplementedError
