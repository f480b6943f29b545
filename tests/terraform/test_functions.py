from typing import Any

from tests.terraform.conftest import Resources

STOCK = {
    "PRODUCT_TABLE_NAME",
    "INVENTORY_TABLE_NAME",
    "PROCESSED_EVENTS_TABLE_NAME",
    "OUTBOX_TABLE_NAME",
    "RECORD_TTL_DAYS",
    "FULFILL_AFTER_DAYS",
}
READ = {
    "api": STOCK,
    "authorizer": {"AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_JWKS_URL", "AUTH_SCOPE_PREFIX"},
    "consumer": STOCK | {"OMS_EVENTS_QUEUE_URL"},
    "sweep": STOCK | {"OMS_EVENTS_QUEUE_URL"},
}
"""The variables that each function reads, beside those that all read."""


def of_kind(planned: Resources, kind: str) -> dict[str, Any]:
    """The values of the resources of one kind, by the key of their function."""
    found = (resource["values"] for resource in planned if resource["type"] == kind)
    return {values["function_name"].removeprefix("IMS-"): values for values in found}


def test_each_function_gets_the_environment_that_it_reads_and_no_other(planned: Resources) -> None:
    functions = of_kind(planned, "aws_lambda_function")

    assert functions.keys() >= READ.keys()
    for key, function in functions.items():
        (environment,) = function["environment"]
        expected = {"POWERTOOLS_SERVICE_NAME", "RES_OPTIONS"} | READ.get(key, set())
        assert set(environment["variables"]) == expected, key


def test_each_function_has_logs_traces_and_an_alias_of_its_own(planned: Resources) -> None:
    functions = of_kind(planned, "aws_lambda_function")

    for key, function in functions.items():
        (logs,), (traces,) = function["logging_config"], function["tracing_config"]
        assert (logs["log_format"], logs["log_group"]) == ("JSON", f"/aws/lambda/IMS-{key}")
        assert traces["mode"] == "Active"
    aliases = of_kind(planned, "aws_lambda_alias")
    assert {key: alias["name"] for key, alias in aliases.items()} == dict.fromkeys(functions, "live")
