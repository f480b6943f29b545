"""Writes the results as JSON files that name the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
from argparse import ArgumentParser
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def arguments(name: str, about: str | None) -> ArgumentParser:
    """A parser with the arguments that every benchmark has."""
    parser = ArgumentParser(prog=f"python -m {name}", description=about)
    parser.add_argument("--short", action="store_true", help="make a short run, for CI")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(".build/bench"),
        help="folder for JSON and charts (default %(default)s)",
    )
    return parser


def machine() -> str:
    """The time, the machine and the versions of the measurement."""
    names = ", ".join(f"{name} {version(name)}" for name in ("boto3", "ministack", "aws-lambda-powertools"))
    python = platform.python_version()
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python {python}, {names}"


def write(folder: Path, name: str, results: Any) -> None:
    """Write `results` as JSON to `folder`, which is created if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(
        json.dumps({"measured": machine(), "results": results}, indent=1) + "\n"
    )
