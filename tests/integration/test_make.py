"""The Makefile on a newcomer's machine: a copy of it in a folder of its own, with few packages."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.local_stack import ROOT

HOSTILE = {
    "PIP_USER": "1",
    "PIP_TARGET": "/nonexistent/target",
    "PIP_NO_DEPS": "1",
    "PYTHONHOME": "/nonexistent",
    "PYTHONPATH": "/nonexistent",
    "PYTHONSAFEPATH": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements-dev.txt").touch()
    executable(tmp_path / "bin/python3", f'exec "{sys.executable}" "$@"')  # that of the system may be too old
    return folder


def make(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env={
            "PATH": f"{checkout.parent / 'bin'}:{os.environ['PATH']}",
            "HOME": str(checkout.parent),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def executable(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def quick_python(checkout: Path) -> str:
    """A Python whose `-m venv` makes at once a `.venv` that runs this test's Python."""
    runs_ours = f'exec "{sys.executable}" "$@"'
    makes_venv = 'mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && exit'
    return str(
        executable(
            checkout.parent / "quick-python", f'if [ "$2" = venv ]; then {makes_venv}; fi\n{runs_ours}'
        )
    )


def wheel(file: Path, **modules: str) -> None:
    """Write a wheel with these modules."""
    name, version, *_ = file.name.split("-")
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        for module, text in modules.items():
            archive.writestr(f"{module}.py", text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def require_tool(checkout: Path, version: str = "1") -> None:
    """Let `make venv` install a module `tool`, which prints its version."""
    file = checkout / f"tools-{version}-py3-none-any.whl"
    wheel(file, tool=f"print({version})")
    (checkout / "requirements-dev.txt").write_text(f"./{file.name}\n")


def tool(checkout: Path) -> str:
    """What `tool` prints in the virtual environment."""
    ran = subprocess.run(
        [".venv/bin/python", "-m", "tool"], cwd=checkout, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def test_a_hostile_environment_does_not_reach_the_virtual_environment(checkout: Path) -> None:
    (checkout.parent / ".config/pip").mkdir(parents=True)
    (checkout.parent / ".config/pip/pip.conf").write_text("[install]\nuser = true\n")
    require_tool(checkout)
    made = make(checkout, "venv", **HOSTILE)
    assert made.returncode == 0, made.stderr
    assert tool(checkout) == "1"


@pytest.mark.parametrize("option", ["target", "prefix", "root"])
def test_the_place_of_installs_in_the_callers_pip_conf_does_not_count(checkout: Path, option: str) -> None:
    conf = checkout.parent / "pip.conf"
    conf.write_text(f"[install]\n{option} = {checkout.parent / 'elsewhere'}\n")
    for version in ("1", "2"):
        require_tool(checkout, version)
        made = make(checkout, "venv", PIP_CONFIG_FILE=str(conf))
        assert made.returncode == 0, made.stderr
        assert tool(checkout) == version
        os.utime(checkout / ".venv/installed", (0, 0))
    assert not (checkout.parent / "elsewhere").exists()


def test_a_renamed_checkout_still_works(checkout: Path) -> None:
    tools = ("pytest", "ruff", "mypy", "uv")
    wheel(checkout / "tools-1-py3-none-any.whl", **dict.fromkeys(tools, "import sys; print(sys.argv)"))
    (checkout / "requirements-dev.txt").write_text("./tools-1-py3-none-any.whl\n")
    assert make(checkout, "venv").returncode == 0
    renamed = checkout.rename(checkout.with_name("renamed"))

    for target in ("check", "e2e", "lock"):
        made = make(renamed, target)
        assert made.returncode == 0, made.stderr
        assert str(renamed) in made.stdout


def test_nothing_calls_a_script_of_an_environment() -> None:
    files = [ROOT / "Makefile", ROOT / ".ci/run", ROOT / ".pre-commit-config.yaml", *ROOT.glob("*.md")]
    for file in [*files, *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").glob("*.md")]:
        called = re.findall(r"(?:\.venv/bin|\$\((?:BIN|CHECKOV)\)(?:/bin)?)/([\w.-]+)", file.read_text())
        assert set(called) <= {"python", "installed"}, file.name


def test_the_source_of_packages_is_passed_on(checkout: Path) -> None:
    executable(checkout / ".venv/bin/python", 'test "$2" != pip || env')
    made = make(checkout, "venv", PIP_INDEX_URL="https://packages.example.com", PIP_TARGET="/elsewhere")
    assert made.returncode == 0
    assert "PIP_INDEX_URL=https://packages.example.com" in made.stdout
    assert "PIP_USER=0" in made.stdout
    assert "PIP_TARGET" not in made.stdout


def test_a_failed_creation_leaves_nothing_and_says_what_to_install(checkout: Path) -> None:
    half = f'mkdir -p .venv/bin; ln -s "{sys.executable}" .venv/bin/python; exit 1'
    without_ensurepip = executable(
        checkout.parent / "python", f'if [ "$2" = venv ]; then {half}; fi\nexec "{sys.executable}" "$@"'
    )
    failed = make(checkout, "venv", f"PYTHON={without_ensurepip}")
    assert failed.returncode != 0
    assert "apt install python3-venv" in failed.stdout
    assert not (checkout / ".venv").exists()

    assert make(checkout, "venv", f"PYTHON={quick_python(checkout)}").returncode == 0
    assert (checkout / ".venv/installed").exists()


@pytest.mark.parametrize("broken", ["no pip", "old Python", "dangling Python", "dangling link", "a file"])
def test_an_unusable_environment_is_built_anew(checkout: Path, broken: str) -> None:
    venv = checkout / ".venv"
    if broken == "dangling link":
        venv.symlink_to("/nonexistent")
    elif broken == "a file":
        venv.touch()
    else:
        venv.mkdir()
        (venv / "installed").touch()
        if broken == "dangling Python":
            (venv / "bin").mkdir()
            (venv / "bin/python").symlink_to("/nonexistent")
        else:
            says = {
                "no pip": "import sys; sys.modules['pip'] = None",
                "old Python": "import sys; sys.version_info = (3, 10)",
            }[broken]
            executable(venv / "bin/python", f'exec "{sys.executable}" -c "{says}; exec(sys.argv[-1])" "$@"')

    quick = quick_python(checkout)
    made = make(checkout, "venv", f"PYTHON={quick}")

    assert made.returncode == 0, made.stderr
    assert (venv / "bin/python").read_text() == Path(quick).read_text()
    assert make(checkout, "venv", f"PYTHON={quick}").stdout.startswith("make: Nothing")


def test_a_usable_environment_is_kept_and_only_its_packages_are_updated(checkout: Path) -> None:
    quick = quick_python(checkout)
    make(checkout, "venv", f"PYTHON={quick}")
    (checkout / ".venv/mine").touch()
    os.utime(checkout / ".venv/installed", (0, 0))
    assert "Installing" in make(checkout, "venv", f"PYTHON={quick}").stdout
    assert (checkout / ".venv/mine").exists()


def test_an_old_python_is_refused_by_name(checkout: Path) -> None:
    old = executable(checkout.parent / "python2", "echo 'Unknown option: -I' >&2; exit 2")
    refused = make(checkout, "venv", f"PYTHON={old}")
    assert refused.returncode != 0
    assert f"{old} is not Python 3.11 or later" in refused.stdout
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "deletes"),
    [
        (["RESET=1"], {}, True),
        (["RESET=1"], {"RESET": "0"}, True),
        (["RESET=0"], {}, False),
        (["RESET=no"], {}, False),
        (["RESET="], {}, False),
        ([], {"RESET": "1"}, False),
        ([], {"RESET": "\033[0m"}, False),
        (["-e"], {"RESET": "1"}, False),
        ([], {}, False),
    ],
)
def test_only_reset_1_on_the_command_line_deletes_data(
    checkout: Path, arguments: list[str], environment: dict[str, str], deletes: bool
) -> None:
    made = make(checkout, "-n", "run", *arguments, **environment)
    assert made.returncode == 0, made.stderr
    assert "-m local " in made.stdout
    assert ("--reset" in made.stdout) is deletes
