"""The environment of the commands: that of one stage."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from local.emulator import bypass_proxies

ENV_FILE: Final = Path(os.environ.get("IMS_ENV", ".local/env"))
_STAGE: Final = {"IMS_API_URL", "IMS_INVENTORY_QUEUE_URL"}
"""An environment with one of these names a stage."""


class NoStage(Exception):
    """No stage is named; the message says what is missing."""


def enter_stage(needed: Iterable[str]) -> None:
    """Set the variables of the stack of `make run`, unless the environment names a stage already.

    Raises `NoStage` if one of the variables `needed` is missing then.
    """
    if not _STAGE & os.environ.keys() and ENV_FILE.exists():
        for line in ENV_FILE.read_text().splitlines():
            name, _, value = line.partition("=")
            os.environ[name] = value
        bypass_proxies()
    if missing := [name for name in needed if not os.environ.get(name)]:
        raise NoStage(
            f"{missing[0]} is not set, neither in the environment nor in {ENV_FILE}. Start a stack: make run"
        )
