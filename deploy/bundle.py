"""The zip that Lambda runs: it is checked, has no unneeded files, and has the same bytes in every build."""

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
"""Lambda's architectures as values of ELF's e_machine. Source: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html"""

_NOT_NEEDED: Final = (
    "**/*.pyi",
    "**/py.typed",
    "**/__pycache__",
    # Amazon Inspector finds vulnerable packages by METADATA; nothing reads the other files at run time.
    "*.dist-info/[!M]*",
    "*.data",
    # The Python part of cffi compiles bindings; cryptography uses only the C part, _cffi_backend.
    "cffi",
    "pycparser*",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
)


class BadBundle(Exception):
    """Lambda could not run the packed application."""


def check(tree: Path, requirements: str, architecture: str) -> None:
    """Check that every pinned package is in `tree`, with native modules for `architecture` and this Python.

    Chalice prints only a warning if it finds no wheel, and leaves the package out.
    Raises `BadBundle`, which names the missing package, or the module that is built for another target.
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
            raise BadBundle(f"{line}: no wheel for {architecture}, so Chalice left the package out")
    abi = f"cpython-{sys.version_info.major}{sys.version_info.minor}-"
    for module in tree.rglob("*.so"):
        with module.open("rb") as elf:
            machine = int.from_bytes(elf.read(20)[18:], "little")
        if machine != MACHINES[architecture] or not (abi in module.name or ".abi3." in module.name):
            raise BadBundle(f"{module.relative_to(tree)}: not built for {architecture} and {abi[:-1]}")


def prune(tree: Path) -> None:
    """Remove the files from `tree` that no function needs."""
    for pattern in _NOT_NEEDED:
        for path in list(tree.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def precompile(tree: Path) -> None:
    """Add this Python's bytecode to `tree`: Lambda's disk is read-only, so every cold start would compile.

    The bytecode has no timestamp and is not checked against the source, which never changes on Lambda.
    Source: https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
    """
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", "/var/task", str(tree)]
    # A separate process with a fixed hash seed, since bytecode can depend on the memory of its process.
    environment = {"PYTHONHASHSEED": "0", "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-m", "compileall", *options], env=environment, check=True)  # noqa: S603


def write(tree: Path, target: Path) -> None:
    """Write the files of `tree` to the zip `target`: the same files give the same bytes."""
    names = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name)  # dated 1980-01-01
            entry.create_system = 3  # Unix, even if built on Windows
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, (tree / name).read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
