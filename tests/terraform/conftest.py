import json
import os
from pathlib import Path
from typing import Any

import pytest

from deploy.planned import resources

Resources = list[dict[str, Any]]


@pytest.fixture(scope="session")
def planned() -> Resources:
    """Everything in the plan of a stage with every option used, which `make terraform` makes."""
    if not (plan := os.environ.get("IMS_PLAN")):
        pytest.skip("needs Terraform: run by `make terraform`")
    return resources(json.loads(Path(plan).read_text())["planned_values"]["root_module"])
