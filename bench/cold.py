"""`python -m bench.cold`: measures the imports of a cold start, by package, and what Powertools adds to them.

Each import runs in a new interpreter, in turns. The results are medians of CPU time, since that is what an
import needs. The bytecode exists already, as in the deployed zip.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from statistics import median
from typing import Final

from bench.goals import at_most, verdicts
from bench.output import arguments, machine, write
from bench.tables import table
from local import environment

_MEASURE: Final = """
import re, sys, time
from pathlib import Path
{before}
memory = lambda: int(re.search(r"VmRSS:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
held, began = memory(), time.process_time()
{work}
print((time.process_time() - began) * 1000, memory() - held)
"""
# Objects that accept every call and do nothing replace Powertools.
_WITHOUT_POWERTOOLS: Final = """
import types
class Nothing:
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
sys.modules["chalicelib.telemetry"] = types.SimpleNamespace(
    logger=Nothing(), metrics=Nothing(), NAMESPACE="IMS", SERVICE="ims"
)
"""
_ENVIRONMENT: Final = {
    "PRODUCT_TABLE_NAME": "ProductTable",
    "INVENTORY_TABLE_NAME": "InventoryTable",
    "PROCESSED_EVENTS_TABLE_NAME": "ProcessedEventsTable",
    "OUTBOX_TABLE_NAME": "OutboxTable",
    "OMS_EVENTS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/OMS-OrderEventsQueue",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "000000000000",
    "AWS_SECRET_ACCESS_KEY": "local",
    **environment.NO_ACCOUNT,
}
_CASES: Final = {
    "import app": ("", "import app"),
    "import app, without Powertools": (_WITHOUT_POWERTOOLS, "import app"),
    "then the consumer, with boto3 and both clients": (
        "import app",
        "from chalicelib import bootstrap; bootstrap.consumer()",
    ),
    "then the API, with boto3 and one client": (
        "import app",
        "from chalicelib import bootstrap; bootstrap.products()",
    ),
    "then the authorizer, with cryptography": (
        "import app",
        "from chalicelib import bootstrap; bootstrap.verifier()",
    ),
}
_LINE: Final = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*([\w.]+)")


def main() -> None:
    """Measure each case and each package, print tables, and write JSON."""
    environment.isolate()
    options = arguments("bench.cold", __doc__).parse_args()
    runs = 3 if options.short else 15
    laps: dict[str, list[tuple[float, float]]] = {case: [] for case in _CASES}
    packages: dict[str, list[float]] = defaultdict(list)
    for _ in range(runs):
        for case, (before, work) in _CASES.items():
            milliseconds, megabytes = _python("-c", _MEASURE.format(before=before, work=work)).stdout.split()
            laps[case].append((float(milliseconds), float(megabytes)))
        for package, lap in by_package(_python("-X", "importtime", "-c", "import app").stderr).items():
            packages[package].append(lap)
    cases = {
        case: (median(ms for ms, _ in all_), median(mb for _, mb in all_)) for case, all_ in laps.items()
    }
    spent = {package: median(times) for package, times in packages.items()}
    goals = at_most("CPU ms of `import app`", 180, [(cases["import app"][0], "cold start")])
    print(show(cases, spent), verdicts(goals), machine(), sep="\n\n")
    write(options.out, "cold", {"cases": cases, "packages": spent})


def by_package(listing: str) -> dict[str, float]:
    """Milliseconds that each top-level package spent on its own modules, from the output of `-X importtime`.

    The standard library is one entry, whichever package imported it.
    """
    spent: dict[str, float] = defaultdict(float)
    for own, module in _LINE.findall(listing):
        package = module.partition(".")[0].lstrip("_")
        name = "the standard library" if module.partition(".")[0] in sys.stdlib_module_names else package
        spent[name] += int(own) / 1000
    return spent


def show(cases: dict[str, tuple[float, float]], packages: dict[str, float]) -> str:
    """Return both tables, and the share that Powertools adds."""
    (whole, _), (without, _) = list(cases.values())[:2]
    largest = sorted(packages.items(), key=lambda entry: -entry[1])
    return "\n\n".join(
        [
            table(
                ["cold start", "ms", "MB"],
                ([case, f"{ms:.0f}", f"{mb:.1f}"] for case, (ms, mb) in cases.items()),
            ),
            f"Powertools adds {whole / without - 1:.1%} to the import of `app` (goal: at most 15 %).",
            table(
                ["import app, by package", "ms"], ([name, f"{ms:.1f}"] for name, ms in largest if ms >= 0.5)
            ),
        ]
    )


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | _ENVIRONMENT
    return subprocess.run(
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, check=True
    )


if __name__ == "__main__":
    main()
