import copy
import json
import re
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


def test_output_that_terraform_or_provider_6_refuses_is_removed(chalices: Template) -> None:
    rewritten = template.rewrite(chalices, "1.2.3")

    assert set(rewritten) == {"locals", "output", "resource"}
    assert set(rewritten["resource"]["aws_api_gateway_deployment"]["rest_api"]) == {
        "lifecycle",
        "rest_api_id",
    }
    text = json.dumps(rewritten)
    assert not [gone for gone in ("data.", "binary", "stage_name", "invoke_url", "null_") if gone in text]


def test_required_output_is_kept(chalices: Template) -> None:
    resources = template.rewrite(chalices, "1.2.3")["resource"]

    functions = resources["aws_lambda_function"]
    assert {name: function["handler"] for name, function in functions.items()} == {
        name: f"app.{name}" if name != "api_handler" else "app.app" for name in functions
    }
    assert all(function["architectures"] == ["arm64"] for function in functions.values())
    assert resources["aws_api_gateway_deployment"]["rest_api"]["lifecycle"] == {"create_before_destroy": True}
    assert resources["aws_api_gateway_rest_api"]["rest_api"]["endpoint_configuration"] == {
        "types": ["REGIONAL"]
    }


def test_each_function_is_named_by_its_key_in_the_root_module(chalices: Template) -> None:
    rewritten = template.rewrite(chalices, "1.2.3")
    names = rewritten["output"]["function_names"]["value"]

    assert rewritten["locals"]["packaged_functions"] == sorted(names)
    assert (
        names.items()
        >= {
            "api": "${aws_lambda_function.api_handler.function_name}",
            "authorizer": "${aws_lambda_function.authorizer.function_name}",
            "consumer": "${aws_lambda_function.on_sqs_message.function_name}",
        }.items()
    )


def test_the_package_has_its_version_as_output(chalices: Template) -> None:
    assert template.rewrite(chalices, "1.2.3")["output"]["version"]["value"] == "1.2.3"


