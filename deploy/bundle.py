"""The zip that Lambda runs: checked, without what is not needed at run time, and always the same bytes."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MACHINES: Final = {"arm64": 183, "x86_64": 62}
"""Lambda's architectures as ELF's e_machine. Source: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html"""

_NOT_NEEDED: Final = (
    "**/*.pyi",
    "**/py.typed",
    "**/__pycache__",
    # Amazon Inspector finds vulnerable packages by METADATA; nothing at run time reads the rest.
    "*.dist-info/[!M]*",
    "*.data",
    # cffi's Python half compiles bindings; cryptography uses only its C half, _cffi_backend.
    "cffi",
    "pycparser*",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
)


class BadBundle(Exception):
    """Lambda could not run what was packed."""


def check(tree: Path, requirements: str, architecture: str) -> None:
    """Prove that every pinned package is in `tree`, with native modules for `architecture` and this Python.

    Chalice only prints a warning where it finds no wheel, and goes on without the package.
    Raises `BadBundle`, which names what is missing or built for something else.
    """
    packed = {
        (canonicalize_name(name), version)
        for name, version in (info.stem.rsplit("-", 1) for info in tree.glob("*.dist-info"))
    }
    for line in filter(None, (line.partition("#")[0].strip() for line in requirements.splitlines())):
        wanted = Requirement(line)
        version = str(wanted.specifier).removeprefix("==")
        if (not wanted.marker or wanted.marker.evaluate()) and (
            canonicalize_name(wanted.name),
            version,
        ) not in packed:
            raise BadBundle(f"{line}: no wheel for {architecture}, so Chalice left it out")
    abi = f"cpython-{sys.version_info.major}{sys.version_info.minor}-"
    for module in tree.rglob("*.so"):
        with module.open("rb") as elf:
            machine = int.from_bytes(elf.read(20)[18:], "little")
        if machine != MACHINES[architecture] or not (abi in module.name or ".abi3." in module.name):
            raise BadBundle(f"{module.relative_to(tree)}: not built for {architecture} and {abi[:-1]}")


def prune(tree: Path) -> None:
    """Take out of `tree` what no function needs."""
    for pattern in _NOT_NEEDED:
        for path in list(tree.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def precompile(tree: Path) -> None:
    """Add bytecode for this Python to `tree`: Lambda's disk is read-only, so every cold start would compile.

    The bytecode carries no timestamp and is not checked against the source, which never changes there.
    Source: https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
    """
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", "/var/task", str(tree)]
    # A process and a hash seed of its own: bytecode can differ with what else is in memory.
    environment = {"PYTHONHASHSEED": "0", "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-m", "compileall", *options], env=environment, check=True)  # noqa: S603


def write(tree: Path, target: Path) -> None:
    """Write the files of `tree` to the zip `target`: the same files give the same bytes."""
    names = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name)  # its date is 1980-01-01
            entry.create_system = 3  # Unix, also when built on Windows
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, (tree / name).read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
