"""The papers say something about everything that the deployment has."""

import re
from pathlib import Path

import pytest

from tests.terraform.conftest import Resources

ROOT = Path(__file__).parents[2]
VARIABLES = re.findall(
    r'^variable "(\w+)"',
    "\n".join(path.read_text() for path in sorted((ROOT / "terraform").glob("*.tf"))),
    re.MULTILINE,
)


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_is_in_the_guide(variable: str) -> None:
    assert f"| `{variable}` |" in (ROOT / "docs" / "deploy.md").read_text()


def test_each_alarm_has_its_place_in_the_runbook(planned: Resources) -> None:
    headings = re.findall(r"^### (.*)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    alarms = [resource["values"] for resource in planned if resource["type"] == "aws_cloudwatch_metric_alarm"]

    assert sorted(heading for heading in headings if " " not in heading) == sorted(
        alarm["alarm_name"].removeprefix("IMS-") for alarm in alarms
    )
    for alarm in alarms:
        assert alarm["alarm_description"].endswith(
            f"docs/runbook.md#{alarm['alarm_name'].removeprefix('IMS-')}"
        )
