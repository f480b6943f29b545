import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.terraform.test_papers import ROOT


@pytest.mark.skipif(not shutil.which("terraform"), reason="needs Terraform")
def test_terraform_without_the_package_says_what_to_run_first(tmp_path: Path) -> None:
    module = tmp_path / "terraform"
    made = shutil.ignore_patterns(
        ".terraform*", "*.tfstate*", "chalice.tf.json", "deployment.zip", "backend.tf"
    )
    shutil.copytree(ROOT / "terraform", module, ignore=made)

    # Reading the configuration fails, so no provider is fetched.
    said = subprocess.run(
        ["terraform", f"-chdir={module}", "init", "-backend=false", "-input=false", "-no-color"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert said.returncode != 0
    errors = said.stderr.split("Error: ")[1:]
    assert errors
    assert all("run `make package` first" in error for error in errors)
