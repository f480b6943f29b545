"""`make package`: builds the child module that Terraform deploys.

Leaves `terraform/chalice/chalice.tf.json` and `terraform/chalice/deployment.zip`. Chalice works on a copy
that holds the application and nothing else; the zip is for the Python that runs this and the architecture
that `.chalice/config.json` names.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from chalicelib import __version__
from deploy import bundle, probe, template

ROOT: Final = Path(__file__).resolve().parents[1]
MODULE: Final = ROOT / "terraform" / "chalice"
STAGE: Final = "terraform"
"""The stage of `.chalice/config.json` for Terraform.

Chalice insists on a name for its own stage and on a role; `deploy.template` drops both.
"""


class ChaliceFailed(Exception):
    """`chalice package` did not do its work."""


def copy_application(target: Path, *, requirements: bool = True) -> None:
    """Copy to `target` what Chalice packs; without `requirements` it needs no network."""
    shutil.copy(ROOT / "app.py", target)
    shutil.copytree(ROOT / "chalicelib", target / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    (target / ".chalice").mkdir()
    shutil.copy(ROOT / ".chalice" / "config.json", target / ".chalice")
    if requirements:
        shutil.copy(ROOT / "requirements.txt", target)


def run_chalice(project: Path, out: Path) -> dict[str, Any]:
    """Run `chalice package` on `project`; returns its template, and leaves `deployment.zip` in `out`.

    Raises `ChaliceFailed` with what Chalice printed.
    """
    chalice = Path(sys.executable).with_name("chalice")
    command = [str(chalice), "package", "--pkg-format", "terraform", "--stage", STAGE, str(out)]
    # Chalice wants a region, though nothing that it writes for Terraform holds one.
    environment = os.environ | {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ChaliceFailed(f"chalice package failed:\n{done.stdout}{done.stderr}")
    document: dict[str, Any] = json.loads((out / "chalice.tf.json").read_text())
    return document


def build(scratch: Path) -> str:
    """Build the package by way of the empty directory `scratch`; returns a report for people.

    Raises `ChaliceFailed`, `UnknownTemplate` or `BadBundle`, and changes nothing then.
    """
    project, out, tree = scratch / "project", scratch / "out", scratch / "tree"
    project.mkdir()
    copy_application(project)
    rewritten = template.rewrite(run_chalice(project, out), __version__)
    # One zip serves all functions, so they are alike in this.
    function = next(iter(rewritten["resource"]["aws_lambda_function"].values()))
    (architecture,) = function["architectures"]
    shutil.unpack_archive(out / "deployment.zip", tree)
    bundle.check(tree, (ROOT / "requirements.txt").read_text(), architecture)
    bundle.prune(tree)
    bundle.precompile(tree)
    seconds = probe.import_seconds(tree, scratch)
    unpacked = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    zipped = MODULE / "deployment.zip"
    bundle.write(tree, zipped)
    size = zipped.stat().st_size
    (MODULE / "chalice.tf.json").write_text(json.dumps(rewritten, indent=2, sort_keys=True) + "\n")
    return (
        f"{zipped.relative_to(ROOT)}: {size / 1e6:.1f} MB ({unpacked / 1e6:.1f} MB unpacked),"
        f" {function['runtime']} on {architecture}\n"
        f"sha256 {hashlib.sha256(zipped.read_bytes()).hexdigest()}\n"
        f"import app: {seconds * 1000:.0f} ms of this machine's processor"
    )


def main() -> int:
    """Build the package and print its size and import time; returns the exit status."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            report = build(Path(scratch))
        except (ChaliceFailed, template.UnknownTemplate, bundle.BadBundle) as failure:
            sys.stderr.write(f"make package: {failure}\n")
            return 1
        except subprocess.CalledProcessError as failure:
            sys.stderr.write(f"make package: the packed application does not work:\n{failure.stderr}\n")
            return 1
    sys.stdout.write(report + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
