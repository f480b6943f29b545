"""Plans a stage with every option used, without AWS: what policy scanners and tests read.

    python -m deploy.planned MODULE > plan.json

`terraform plan` would ask AWS, and does not know the policies before everything else is made. So this takes
the state that `terraform test` reaches with a mocked provider, and writes it down as a plan.
"""

import json
import subprocess
import sys
from typing import Any, Final

_TEST: Final = "tests/options.tftest.hcl"


class NoState(Exception):
    """`terraform test` did not reach a state."""


def plan(module: str) -> dict[str, Any]:
    """The stage of `tests/options.tftest.hcl` as a plan that makes all of it.

    `module`: directory of the root module, initialized. Raises `NoState` with what Terraform said.
    Source: https://developer.hashicorp.com/terraform/internals/json-format
    """
    command = ["terraform", f"-chdir={module}", "test", "-json", "-verbose", f"-filter={_TEST}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    events = [json.loads(line) for line in done.stdout.splitlines()]
    states = [event["test_state"] for event in events if event["type"] == "test_state"]
    if done.returncode or not states:
        said = "\n".join(event["@message"] for event in events)
        raise NoState(f"terraform test failed:\n{said}\n{done.stderr}")
    values = _without_nulls(states[-1]["root_module"])
    return {
        "format_version": "1.2",
        "terraform_version": next(event["terraform"] for event in events if event["type"] == "version"),
        "planned_values": {"root_module": values},
        "resource_changes": [_creation(resource) for resource in resources(values)],
    }


def resources(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Every resource and data source of a module's `values`, those of its child modules included."""
    children = [resource for child in values.get("child_modules", ()) for resource in resources(child)]
    return [*values.get("resources", ()), *children]


def _without_nulls(value: Any) -> Any:
    """`value` less the members that are null: in a plan, what is not set is not there."""
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    return [_without_nulls(member) for member in value] if isinstance(value, list) else value


def _creation(resource: dict[str, Any]) -> dict[str, Any]:
    names = {key: resource[key] for key in ("address", "mode", "type", "name")}
    change = {"actions": ["create"], "before": None, "after": resource["values"], "after_unknown": {}}
    return {**names, "change": change}


if __name__ == "__main__":
    json.dump(plan(sys.argv[1]), sys.stdout)
