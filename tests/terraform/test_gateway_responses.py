import json

import pytest

from chalicelib.api.problems import INTERNAL, Problem, document
from local import gateway
from tests.terraform.conftest import Resources


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
    planned: Resources, kind: str, problem: Problem
) -> None:
    (api,) = (r["values"] for r in planned if r["type"] == "aws_api_gateway_rest_api")
    response = json.loads(api["body"])["x-amazon-apigateway-gateway-responses"][kind]
    body = json.loads(response["responseTemplates"]["application/json"])

    assert body == document(problem, body["detail"], "$context.requestId").model_dump(exclude_defaults=True)
    assert response["statusCode"] == str(problem.status)
