"""The environment of the commands: that of one stage, without the caller's own settings of AWS."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Final

from local.emulator import HOST, bypass_proxies

ENV_FILE: Final = Path(os.environ.get("IMS_ENV", ".local/env"))
_STAGE: Final = {"IMS_API_URL", "IMS_INVENTORY_QUEUE_URL"}
"""An environment with one of these names a stage."""

NO_ACCOUNT: Final = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Variables that keep boto3 away from the files in the caller's home, and from a machine's own role."""
LOCAL_ACCESS: Final = {
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}
"""The variables of `.local/env` that lead to the embedded AWS."""
_ENDPOINTS: Final = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"}
"""What tests use with IMS_TEST_AWS=given; see docs/local-stack.md."""
_PREFIXES: Final = ("AWS_", "BOTO_", "POWERTOOLS_", "AUTH_")


class NoStage(Exception):
    """No stage is named; the message says what is missing."""


def isolate(keep: Container[str] = ()) -> None:
    """Remove the caller's settings of AWS and of the functions from this process, and so from its children.

    `keep`: the names of variables that stay. LOG_LEVEL goes, since Powertools reads it.
    """
    for name in list(os.environ):
        if (name.startswith(_PREFIXES) or name == "LOG_LEVEL") and name not in keep:
            del os.environ[name]
    os.environ.update(NO_ACCOUNT)


def isolate_tests() -> None:
    """Isolate the tests, but for what they are told; if they are told a deployed stage, change nothing."""
    told = {"AWS_CALLS"}  # tests/support/aws_calls.py
    if endpoints_are_given():
        told |= _ENDPOINTS
    if "IMS_API_URL" not in os.environ:
        isolate(keep=told)
    elif is_local():
        isolate(keep=told | LOCAL_ACCESS)


def endpoints_are_given() -> bool:
    """Whether tests are to use the endpoints in the environment, and not an embedded AWS of their own."""
    return os.environ.get("IMS_TEST_AWS") == "given"


def is_local() -> bool:
    """Whether the environment names a stage on this machine, as after `. .local/env`.

    An endpoint alone does not: the caller may have set it for another emulator.
    """
    return any(os.environ.get(name, "").startswith(f"http://{HOST}:") for name in _STAGE)


def enter_stage(needed: Iterable[str]) -> None:
    """Set the variables of the stack of `make run`, unless the environment names a stage already.

    Of a local stage, the caller's other settings of AWS are removed; a deployed one needs them.
    Raises `NoStage` if one of the variables `needed` is missing.
    """
    if not _STAGE & os.environ.keys() and ENV_FILE.exists():
        isolate()
        for line in ENV_FILE.read_text().splitlines():
            name, _, value = line.partition("=")
            os.environ[name] = value
        bypass_proxies()
    elif is_local():
        isolate(keep=LOCAL_ACCESS)
    if missing := [name for name in needed if not os.environ.get(name)]:
        raise NoStage(
            f"{missing[0]} is not set, neither in the environment nor in {ENV_FILE}. Start a stack: make run"
        )
