import json
from typing import Any

import pytest
from botocore.loaders import Loader

from chalicelib.api.problems import INTERNAL, Problem, document
from local import gateway
from tests.terraform.conftest import Resources

DETAILS = {
    "ACCESS_DENIED": "The bearer token lacks the scope for this call.",
    "INVALID_API_KEY": "A valid API key is required.",
    "WAF_FILTERED": "A firewall refused the request.",
    "UNAUTHORIZED": "A valid bearer token is required.",
    "BAD_REQUEST_BODY": "The body of the request is not valid.",
    "BAD_REQUEST_PARAMETERS": "A path, query or header parameter is missing or not valid.",
    "THROTTLED": "Too many requests; try again later.",
    "QUOTA_EXCEEDED": "The quota of the API key is used up.",
    "INTEGRATION_FAILURE": "No response from the function; the request may have taken effect.",
    "INTEGRATION_TIMEOUT": "No response in time; the request may have taken effect.",
}
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
STATUSES = {
    "API_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_FAILURE": "500",
    "ACCESS_DENIED": "403",
    "BAD_REQUEST_BODY": "400",
    "BAD_REQUEST_PARAMETERS": "400",
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
    "INTEGRATION_FAILURE": "504",
    "INTEGRATION_TIMEOUT": "504",
    "INVALID_API_KEY": "403",
    "QUOTA_EXCEEDED": "429",
    "REQUEST_TOO_LARGE": "413",
    "RESOURCE_NOT_FOUND": "404",
    "THROTTLED": "429",
    "UNAUTHORIZED": "401",
    "UNSUPPORTED_MEDIA_TYPE": "415",
    "WAF_FILTERED": "403",
}
"""The default status of each type. Those of AWS signatures, 403, are not here: we answer 404."""
SIGNATURES = {"EXPIRED_TOKEN", "INVALID_SIGNATURE", "MISSING_AUTHENTICATION_TOKEN"}


@pytest.fixture
def responses(planned: Resources) -> dict[str, Any]:
    (api,) = (r["values"] for r in planned if r["type"] == "aws_api_gateway_rest_api")
    found: dict[str, Any] = json.loads(api["body"])["x-amazon-apigateway-gateway-responses"]
    return found


def body(response: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(response["responseTemplates"]["application/json"])
    return document


def test_every_type_of_gateway_response_is_ours(responses: dict[str, Any]) -> None:
    types = Loader().load_service_model("apigateway", "service-2")["shapes"]["GatewayResponseType"]["enum"]
    assert responses.keys() == set(types) == STATUSES.keys() | SIGNATURES


def test_the_status_is_that_of_api_gateway(responses: dict[str, Any]) -> None:
    assert {kind: responses[kind].get("statusCode") for kind in STATUSES} == STATUSES


def test_a_type_has_the_detail_of_its_own_reason(responses: dict[str, Any]) -> None:
    assert {kind: body(responses[kind])["detail"] for kind in DETAILS} == DETAILS


def test_only_throttling_ends_within_a_second(responses: dict[str, Any]) -> None:
    header = "gatewayresponse.header.Retry-After"
    assert [kind for kind, each in responses.items() if header in each["responseParameters"]] == ["THROTTLED"]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("UNAUTHORIZED", gateway.UNAUTHORIZED),
        ("ACCESS_DENIED", gateway.FORBIDDEN),
        ("MISSING_AUTHENTICATION_TOKEN", gateway.NOT_FOUND),
        ("AUTHORIZER_FAILURE", INTERNAL),
    ],
)
def test_api_gateway_answers_what_the_local_gateway_answers(
    responses: dict[str, Any], kind: str, problem: Problem
) -> None:
    answer = body(responses[kind])
    assert answer == document(problem, answer["detail"], "$context.requestId").model_dump(
        exclude_defaults=True
    )
    assert responses[kind]["statusCode"] == str(problem.status)
