"""Records which calls to AWS the code of each function makes, as the IAM actions that they need.

`tests/terraform/aws_calls.json` holds what the integration tests have recorded, and `tests/terraform`
compares it with the functions' permissions. A run of all integration tests proves that the file is right, any
other run that nothing is missing in it. `make aws-calls` writes it anew.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.handlers import BUILTIN_HANDLERS
from botocore.model import OperationModel

RECORD: Final = Path(__file__).parent / "terraform" / "aws_calls.json"

_FUNCTIONS: Final = {
    "api": "chalicelib.api",
    "authorizer": "chalicelib.auth",
    "consumer": "chalicelib.consumer",
}
"""The package with each function's entry point: a call belongs to the function that it is made under."""
_IN_TRANSACTION: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}

Calls = dict[str, set[str]]

made: Calls = defaultdict(set)
"""By function, the actions with what they are done to: `dynamodb:GetItem InventoryTable`."""


def install() -> None:
    """Let every client that is built from now on tell what it is asked to do."""
    BUILTIN_HANDLERS.append(("provide-client-params", _record))


def recorded() -> Calls:
    """What the file holds."""
    return {function: set(calls) for function, calls in json.loads(RECORD.read_text()).items()}


def write(calls: Calls) -> None:
    """Make the file hold `calls`."""
    lists = {function: sorted(calls.get(function, ())) for function in _FUNCTIONS}
    RECORD.write_text(json.dumps(lists, indent=2) + "\n")


def _record(params: Mapping[str, Any], model: OperationModel, **_: Any) -> None:
    if function := _caller():
        service = model.service_model.service_name
        for action, target in _actions(model.name, params):
            made[function].add(f"{service}:{action} {target}")


def _caller() -> str | None:
    """The function on whose behalf this thread is at work, if it is one."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        module = frame.f_globals.get("__name__", "")
        for function, package in _FUNCTIONS.items():
            if module == package or module.startswith(f"{package}."):
                return function
    return None


def _actions(operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each action that `operation` needs, with the table or queue.

    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
    """
    match operation:
        case "TransactWriteItems":
            for item in params["TransactItems"]:
                for kind, request in item.items():
                    yield _IN_TRANSACTION[kind], request["TableName"]
        case "BatchGetItem" | "BatchWriteItem":
            for table in params["RequestItems"]:
                yield operation, table
        case "BatchExecuteStatement":
            for statement in params["Statements"]:
                verb, table, *_ = statement["Statement"].split()
                yield f"PartiQL{verb.capitalize()}", table.strip('"')
        case "SendMessage" | "SendMessageBatch":
            yield "SendMessage", params["QueueUrl"].rpartition("/")[2]
        case _:
            yield operation, params["TableName"]


def check(config: pytest.Config, *, failed: bool) -> None:
    """Compare what was made with the file, or write the file where that is asked."""
    if os.environ.get("AWS_CALLS") == "write":
        write(made)
        return
    known = recorded()
    new = {function: calls - known[function] for function, calls in made.items() if calls - known[function]}
    assert not new, f"calls that are not in {RECORD.name}: {new}; permit them, then `make aws-calls`"
    if _all_ran(config) and not failed:
        gone = {name: calls - made[name] for name, calls in known.items() if calls - made[name]}
        assert not gone, f"calls in {RECORD.name} that are no longer made: {gone}; `make aws-calls`"


def _all_ran(config: pytest.Config) -> bool:
    everywhere = {"tests", "tests/integration"} & {str(argument).rstrip("/") for argument in config.args}
    selected = config.getoption("keyword") or config.getoption("markexpr") or config.getoption("lf", False)
    return bool(everywhere) and not selected and not hasattr(config, "workerinput")
