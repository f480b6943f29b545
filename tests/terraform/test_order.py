"""What `terraform apply` does in which order."""

import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

Graph = dict[str, set[str]]


@pytest.fixture(scope="module")
def waits_for() -> Graph:
    """By resource, those that Terraform has finished before, as the graph of `make terraform`'s copy says."""
    if not (plan := os.environ.get("IMS_PLAN")):
        pytest.skip("needs Terraform: run by `make terraform`")
    module = Path(plan).resolve().parent
    graph = subprocess.run(
        ["terraform", f"-chdir={module}", "graph"], capture_output=True, text=True, timeout=60, check=True
    )
    found: Graph = defaultdict(set)
    for resource, needed in re.findall(r'^ *"([^"]+)" -> "([^"]+)";$', graph.stdout, re.MULTILINE):
        found[resource].add(needed)
    return found


def all_before(resource: str, waits_for: Graph) -> set[str]:
    """Whatever `resource` waits for, also by way of others."""
    found: set[str] = set()
    ahead = {resource}
    while ahead:
        ahead = {needed for each in ahead for needed in waits_for[each]} - found
        found |= ahead
    return found


def test_no_function_changes_before_the_tables_their_index_and_its_permissions_do(waits_for: Graph) -> None:
    functions = [each for each in waits_for if each.startswith("module.chalice.aws_lambda_function.")]
    assert functions
    for function in functions:
        assert all_before(function, waits_for) >= {
            "aws_dynamodb_table.inventory",
            "aws_dynamodb_table.outbox",
            "aws_dynamodb_table.processed_events",
            "aws_dynamodb_table.product",
            "aws_iam_role_policy.function",
        }