@pytest.fixture(scope="module")
def with_one_more(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """What Chalice writes for this application with an empty function `one_more` and no other change."""
    project = tmp_path_factory.mktemp("project")
    package.copy_application(project, requirements=False)
    with (project / "app.py").open("a") as source:
        source.write(
            '\n\n@app.lambda_function(name="one_more")\n'
            "def one_more(event: dict[str, Any], context: Any) -> None:\n"
            '    """Do nothing."""\n'
        )
    return package.run_chalice(project, tmp_path_factory.mktemp("out"))


def test_a_new_function_is_complete_with_nothing_by_hand(with_one_more: Template) -> None:
    rewritten = template.rewrite(with_one_more, "1.2.3")
    (resources, output) = rewritten["resource"], rewritten["output"]
    function = resources["aws_lambda_function"]["one_more"]

    assert function.pop("runtime").startswith("python3.")
    assert function == {
        "architectures": ["arm64"],
        "environment": {"variables": '${var.functions["one_more"].environment}'},
        "filename": "${path.module}/deployment.zip",
        "function_name": '${var.functions["one_more"].name}',
        "handler": "app.one_more",
        "logging_config": {
            "application_log_level": "${var.log_level}",
            "log_format": "JSON",
            "log_group": '${var.functions["one_more"].log_group}',
            "system_log_level": "INFO",
        },
        "memory_size": '${var.functions["one_more"].memory_mb}',
        "publish": True,
        "reserved_concurrent_executions": '${var.functions["one_more"].reserved_concurrency}',
        "role": '${var.functions["one_more"].role_arn}',
        "source_code_hash": '${filebase64sha256("${path.module}/deployment.zip")}',
        "timeout": '${var.functions["one_more"].timeout_seconds}',
        "tracing_config": {"mode": "Active"},
    }
    assert resources["aws_lambda_alias"]["one_more"] == {
        "name": "live",
        "function_name": "${aws_lambda_function.one_more.function_name}",
        "function_version": "${aws_lambda_function.one_more.version}",
    }
    assert output["function_names"]["value"]["one_more"] == "${aws_lambda_function.one_more.function_name}"
    assert output["function_arns"]["value"]["one_more"] == "${aws_lambda_function.one_more.arn}"
    assert "one_more" in rewritten["locals"]["packaged_functions"]


def test_a_new_function_changes_nothing_about_the_others(chalices: Template, with_one_more: Template) -> None:
    before = template.rewrite(chalices, "1.2.3")
    after = template.rewrite(with_one_more, "1.2.3")
    for kind in ("aws_lambda_function", "aws_lambda_alias"):
        del after["resource"][kind]["one_more"]

    assert after["resource"] == before["resource"]
    assert after["locals"]["chalice_api_swagger"] == before["locals"]["chalice_api_swagger"]


def test_every_function_is_as_complete_as_a_new_one(with_one_more: Template) -> None:
    resources = template.rewrite(with_one_more, "1.2.3")["resource"]
    functions = resources["aws_lambda_function"]

    assert {frozenset(function) for function in functions.values()} == {frozenset(functions["one_more"])}
    assert set(resources["aws_lambda_alias"]) == set(functions)


def test_nothing_calls_by_alias(chalices: Template) -> None:
    resources = template.rewrite(chalices, "1.2.3")["resource"]
    del resources["aws_lambda_alias"]

    assert "aws_lambda_alias" not in json.dumps(resources)


def test_nothing_in_the_package_belongs_to_one_stage(chalices: Template) -> None:
    functions = template.rewrite(chalices, "1.2.3")["resource"]["aws_lambda_function"].values()

    for function in functions:
        settings = [function["function_name"], function["role"], function["environment"]["variables"]]
        assert all(value.startswith("${var.functions[") for value in settings)


def test_every_route_but_health_asks_for_a_token(chalices: Template) -> None:
    api = json.loads(template.rewrite(chalices, "1.2.3")["locals"]["chalice_api_swagger"])
    # A method without an operation of ours answers 405, to anybody.
    ours = {
        (path, method)
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == [{"authorizer": []}]
    }

    # Each of the 5 that GET reads has HEAD as well.
    assert len(ours) == 18 + 5
    assert {path for path, method in ours if method == "head"} == {
        path for path, method in ours if method == "get"
    }
    assert {"get", "head"} <= api["paths"]["/health"].keys()
    (authorizer,) = api["securityDefinitions"].values()
    assert authorizer["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"] == 60


def test_the_same_template_is_rewritten_to_the_same_text(chalices: Template) -> None:
    swagger = json.loads(chalices["locals"]["chalice_api_swagger"])
    shuffled = dict(reversed(swagger.items())) | {"paths": dict(reversed(swagger["paths"].items()))}
    other = copy.deepcopy(chalices)
    other["locals"]["chalice_api_swagger"] = json.dumps(shuffled)

    assert template.rewrite(chalices, "1.2.3") == template.rewrite(other, "1.2.3")


def _at(document: Template, path: str) -> Template:
    for key in path.split("/"):
        document = document[key]
    return document


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("", "module"),
        ("resource", "aws_sqs_queue"),
        ("resource/aws_lambda_function/authorizer", "layers"),
        # Variables are the root module's to say.
        ("resource/aws_lambda_function/authorizer", "environment"),
        # A trigger needs an override of its own.
        ("resource/aws_lambda_event_source_mapping", "other-sqs-event-source"),
        ("resource/aws_api_gateway_deployment/rest_api", "variables"),
        ("resource/aws_lambda_event_source_mapping/on_sqs_message-sqs-event-source", "scaling_config"),
        ("locals", "other"),
    ],
)
def test_unknown_output_stops_the_build_and_is_named(chalices: Template, where: str, key: str) -> None:
    (_at(chalices, where) if where else chalices)[key] = {}

    with pytest.raises(template.UnknownTemplate, match=rf"unknown \['{key}'\]"):
        template.rewrite(chalices, "1.2.3")


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("resource", "aws_lambda_permission"),
        ("resource/aws_lambda_function/api_handler", "role"),
        ("resource/aws_api_gateway_rest_api/rest_api", "binary_media_types"),
        ("locals", "chalice_api_swagger"),
    ],
)
def test_missing_output_stops_the_build_and_is_named(chalices: Template, where: str, key: str) -> None:
    del _at(chalices, where)[key]

    with pytest.raises(template.UnknownTemplate, match=rf"missing \['{key}'\]"):
        template.rewrite(chalices, "1.2.3")


@pytest.mark.parametrize(
    "reference", ["data.aws_region.chalice.name", "aws_lambda_function.other.arn", "aws_sqs_queue.other.arn"]
)
def test_a_reference_to_a_missing_resource_stops_the_build(chalices: Template, reference: str) -> None:
    _at(chalices, "resource/aws_lambda_permission/rest_api_invoke")["function_name"] = f"${{{reference}}}"

    with pytest.raises(template.UnknownTemplate, match=re.escape(reference)):
        template.rewrite(chalices, "1.2.3")


def test_a_function_that_a_trigger_calls_cannot_be_missing(chalices: Template) -> None:
    del _at(chalices, "resource/aws_lambda_function")["authorizer"]

    with pytest.raises(template.UnknownTemplate, match=r"aws_lambda_function\.authorizer"):
        template.rewrite(chalices, "1.2.3")


def test_two_functions_with_one_key_stop_the_build(chalices: Template) -> None:
    functions = _at(chalices, "resource/aws_lambda_function")
    functions["consumer"] = functions["on_sqs_message"]

    with pytest.raises(template.UnknownTemplate, match="same key"):
        template.rewrite(chalices, "1.2.3")


def test_an_error_of_chalice_is_reported(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import nothing_of_that_name\n")
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text(
        json.dumps({"app_name": "x", "stages": {"terraform": {}}})
    )

    with pytest.raises(package.ChaliceFailed, match="nothing_of_that_name"):
        package.run_chalice(tmp_path, tmp_path / "out")
