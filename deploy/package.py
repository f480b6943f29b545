"""`make package`: builds the child module that Terraform deploys.

It writes `terraform/chalice/chalice.tf.json` and `terraform/chalice/deployment.zip`. Chalice works on a copy
of the application alone. The zip is for the Python that runs this module, and for the architecture in
`.chalice/config.json`.
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
from local import environment

ROOT: Final = Path(__file__).resolve().parents[1]
MODULE: Final = ROOT / "terraform" / "chalice"
STAGE: Final = "terraform"
"""The name of the Chalice stage in `.chalice/config.json`.

Chalice requires a stage name and a role; `deploy.template` removes both.
"""

_CHALICE: Final = "import sys; from chalice.cli import main; sys.exit(main())"
"""What Chalice's script does. The script itself breaks if the checkout is renamed."""


class ChaliceFailed(Exception):
    """`chalice package` failed."""


def copy_application(target: Path, *, requirements: bool = True) -> None:
    """Copy what Chalice packs to `target`; without `requirements`, Chalice needs no network."""
    shutil.copy(ROOT / "app.py", target)
    shutil.copytree(ROOT / "chalicelib", target / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    (target / ".chalice").mkdir()
    shutil.copy(ROOT / ".chalice" / "config.json", target / ".chalice")
    if requirements:
        shutil.copy(ROOT / "requirements.txt", target)


def run_chalice(project: Path, out: Path) -> dict[str, Any]:
    """Run `chalice package` on `project`, write `deployment.zip` to `out`, and return the template.

    Raises `ChaliceFailed` with what Chalice printed.
    """
    arguments = ["package", "--pkg-format", "terraform", "--stage", STAGE, str(out)]
    command = [sys.executable, "-c", _CHALICE, *arguments]
    # Chalice requires a region, although nothing that it writes for Terraform contains one.
    variables = os.environ | {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(  # noqa: S603
        command, cwd=project, env=variables, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise ChaliceFailed(f"chalice package failed:\n{result.stdout}{result.stderr}")
    document: dict[str, Any] = json.loads((out / "chalice.tf.json").read_text())
    return document


def build(scratch: Path) -> str:
    """Build the package in the empty directory `scratch`; return a text with its size and import time.

    Raises `ChaliceFailed`, `UnknownTemplate` or `BadBundle`; then nothing in `terraform/` has changed.
    """
    project, out, tree = scratch / "project", scratch / "out", scratch / "tree"
    project.mkdir()
    copy_application(project)
    rewritten = template.rewrite(run_chalice(project, out), __version__)
    # All functions share one zip, so they have the same architecture and runtime.
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
        f"import app: {seconds * 1000:.0f} ms of CPU time on this machine"
    )


def main() -> int:
    """Build the package, print its size and import time, and return the exit status."""
    environment.isolate()  # a broken AWS_CONFIG_FILE would stop Chalice, LOG_LEVEL=trace the import of `app`
    with tempfile.TemporaryDirectory() as scratch:
        try:
            report = build(Path(scratch))
        except (ChaliceFailed, template.UnknownTemplate, bundle.BadBundle) as failure:
            sys.stderr.write(f"make package: {failure}\n")
            return 1
        except subprocess.CalledProcessError as failure:
            sys.stderr.write(f"make package: the packed application cannot be imported:\n{failure.stderr}\n")
            return 1
    sys.stdout.write(report + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
