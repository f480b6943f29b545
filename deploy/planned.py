"""Plans a stage with every option used, without AWS, for the policy scanner and the tests.

    python -m deploy.planned MODULE > plan.json

`terraform plan` would call AWS, and does not know the policies before the other resources exist. So this
module takes the state that `terraform test` creates with a mocked provider, and writes it as a plan.
"""

import json
import subprocess
import sys
from typing import Any, Final

_TEST: Final = "tests/options.tftest.hcl"


class NoState(Exception):
    """`terraform test` created no state."""


def plan(module: str) -> dict[str, Any]:
    """Return the stage of `tests/options.tftest.hcl` as a plan that creates all its resources.

    `module`: the directory of the root module, after `terraform init`. Raises `NoState` with what Terraform
    printed.
    Source: https://developer.hashicorp.com/terraform/internals/json-format
    """
    command = ["terraform", f"-chdir={module}", "test", "-json", "-verbose", f"-filter={_TEST}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    events = [json.loads(line) for line in result.stdout.splitlines()]
    states = [event["test_state"] for event in events if event["type"] == "test_state"]
    if result.returncode or not states:
        messages = "\n".join(event["@message"] for event in events)
        raise NoState(f"terraform test failed:\n{messages}\n{result.stderr}")
    values = _without_nulls(states[-1]["root_module"])
    return {
        "format_version": "1.2",
        "terraform_version": next(event["terraform"] for event in events if event["type"] == "version"),
        "planned_values": {"root_module": values},
        "resource_changes": [_creation(resource) for resource in resources(values)],
    }


def resources(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every resource and data source in a module's `values`, including its child modules."""
    children = [resource for child in values.get("child_modules", ()) for resource in resources(child)]
    return [*values.get("resources", ()), *children]


def _without_nulls(value: Any) -> Any:
    """Return `value` without null members, since a plan does not contain what is not set."""
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    return [_without_nulls(member) for member in value] if isinstance(value, list) else value


def _creation(resource: dict[str, Any]) -> dict[str, Any]:
    names = {key: resource[key] for key in ("address", "mode", "type", "name")}
    change = {"actions": ["create"], "before": None, "after": resource["values"], "after_unknown": {}}
    return {**names, "change": change}


if __name__ == "__main__":
    json.dump(plan(sys.argv[1]), sys.stdout)
