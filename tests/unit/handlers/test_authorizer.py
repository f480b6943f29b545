import re
from typing import Any

import pytest

from chalicelib.handlers.authorizer import opened, policy
from tests.support.calls import all_calls, is_read

API = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/live"
READ = ["inventory:read"]
WRITE = ["inventory:write"]


def matches(pattern: str, arn: str) -> bool:
    """Match as IAM does: `*` is any characters, slashes included, `?` is any one."""
    regex = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(regex, arn) is not None


def allows(document: dict[str, Any], method: str, path: str) -> bool:
    """Evaluate a policy as IAM does: a Deny that matches takes precedence, else an Allow must match."""
    effects = {
        statement["Effect"]
        for statement in document["Statement"]
        for resource in statement["Resource"]
        if statement["Action"] == "execute-api:Invoke" and matches(resource, f"{API}/{method}{path}")
    }
    return effects == {"Allow"}


def document_for(scopes: list[str], asked: tuple[str, str]) -> dict[str, Any]:
    arn = f"{API}/{asked[0]}{asked[1]}"
    document: dict[str, Any] = policy("clerk", opened(scopes), arn)["policyDocument"]
    return document


def test_app_has_calls_of_both_kinds() -> None:
    assert {is_read(*call) for call in all_calls()} == {True, False}


@pytest.mark.parametrize("asked", all_calls())
def test_cached_policy_of_a_reader_allows_reads_only(asked: tuple[str, str]) -> None:
    document = document_for(READ, asked)
    assert [call for call in all_calls() if allows(document, *call)] == [
        call for call in all_calls() if is_read(*call)
    ]


@pytest.mark.parametrize("asked", all_calls())
@pytest.mark.parametrize("scopes", [WRITE, WRITE + READ])
def test_cached_policy_of_a_writer_allows_every_call(scopes: list[str], asked: tuple[str, str]) -> None:
    document = document_for(scopes, asked)
    assert [call for call in all_calls() if allows(document, *call)] == all_calls()


@pytest.mark.parametrize(
    "scopes", [[], ["openid"], ["inventory"], ["inventory:readwrite"], ["INVENTORY:READ"]]
)
def test_policy_without_a_known_scope_denies_every_call_explicitly(scopes: list[str]) -> None:
    document = document_for(scopes, ("GET", "/products"))
    assert [call for call in all_calls() if allows(document, *call)] == []
    assert [statement["Effect"] for statement in document["Statement"]] == ["Deny"]
    assert document["Statement"][0]["Resource"] == [f"{API}/*/*"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/inventory/check/adjustments"),
        ("POST", "/inventory/checks"),
        ("POST", "/GET/inventory/check"),
        ("PUT", "/inventory/check"),
        ("DELETE", "/products/GET"),
        ("POST", "/HEAD/products"),
    ],
)
def test_policy_of_a_reader_does_not_allow_calls_that_only_look_like_reads(method: str, path: str) -> None:
    assert not allows(document_for(READ, ("GET", "/products")), method, path)


@pytest.mark.parametrize("scopes", [READ, WRITE, []])
def test_policy_is_limited_to_the_api_and_stage_of_the_call(scopes: list[str]) -> None:
    (statement,) = document_for(scopes, ("GET", "/products"))["Statement"]
    assert statement["Resource"]
    assert all(resource.startswith(f"{API}/") for resource in statement["Resource"])


def test_response_has_the_principal_and_a_new_context() -> None:
    first = policy("clerk", opened(READ), f"{API}/GET/products")
    first["context"]["principalId"] = "as Chalice's local gateway adds it"
    second = policy("clerk", opened(READ), f"{API}/GET/products")
    assert second["principalId"] == "clerk"
    assert second["context"] == {}
