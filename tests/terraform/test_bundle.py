import os
import sys
import zipfile
from pathlib import Path

import pytest

from deploy import bundle

REQUIREMENTS = """\
# a comment
left-pad==1.2.0 ; python_version >= '3'
colorama==0.4.6 ; sys_platform == 'win32'
"""
ABI = f"cpython-{sys.version_info.major}{sys.version_info.minor}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An unpacked zip: an application, one pure package and one with native modules for arm64."""
    tree = tmp_path / "tree"
    for path, content in {
        "app.py": b"ANSWER = 42\n",
        "chalicelib/domain/rules.py": b"LIMITS = frozenset({'a', 'b', 'c'})\n",
        "left_pad/__init__.py": b"",
        "left_pad/__init__.pyi": b"",
        "left_pad/py.typed": b"",
        f"left_pad/fast.{ABI}-aarch64-linux-gnu.so": elf(183),
        "left_pad-1.2.0.dist-info/METADATA": b"Name: left-pad\n",
        "left_pad-1.2.0.dist-info/RECORD": b"",
        "left_pad-1.2.0.dist-info/licenses/LICENSE": b"",
    }.items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tree


def elf(machine: int) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + machine.to_bytes(2, "little")


def files(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


def test_a_whole_bundle_passes(tree: Path) -> None:
    bundle.check(tree, REQUIREMENTS, "arm64")


def test_a_package_that_chalice_left_out_is_named(tree: Path) -> None:
    with pytest.raises(bundle.BadBundle, match=r"right-pad==1\.0: no wheel"):
        bundle.check(tree, REQUIREMENTS + "right-pad==1.0\n", "arm64")


def test_a_package_of_another_version_counts_as_missing(tree: Path) -> None:
    with pytest.raises(bundle.BadBundle, match=r"left-pad==1\.3\.0: no wheel"):
        bundle.check(tree, "left-pad==1.3.0\n", "arm64")


@pytest.mark.parametrize(
    ("module", "content"),
    [
        (f"left_pad/slow.{ABI}-x86_64-linux-gnu.so", elf(62)),
        ("left_pad/slow.cpython-38-aarch64-linux-gnu.so", elf(183)),
        ("left_pad/slow.abi3.so", elf(62)),
        ("left_pad/slow.abi3.so", b""),
    ],
)
def test_a_native_module_for_something_else_is_named(tree: Path, module: str, content: bytes) -> None:
    (tree / module).write_bytes(content)

    with pytest.raises(bundle.BadBundle, match="left_pad/slow"):
        bundle.check(tree, REQUIREMENTS, "arm64")


def test_prune_keeps_only_the_files_that_run(tree: Path) -> None:
    bundle.prune(tree)

    assert files(tree) == {
        "app.py",
        "chalicelib/domain/rules.py",
        "left_pad/__init__.py",
        f"left_pad/fast.{ABI}-aarch64-linux-gnu.so",
        "left_pad-1.2.0.dist-info/METADATA",
    }


def test_every_source_has_bytecode_that_is_never_checked_against_it(tree: Path) -> None:
    bundle.precompile(tree)

    compiled = set(tree.rglob("*.pyc"))
    assert len(compiled) == 3
    unchecked_hash = 0b01  # PEP 552
    assert all(int.from_bytes(path.read_bytes()[4:8], "little") == unchecked_hash for path in compiled)
    assert (
        b"/var/task/chalicelib/domain/rules.py"
        in next(tree.glob("chalicelib/domain/*/rules.*.pyc")).read_bytes()
    )
    assert not any(str(tree).encode() in path.read_bytes() for path in compiled)


def test_the_same_files_give_the_same_bytes_whenever_and_wherever(tree: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "somewhere" / "else"
    for path in sorted(files(tree), reverse=True):
        copy = elsewhere / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((tree / path).read_bytes())
        copy.chmod(0o700)
        os.utime(copy, (0, 1_000_000_000))
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    for source, target in ((tree, first), (elsewhere, second)):
        bundle.precompile(source)
        bundle.write(source, target)

    assert first.read_bytes() == second.read_bytes()


def test_lambda_may_read_every_file(tree: Path, tmp_path: Path) -> None:
    bundle.write(tree, tmp_path / "out.zip")

    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert set(archive.namelist()) == files(tree)
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert archive.read("app.py") == b"ANSWER = 42\n"
