import copy
import json
from pathlib import Path
from typing import Any

import pytest

from deploy import package, template

Template = dict[str, Any]


@pytest.fixture(scope="module")
def written_by_chalice(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """What Chalice really writes for this application, packed without its dependencies."""
    project = tmp_path_factory.mktemp("project")
    package.copy_application(project, requirements=False)
    return package.run_chalice(project, tmp_path_factory.mktemp("out"))


@pytest.fixture
def chalices(written_by_chalice: Template) -> Template:
    """Chalice's template, to change at will."""
    return copy.deepcopy(written_by_chalice)


def test_what_provider_6_and_todays_terraform_refuse_is_gone(chalices: Template) -> None:
    rewritten = template.rewrite(chalices)

    assert set(rewritten) == {"locals", "resource"}
    assert set(rewritten["resource"]["aws_api_gateway_deployment"]["rest_api"]) == {
        "lifecycle",
        "rest_api_id",
    }
    text = json.dumps(rewritten)
    assert not [gone for gone in ("data.", "binary", "stage_name", "invoke_url", "null_") if gone in text]


def test_what_matters_is_kept(chalices: Template) -> None:
    resources = template.rewrite(chalices)["resource"]

    functions = resources["aws_lambda_function"]
    assert {name: function["handler"] for name, function in functions.items()} == {
        "api_handler": "app.app",
        "authorizer": "app.authorizer",
        "on_sqs_message": "app.on_sqs_message",
    }
    assert all(function["architectures"] == ["arm64"] for function in functions.values())
    assert resources["aws_api_gateway_deployment"]["rest_api"]["lifecycle"] == {"create_before_destroy": True}
    assert resources["aws_api_gateway_rest_api"]["rest_api"]["endpoint_configuration"] == {
        "types": ["REGIONAL"]
    }


def test_each_function_gets_the_environment_that_it_reads_and_no_other(chalices: Template) -> None:
    functions = template.rewrite(chalices)["resource"]["aws_lambda_function"]
    stock = {
        "PRODUCT_TABLE_NAME",
        "INVENTORY_TABLE_NAME",
        "PROCESSED_EVENTS_TABLE_NAME",
        "RECORD_TTL_DAYS",
        "POWERTOOLS_SERVICE_NAME",
    }

    assert {name: set(function["environment"]["variables"]) for name, function in functions.items()} == {
        "api_handler": stock,
        "authorizer": {"AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_JWKS_URL", "POWERTOOLS_SERVICE_NAME"},
        "on_sqs_message": stock | {"OMS_EVENTS_QUEUE_URL"},
    }


def test_nothing_in_the_package_belongs_to_one_environment(chalices: Template) -> None:
    functions = template.rewrite(chalices)["resource"]["aws_lambda_function"].values()

    settings = [value for function in functions for value in function["environment"]["variables"].values()]
    assert all(value.startswith("${var.") for value in [*settings, *(f["role"] for f in functions)])


def test_every_route_but_health_asks_for_a_token(chalices: Template) -> None:
    api = json.loads(template.rewrite(chalices)["locals"]["chalice_api_swagger"])
    # A method without an operation of ours answers 405, to anybody.
    ours = {
        (path, method)
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == [{"authorizer": []}]
    }

    assert len(ours) == 11
    assert ("/health", "get") not in ours
    assert "get" in api["paths"]["/health"]
    (authorizer,) = api["securityDefinitions"].values()
    assert authorizer["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"] == 60


def test_the_same_template_is_rewritten_to_the_same_text(chalices: Template) -> None:
    swagger = json.loads(chalices["locals"]["chalice_api_swagger"])
    shuffled = dict(reversed(swagger.items())) | {"paths": dict(reversed(swagger["paths"].items()))}
    other = copy.deepcopy(chalices)
    other["locals"]["chalice_api_swagger"] = json.dumps(shuffled)

    assert template.rewrite(chalices) == template.rewrite(other)


def _at(document: Template, path: str) -> Template:
    for key in path.split("/"):
        document = document[key]
    return document


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("", "module"),
        ("resource", "aws_sqs_queue"),
        ("resource/aws_lambda_function", "on_timer"),
        ("resource/aws_lambda_function/authorizer", "layers"),
        ("resource/aws_api_gateway_deployment/rest_api", "variables"),
        ("resource/aws_lambda_event_source_mapping/on_sqs_message-sqs-event-source", "scaling_config"),
        ("locals", "other"),
    ],
)
def test_what_is_not_known_stops_the_build_by_name(chalices: Template, where: str, key: str) -> None:
    (_at(chalices, where) if where else chalices)[key] = {}

    with pytest.raises(template.UnknownTemplate, match=rf"unknown \['{key}'\]"):
        template.rewrite(chalices)


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("resource", "aws_lambda_permission"),
        ("resource/aws_lambda_function", "authorizer"),
        ("resource/aws_lambda_function/api_handler", "role"),
        ("resource/aws_api_gateway_rest_api/rest_api", "binary_media_types"),
        ("locals", "chalice_api_swagger"),
    ],
)
def test_what_is_missing_stops_the_build_by_name(chalices: Template, where: str, key: str) -> None:
    del _at(chalices, where)[key]

    with pytest.raises(template.UnknownTemplate, match=rf"missing \['{key}'\]"):
        template.rewrite(chalices)


def test_a_reference_to_what_is_left_out_stops_the_build(chalices: Template) -> None:
    function = _at(chalices, "resource/aws_lambda_function/authorizer")
    function["environment"]["variables"]["HERE"] = "${data.aws_region.chalice.name}"

    with pytest.raises(template.UnknownTemplate, match=r"data\.aws_region\.chalice\.name"):
        template.rewrite(chalices)


def test_what_chalice_complains_about_is_shown(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import nothing_of_that_name\n")
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text(
        json.dumps({"app_name": "x", "stages": {"terraform": {}}})
    )

    with pytest.raises(package.ChaliceFailed, match="nothing_of_that_name"):
        package.run_chalice(tmp_path, tmp_path / "out")
