import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest

from local.client import Api
from tests.e2e.assertions import assert_problem
from tests.e2e.conftest import Clients


def with_claims(token: str, header: dict[str, str] | None = None, **claims: object) -> str:
    """`token` with other claims or another header, but the same signature."""
    parts = token.split(".")
    if header:
        parts[0] = _encode(json.dumps({**_decode(parts[0]), **header}).encode())
    parts[1] = _encode(json.dumps({**_decode(parts[1]), **claims}).encode())
    return ".".join(parts)


def _decode(part: str) -> dict[str, object]:
    content: dict[str, object] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return content


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def test_health_needs_no_token(clients: Clients) -> None:
    health = clients.anonymous.call("GET", "/health")
    assert (health.status, health.body) == (200, {"status": "ok", "version": health.body["version"]})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/products"),
        ("POST", "/products"),
        ("GET", "/products/A"),
        ("PATCH", "/products/A"),
        ("DELETE", "/products/A"),
        ("GET", "/inventory"),
        ("POST", "/inventory/check"),
        ("GET", "/inventory/A"),
        ("PUT", "/inventory/A"),
        ("PATCH", "/inventory/A"),
        ("POST", "/inventory/A/adjustments"),
        ("POST", "/inventory/A/counts"),
        ("POST", "/reservations"),
        ("GET", "/reservations/A"),
        ("POST", "/reservations/A/confirm"),
        ("POST", "/reservations/A/extend"),
        ("POST", "/reservations/A/fulfill"),
        ("POST", "/reservations/A/release"),
    ],
)
def test_every_other_route_needs_a_token(clients: Clients, method: str, path: str) -> None:
    body: dict[str, Any] | None = {} if method in ("POST", "PUT", "PATCH") else None
    assert_problem(clients.anonymous.call(method, path, body), 401, "UNAUTHORIZED")


def test_a_changed_token_is_refused(clients: Clients) -> None:
    good = clients.reader.token
    head, payload, signature = good.split(".")
    for bad in (
        with_claims(good, scope="inventory:read inventory:write"),
        with_claims(good, exp=4_000_000_000),
        with_claims(good, header={"alg": "none"}).rpartition(".")[0] + ".",
        with_claims(good, header={"alg": "HS256"}),
        f"{head}.{payload}.",
        f"{head}.{payload}",
        f"{head}.{payload}.{signature[:-8]}AAAAAAAA",
        "x",
        "a.b.c",
    ):
        assert_problem(Api(clients.reader.url, bad).call("GET", "/products?limit=1"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "bearer", "Bearer  ", "Token x"])
def test_other_schemes_than_bearer_are_refused(clients: Clients, header: str) -> None:
    reply = clients.anonymous.call("GET", "/products", Authorization=header)
    assert_problem(reply, 401, "UNAUTHORIZED")


def test_a_read_token_allows_reads_only(reader: Api) -> None:
    for path in ("/products?limit=1", "/inventory?limit=1"):
        assert reader.call("GET", path).status == 200
    for path in ("/products/NO-SUCH", "/inventory/NO-SUCH", "/reservations/no-such"):
        assert_problem(reader.call("GET", path), 404, "NOT_FOUND")
    check = {"items": [{"sku": "NO-SUCH", "quantity": 1}]}
    assert reader.call("POST", "/inventory/check", check).status == 200
    for method, path in (
        ("POST", "/products"),
        ("PATCH", "/products/A"),
        ("DELETE", "/products/A"),
        ("PUT", "/inventory/A"),
        ("PATCH", "/inventory/A"),
        ("POST", "/inventory/A/adjustments"),
        ("POST", "/inventory/A/counts"),
    ):
        assert_problem(reader.call(method, path, {}), 403, "FORBIDDEN")


def test_a_write_token_allows_every_call(writer: Api) -> None:
    assert writer.call("GET", "/products?limit=1").status == 200
    assert_problem(writer.call("POST", "/products", {}), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("path", ["/", "/nope", "/products/A/B", "/inventory/A/adjustments/B"])
def test_an_unknown_route_is_404(writer: Api, path: str) -> None:
    assert_problem(writer.call("GET", path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/products", {"GET", "HEAD", "POST"}),
        ("POST", "/products/A", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("DELETE", "/inventory", {"GET", "HEAD"}),
        ("PUT", "/inventory/check", {"POST"}),
        ("DELETE", "/inventory/A", {"GET", "HEAD", "PUT", "PATCH"}),
        ("GET", "/inventory/A/adjustments", {"POST"}),
        ("PUT", "/inventory/A/counts", {"POST"}),
        ("DELETE", "/reservations/A", {"GET", "HEAD"}),
        ("GET", "/reservations", {"POST"}),
        ("PUT", "/reservations/A/confirm", {"POST"}),
        ("OPTIONS", "/products", {"GET", "HEAD", "POST"}),
    ],
)
def test_an_unsupported_method_is_405(writer: Api, method: str, path: str, allowed: set[str]) -> None:
    reply = writer.call(method, path)
    assert_problem(reply, 405, "METHOD_NOT_ALLOWED")
    assert set(reply.headers["Allow"].split(", ")) == allowed


def test_head_is_open_to_readers_and_has_what_get_has_but_the_body(reader: Api) -> None:
    for path, status in (("/products", 200), ("/inventory", 200), ("/products/no-such-sku", 404)):
        got, head = reader.call("GET", path), reader.call("HEAD", path)
        assert (got.status, head.status, head.body) == (status, status, None)
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert head.headers.get("Content-Length") in (None, got.headers["Content-Length"])


def test_a_head_that_is_refused_has_no_body(writer: Api) -> None:
    assert writer.call("HEAD", "/inventory/check").status == 405


def test_a_body_over_ten_megabytes_is_413(writer: Api) -> None:
    reply = writer.call("POST", "/products", b" " * (10 * 1024 * 1024 + 1))
    assert_problem(reply, 413, "REQUEST_TOO_LARGE")
