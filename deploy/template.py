"""Makes the Terraform JSON that Chalice writes fit for today's Terraform and AWS provider.

Chalice 1.34 asks for Terraform < 1.4 and provider < 5, and uses arguments that provider 6 took away.
What is gone is dropped here, what has to be added stands in `terraform/chalice/chalice_override.tf`.
Anything that this module does not know stops the build: better than a deployment with a hole.
"""

import json
import re
from collections.abc import Collection
from typing import Any, Final, NamedTuple


class UnknownTemplate(Exception):
    """Chalice's output is not of the shape that this module was written for."""


class Shape(NamedTuple):
    """What Chalice writes for one type of resource: the names, the arguments kept and those dropped."""

    names: frozenset[str]
    kept: frozenset[str]
    dropped: frozenset[str] = frozenset()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SHAPES: Final = {
    "aws_lambda_function": Shape(
        names=_set("api_handler authorizer on_sqs_message"),
        kept=_set(
            "architectures environment filename function_name handler memory_size role runtime"
            " source_code_hash timeout"
        ),
        # They name Chalice's stage, but one package serves every environment.
        dropped=_set("tags"),
    ),
    "aws_lambda_event_source_mapping": Shape(
        names=_set("on_sqs_message-sqs-event-source"),
        kept=_set("batch_size event_source_arn function_name maximum_batching_window_in_seconds"),
    ),
    "aws_lambda_permission": Shape(
        names=_set("authorizer_invoke rest_api_invoke"),
        kept=_set("action function_name principal source_arn"),
    ),
    "aws_api_gateway_rest_api": Shape(
        names=_set("rest_api"),
        kept=_set("body endpoint_configuration name"),
        # A JSON API has no binary bodies, and with these API Gateway would encode many as Base64.
        dropped=_set("binary_media_types"),
    ),
    "aws_api_gateway_deployment": Shape(
        names=_set("rest_api"),
        kept=_set("lifecycle rest_api_id"),
        # Gone since provider 6: the stage is a resource of its own, in the root module.
        dropped=_set("stage_description stage_name"),
    ),
}

_TOP: Final = _set("data locals output resource terraform")
_SWAGGER: Final = _set("definitions info paths schemes securityDefinitions swagger")
_BINARY_TYPES: Final = "x-amazon-apigateway-binary-media-types"
_REFERENCE: Final = re.compile(r"\$\{([^}]+)\}")
_RESOLVABLE: Final = re.compile(
    r"var\.|path\.module|filebase64sha256\(|local\.chalice_api_swagger"
    r"|aws_lambda_function\.|aws_api_gateway_rest_api\."
)


def rewrite(document: dict[str, Any]) -> dict[str, Any]:
    """Return the resources of `document`, Chalice's `chalice.tf.json`, without what no longer works.

    Versions, data sources and outputs are left out: the module around it has its own.
    Raises `UnknownTemplate` if anything is there that is not expected, or missing that is.
    """
    _expect("the template", document, _TOP)
    resources = document["resource"]
    _expect("resource types", resources, SHAPES)
    for kind, shape in SHAPES.items():
        _expect(kind, resources[kind], shape.names)
        for name, arguments in resources[kind].items():
            _expect(f"{kind}.{name}", arguments, shape.kept | shape.dropped)
    rewritten = {
        "locals": {"chalice_api_swagger": _swagger(document["locals"])},
        "resource": {
            kind: {
                name: {key: arguments[key] for key in arguments if key in shape.kept}
                for name, arguments in resources[kind].items()
            }
            for kind, shape in SHAPES.items()
        },
    }
    for reference in _REFERENCE.findall(json.dumps(rewritten)):
        if not _RESOLVABLE.match(reference):
            raise UnknownTemplate(f"Chalice refers to {reference!r}, which this module leaves out")
    return rewritten


def _swagger(local_values: dict[str, str]) -> str:
    """The API's definition, its keys sorted, so that it changes only when the API does."""
    _expect("locals", local_values, {"chalice_api_swagger"})
    swagger = json.loads(local_values["chalice_api_swagger"])
    _expect("the API's definition", swagger, _SWAGGER | {_BINARY_TYPES})
    del swagger[_BINARY_TYPES]
    return json.dumps(swagger, sort_keys=True)


def _expect(where: str, found: Collection[str], expected: Collection[str]) -> None:
    unknown, missing = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    if unknown or missing:
        raise UnknownTemplate(
            f"Chalice's output is not as expected in {where}: unknown {unknown}, missing {missing}."
            " Look what changed, then teach deploy/template.py or terraform/chalice/chalice_override.tf."
        )
