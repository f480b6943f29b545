"""Imports the packed application on this machine, to prove that nothing is missing and to time the import."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

_TRIES: Final = 5
# Packages that are part of Lambda's Python runtime.
_RUNTIME: Final = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3")
_PROBE: Final = """
import sys, time
sys.path[:0] = sys.argv[1:]
start = time.process_time()
import app
print(time.process_time() - start)

import importlib, pkgutil
import boto3, chalicelib, jwt
from cryptography.hazmat.primitives.asymmetric import ec
for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
    importlib.import_module(module.name)
key = ec.generate_private_key(ec.SECP256R1())
jwt.decode(jwt.encode({}, key, "ES256"), key.public_key(), ["ES256"])
"""


def import_seconds(tree: Path, scratch: Path) -> float:
    """Import every module in `tree`, with this machine's native modules in place of Lambda's.

    The imports find only packages that Lambda has too. Returns the CPU time of `import app` in seconds: the
    lowest of several fresh processes, since a busy machine can only add to it. Raises `CalledProcessError` if
    an import fails.
    """
    here = Path(sysconfig.get_paths()["platlib"])
    code, runtime = scratch / "code", scratch / "runtime"
    shutil.copytree(tree, code, copy_function=os.link)
    for module in list(code.rglob("*.so")):
        module.unlink()
        for native in (here / module.relative_to(code)).parent.glob(f"{module.name.partition('.')[0]}.*"):
            shutil.copy(native, module.parent)
    runtime.mkdir()
    for name in _RUNTIME:
        (runtime / name).symlink_to(here / name)
    command = [sys.executable, "-I", "-S", "-B", "-c", _PROBE, str(code), str(runtime)]
    return min(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
        for _ in range(_TRIES)
    )
