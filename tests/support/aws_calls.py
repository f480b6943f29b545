"""Notes which calls to AWS the code of each function makes, as the IAM actions that they need.

`tests/terraform/aws_calls.json` holds the calls of the integration tests, and `tests/terraform`
compares it with the functions' permissions. A test run fails on a call that is not in the file, and with
AWS_CALLS=all, as in `make test`, also on one in the file that was not made. AWS_CALLS=write writes the file.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.handlers import BUILTIN_HANDLERS
from botocore.model import OperationModel
from botocore.validate import ParamValidator

CALLS_FILE: Final = Path(__file__).parents[1] / "terraform" / "aws_calls.json"

_FUNCTIONS: Final = ("api", "authorizer", "consumer", "sweep")
_CALLERS: Final = {
    "chalicelib.api": ("api",),
    "chalicelib.auth": ("authorizer",),
    "chalicelib.consumer.delivery": ("consumer", "sweep"),
    "chalicelib.consumer.holds": ("sweep",),
    "chalicelib.consumer.sweep": ("sweep",),
    "chalicelib.consumer": ("consumer",),
    "chalicelib.handlers.sweep": ("sweep",),
}
"""The functions that a call belongs to, by the module or package that it is made under; the first row counts.

Answers are sent in threads, whose stack does not show who began it, so these calls count for both senders.
"""
_IN_TRANSACTION: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}

Calls = dict[str, set[str]]

made: Calls = defaultdict(set)
"""By function, the actions and their targets: `dynamodb:GetItem InventoryTable`."""


def recorded() -> Calls:
    """The calls in the file."""
    return {function: set(calls) for function, calls in json.loads(CALLS_FILE.read_text()).items()}


def write(calls: Calls) -> None:
    """Write `calls` to the file."""
    lists = {function: sorted(calls.get(function, ())) for function in _FUNCTIONS}
    CALLS_FILE.write_text(json.dumps(lists, indent=2) + "\n")


def _note(params: Mapping[str, Any], model: OperationModel, **_: Any) -> None:
    if functions := _callers():
        # The functions' own clients leave this to the tests, to be faster.
        assert model.input_shape is not None
        report = ParamValidator().validate(params, model.input_shape)
        assert not report.has_errors(), report.generate_report()
        service = model.service_model.service_name
        for action, target in _actions(model.name, params):
            for function in functions:
                made[function].add(f"{service}:{action} {target}")


def _callers() -> Sequence[str]:
    """The functions whose code makes the call."""
    frame = sys._getframe().f_back
    while frame:
        module = frame.f_globals.get("__name__", "")
        for name, functions in _CALLERS.items():
            if module == name or module.startswith(f"{name}."):
                return functions
        frame = frame.f_back
    return ()


def _actions(operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each action that `operation` needs, with the table, index or queue.

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
        case "SendMessage" | "SendMessageBatch":
            yield "SendMessage", params["QueueUrl"].rpartition("/")[2]
        case _:
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            yield operation, f"{params['TableName']}{index}"


def pytest_configure() -> None:
    """Note every call of each client that is built from now on."""
    BUILTIN_HANDLERS.append(("provide-client-params", _note))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a worker of pytest-xdist has noted."""
    for function, calls in getattr(node, "workeroutput", {}).get("aws_calls", {}).items():
        made[function] |= set(calls)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare the calls with the file, or write the file."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["aws_calls"] = {name: sorted(calls) for name, calls in made.items()}
    elif os.environ.get("AWS_CALLS") == "write":
        write(made)
    elif _complaints(complete=os.environ.get("AWS_CALLS") == "all" and not session.testsfailed):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the differences from the file."""
    complete = os.environ.get("AWS_CALLS") == "all" and "failed" not in terminalreporter.stats
    for complaint in _complaints(complete=complete):
        terminalreporter.write_line(complaint, red=True)


def _complaints(*, complete: bool) -> list[str]:
    known = recorded()
    new = [f"{name}: {call}" for name, calls in made.items() for call in sorted(calls - known[name])]
    gone = [f"{name}: {call}" for name, calls in known.items() for call in sorted(calls - made[name])]
    return [
        *(f"not in {CALLS_FILE.name}: {call}; if it may, run `make aws-calls`" for call in new),
        *(
            f"in {CALLS_FILE.name}, but no longer made: {call}; run `make aws-calls`"
            for call in gone
            if complete
        ),
    ]
