"""Rewrites the Terraform JSON of Chalice for current versions of Terraform and the AWS provider.

Chalice 1.34 requires Terraform < 1.4 and provider < 5, and uses arguments that provider 6 has removed.
This module removes those. A loop gives every function that Chalice packs the arguments of its row in the root
module. The arguments of single triggers are in `terraform/chalice/chalice_override.tf`.
Anything unknown stops the build, so that no deployment lacks a part.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple


class UnknownTemplate(Exception):
    """Chalice's output does not have the structure that this module was written for."""


class Shape(NamedTuple):
    """What Chalice writes for one resource type: the names, the arguments to keep and those to drop."""

    names: frozenset[str] | None
    """None: any name."""
    kept: frozenset[str]
    dropped: frozenset[str] = frozenset()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SHAPES: Final = {
    "aws_lambda_function": Shape(
        names=None,
        kept=_set("architectures filename handler runtime source_code_hash"),
        # The root module sets these, except for the tags: they name Chalice's stage, and one package serves
        # every stage.
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
        # A JSON API has no binary bodies. With these types, API Gateway would encode many bodies as Base64.
        dropped=_set("binary_media_types"),
    ),
    "aws_api_gateway_deployment": Shape(
        names=_set("rest_api"),
        kept=_set("lifecycle rest_api_id"),
        # Provider 6 has removed these. The API's stage is a separate resource in the root module.
        dropped=_set("stage_description stage_name"),
    ),
}

KEYS: Final = {"api_handler": "api", "on_sqs_message": "consumer"}
"""The keys of functions in the root module, if they differ from the functions' names in Chalice."""

_TOP: Final = _set("data locals output resource terraform")
_SWAGGER: Final = _set("definitions info paths schemes securityDefinitions swagger")
_BINARY_TYPES: Final = "x-amazon-apigateway-binary-media-types"
_REFERENCE: Final = re.compile(r"\$\{([^}]+)\}")
_NOT_A_RESOURCE: Final = re.compile(r"var\.|path\.module|filebase64sha256\(|local\.chalice_api_swagger")


def rewrite(document: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the resources of `document`, Chalice's `chalice.tf.json`, without what no longer works.

    Each function is complete: settings, role, logs, traces, environment and alias. The outputs are the
    functions' names and ARNs, and `version`, the application's version. Versions of Terraform and data
    sources are left out. Raises `UnknownTemplate` if `document` contains anything unexpected, or lacks
    anything expected.
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
        raise UnknownTemplate(f"two functions have the same key: {keys}; rename one of them")
    for name, key in keys.items():
        functions[name] |= _settings(key)
    resources["aws_lambda_alias"] = {name: _alias(name) for name in keys}
    rewritten = {
        "locals": {
            "chalice_api_swagger": _swagger(document["locals"]),
            "packaged_functions": sorted(keys.values()),
        },
        "output": {
            "function_arns": {
                "description": "ARNs of the functions by their keys, for what calls them.",
                "value": {key: f"${{aws_lambda_function.{name}.arn}}" for name, key in keys.items()},
            },
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
            raise UnknownTemplate(f"Chalice refers to {reference!r}, which deploy/template.py leaves out")
    return rewritten


def _settings(key: str) -> dict[str, Any]:
    """The arguments that come from the row `key` of the root module."""

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
    """The alias `live` of the version that the last deployment published.

    API Gateway, the event source mapping and the permissions do not use the alias: they call the function,
    which runs its newest code. Calls by alias would be a separate decision (docs/decisions/0023).
    """
    return {
        "name": "live",
        "function_name": f"${{aws_lambda_function.{name}.function_name}}",
        "function_version": f"${{aws_lambda_function.{name}.version}}",
    }


def _swagger(local_values: dict[str, str]) -> str:
    """The API's definition with sorted keys, so that it changes only if the API changes."""
    _expect("locals", local_values, {"chalice_api_swagger"})
    swagger = json.loads(local_values["chalice_api_swagger"])
    _expect("the API's definition", swagger, _SWAGGER | {_BINARY_TYPES})
    del swagger[_BINARY_TYPES]
    return json.dumps(swagger, sort_keys=True)


def _resolves(reference: str, resources: Mapping[str, Collection[str]]) -> bool:
    """Whether `reference` leads to something in the module: one of `resources`, or a value."""
    kind, _, rest = reference.partition(".")
    return rest.partition(".")[0] in resources.get(kind, ()) or bool(_NOT_A_RESOURCE.match(reference))


def _expect(where: str, found: Collection[str], expected: Collection[str]) -> None:
    unknown, missing = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    if unknown or missing:
        raise UnknownTemplate(
            f"Chalice's output is not as expected in {where}: unknown {unknown}, missing {missing}."
            " Find out what changed, then adapt deploy/template.py or terraform/chalice/chalice_override.tf."
        )
