"""The calls that need a token, and which of them only read."""

import re

import app


def all_calls() -> list[tuple[str, str]]:
    """Method and path of every call that needs a token."""
    return sorted(
        (method, re.sub(r"{\w+}", "A-1", path))
        for path, methods in app.app.routes.items()
        for method, entry in methods.items()
        if entry.authorizer
    )


def is_read(method: str, path: str) -> bool:
    """Whether a call changes nothing."""
    return method in {"GET", "HEAD"} or (method, path) == ("POST", "/inventory/check")
