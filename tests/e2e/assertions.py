"""Assertions about responses of the API."""

from local.client import Reply

MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def assert_problem(reply: Reply, status: int, code: str) -> None:
    """Assert that `reply` is problem details with this status and code."""
    assert (reply.status, reply.body["code"]) == (status, code)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert MEMBERS <= set(reply.body) <= MEMBERS | {"errors", "items", "reserved"}
    assert reply.body["status"] == status
    assert reply.body["request_id"]
