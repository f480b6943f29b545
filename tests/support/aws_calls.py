"""Records which calls to AWS the code of each function makes, as the IAM actions that they need.

`tests/terraform/aws_calls.json` holds what the integration tests have recorded, and `tests/terraform`
compares it with the functions' permissions. A test run fails on a call that is not in the file, and with
AWS_CALLS=all, as in `make test`, also on one in the file that was not made. AWS_CALLS=write writes it anew.
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
from botocore.validate import ParamValidator

RECORD: Final = Path(__file__).parents[1] / "terraform" / "aws_calls.json"

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


def recorded() -> Calls:
    """What the file holds."""
    return {function: set(calls) for function, calls in json.loads(RECORD.read_text()).items()}


def write(calls: Calls) -> None:
    """Make the file hold `calls`."""
    lists = {function: sorted(calls.get(function, ())) for function in _FUNCTIONS}
    RECORD.write_text(json.dumps(lists, indent=2) + "\n")


def _record(params: Mapping[str, Any], model: OperationModel, **_: Any) -> None:
    if function := _caller():
        # The functions' own clients leave this to the tests, to be faster.
        report = ParamValidator().validate(params, model.input_shape)
        assert not report.has_errors(), report.generate_report()
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


def pytest_configure() -> None:
    """Let every client that is built from now on tell what it is asked to do."""
    BUILTIN_HANDLERS.append(("provide-client-params", _record))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist has recorded."""
    for function, calls in getattr(node, "workeroutput", {}).get("aws_calls", {}).items():
        made[function] |= set(calls)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare what was recorded with the file, or write the file."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["aws_calls"] = {name: sorted(calls) for name, calls in made.items()}
    elif os.environ.get("AWS_CALLS") == "write":
        write(made)
    elif _complaints(complete=os.environ.get("AWS_CALLS") == "all" and not session.testsfailed):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is wrong with the file."""
    complete = os.environ.get("AWS_CALLS") == "all" and "failed" not in terminalreporter.stats
    for complaint in _complaints(complete=complete):
        terminalreporter.write_line(complaint, red=True)


def _complaints(*, complete: bool) -> list[str]:
    known = recorded()
    new = [f"{name}: {call}" for name, calls in made.items() for call in sorted(calls - known[name])]
    gone = [f"{name}: {call}" for name, calls in known.items() for call in sorted(calls - made[name])]
    return [
        *(f"not in {RECORD.name}: {call}; may it? then `make aws-calls`" for call in new),
        *(f"in {RECORD.name}, but no longer made: {call}; `make aws-calls`" for call in gone if complete),
    ]
