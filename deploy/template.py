"""Makes the Terraform JSON that Chalice writes fit for today's Terraform and AWS provider.

Chalice 1.34 asks for Terraform < 1.4 and provider < 5, and uses arguments that provider 6 took away.
What is gone is dropped here. Every function that Chalice packs gets its arguments from its row in the root
module, by a loop. What belongs to one trigger stands in `terraform/chalice/chalice_override.tf`.
Anything that this module does not know stops the build: better than a deployment with a hole.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple


class UnknownTemplate(Exception):
    """Chalice's output is not of the shape that this module was written for."""


class Shape(NamedTuple):
    """What Chalice writes for one type of resource: the names, the arguments kept and those dropped."""

    names: frozenset[str] | None
    """None: any names."""
    kept: frozenset[str]
    dropped: frozenset[str] = frozenset()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SHAPES: Final = {
    "aws_lambda_function": Shape(
        names=None,
        kept=_set("architectures filename handler runtime source_code_hash"),
        # They are the root module's to say, but for the tags: those name Chalice's stage, and one package
        # serves every environment.
        dropped=_set("function_name memory_size role tags timeout"),
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

KEYS: Final = {"api_handler": "api", "on_sqs_message": "consumer"}
"""The keys of functions in the root module, where they are not the functions' names in Chalice."""

_TOP: Final = _set("data locals output resource terraform")
_SWAGGER: Final = _set("definitions info paths schemes securityDefinitions swagger")
_BINARY_TYPES: Final = "x-amazon-apigateway-binary-media-types"
_REFERENCE: Final = re.compile(r"\$\{([^}]+)\}")
_NOT_A_RESOURCE: Final = re.compile(r"var\.|path\.module|filebase64sha256\(|local\.chalice_api_swagger")


def rewrite(document: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the resources of `document`, Chalice's `chalice.tf.json`, without what no longer works.

    Each function is complete: settings, role, logs, traces, environment and alias. Outputs are the functions'
    names and `version`, the application's; versions of Terraform and data sources are left out.
    Raises `UnknownTemplate` if anything is there that is not expected, or missing that is.
    """
    _expect("the template", document, _TOP)
    found = document["resource"]
    _expect("resource types", found, SHAPES)
    for kind, shape in SHAPES.items():
        if shape.names is not None:
            _expect(kind, found[kind], shape.names)
        for name, arguments in found[kind].items():
            _expect(f"{kind}.{name}", arguments, shape.kept | shape.dropped)
    resources: dict[str, dict[str, Any]] = {
        kind: {
            name: {key: arguments[key] for key in arguments if key in shape.kept}
            for name, arguments in found[kind].items()
        }
        for kind, shape in SHAPES.items()
    }
    functions = resources["aws_lambda_function"]
    keys = {name: KEYS.get(name, name) for name in sorted(functions)}
    if len(set(keys.values())) < len(keys):
        raise UnknownTemplate(f"two functions have the same key: {keys}; give one another name")
    for name, key in keys.items():
        functions[name] |= _settings(key)
    resources["aws_lambda_alias"] = {name: _alias(name) for name in keys}
    rewritten = {
        "locals": {
            "chalice_api_swagger": _swagger(document["locals"]),
            "packaged_functions": sorted(keys.values()),
        },
        "output": {
            "function_names": {
                "description": "Names of the functions by their keys.",
                "value": {
                    key: f"${{aws_lambda_function.{name}.function_name}}" for name, key in keys.items()
                },
            },
            "version": {"description": "Version of the application in the package.", "value": version},
        },
        "resource": resources,
    }
    for reference in _REFERENCE.findall(json.dumps(rewritten)):
        if not _resolves(reference, resources):
            raise UnknownTemplate(f"Chalice refers to {reference!r}, which this module leaves out")
    return rewritten


def _settings(key: str) -> dict[str, Any]:
    """The arguments that the root module's row `key` decides."""

    def setting(name: str) -> str:
        return f'${{var.functions["{key}"].{name}}}'

    return {
        "function_name": setting("name"),
        "role": setting("role_arn"),
        "memory_size": setting("memory_mb"),
        "timeout": setting("timeout_seconds"),
        "reserved_concurrent_executions": setting("reserved_concurrency"),
        "environment": {"variables": setting("environment")},
        "logging_config": {
            "log_format": "JSON",
            "log_group": setting("log_group"),
            "application_log_level": "${var.log_level}",
            "system_log_level": "INFO",
        },
        "tracing_config": {"mode": "Active"},
        "publish": True,
    }


def _alias(name: str) -> dict[str, str]:
    """The alias `live`: it names the version that the last deployment published.

    API Gateway, the event source mapping and the permissions go by the function itself, its newest code: who
    calls by alias, and what a deployment then shifts, is a decision of its own (docs/decisions/0023).
    """
    return {
        "name": "live",
        "function_name": f"${{aws_lambda_function.{name}.function_name}}",
        "function_version": f"${{aws_lambda_function.{name}.version}}",
    }


def _swagger(local_values: dict[str, str]) -> str:
    """The API's definition, its keys sorted, so that it changes only when the API does."""
    _expect("locals", local_values, {"chalice_api_swagger"})
    swagger = json.loads(local_values["chalice_api_swagger"])
    _expect("the API's definition", swagger, _SWAGGER | {_BINARY_TYPES})
    del swagger[_BINARY_TYPES]
    return json.dumps(swagger, sort_keys=True)


def _resolves(reference: str, resources: Mapping[str, Collection[str]]) -> bool:
    """Whether `reference` is to something in the module: one of `resources` by type and name, or a value."""
    kind, _, rest = reference.partition(".")
    return rest.partition(".")[0] in resources.get(kind, ()) or bool(_NOT_A_RESOURCE.match(reference))


def _expect(where: str, found: Collection[str], expected: Collection[str]) -> None:
    unknown, missing = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    if unknown or missing:
        raise UnknownTemplate(
            f"Chalice's output is not as expected in {where}: unknown {unknown}, missing {missing}."
            " Look what changed, then teach deploy/template.py or terraform/chalice/chalice_override.tf."
        )
