import http.client
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest

from local.client import Api
from local.emulator import listen
from local.oms import QUEUES, new_id
from local.stack import PortError, port_number
from tests.support.local_stack import FREE_PORTS, ROOT, LocalStack, wait_for_snapshot

NAMES = {
    "IMS_API_URL",
    "IMS_TOKEN_READ",
    "IMS_TOKEN_WRITE",
    "AUTH_JWKS_URL",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "PRODUCT_TABLE_NAME",
    "INVENTORY_TABLE_NAME",
    "PROCESSED_EVENTS_TABLE_NAME",
    "OUTBOX_TABLE_NAME",
    "IMS_INVENTORY_QUEUE_URL",
    "IMS_DLQ_URL",
    "OMS_EVENTS_QUEUE_URL",
}


def api(stack: LocalStack) -> Api:
    return Api(stack.env["IMS_API_URL"], stack.env["IMS_TOKEN_WRITE"])


def listens(url: str) -> bool:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=1)
    try:
        connection.connect()
    except OSError:
        return False
    finally:
        connection.close()
    return True


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_serves_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    stack = LocalStack(tmp_path).wait_until_ready()
    env = stack.env
    assert api(stack).call("GET", "/health").status == 200
    said = stack.stop(number)

    assert stack.process.returncode == 0
    assert env["IMS_API_URL"] in said
    assert "AWS CLI 1 needs --endpoint-url for SQS" in said
    assert "Traceback" not in said
    for name in ("IMS_API_URL", "AWS_ENDPOINT_URL", "AUTH_JWKS_URL"):
        assert not listens(env[name])


def test_data_key_and_products_survive_a_kill_until_reset(tmp_path: Path) -> None:
    first = LocalStack(tmp_path).wait_until_ready()
    listing = api(first).call("GET", "/products?limit=100&include_inventory=true").body["items"]
    assert len(listing) == 20
    assert {item["sku"]: item["quantity"] for item in listing}["KETTLE-GOOSENECK"] == 5
    assert api(first).call("DELETE", "/products/GIFT-CARD-25").status == 204
    old_token, endpoint = first.env["IMS_TOKEN_WRITE"], first.env["AWS_ENDPOINT_URL"]
    wait_for_snapshot(
        tmp_path / "aws", lambda state: "sample-catalogue" in state and "GIFT-CARD-25" not in state
    )
    first.stop(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while listens(endpoint):
        assert time.monotonic() < deadline, "the emulator outlives the stack"
        time.sleep(0.05)

    with LocalStack(tmp_path) as second:
        caller = Api(second.env["IMS_API_URL"], old_token)
        assert caller.call("GET", "/products/GIFT-CARD-25").status == 404
        assert caller.call("GET", "/inventory/KETTLE-GOOSENECK").body["quantity"] == 5

    third = LocalStack(tmp_path, *FREE_PORTS, "--reset").wait_until_ready()
    assert api(third).call("GET", "/products/GIFT-CARD-25").status == 200
    assert f"Deleting {tmp_path / 'aws'}: all products" in third.stop()


def test_the_env_file_is_private_and_has_what_a_script_needs(stack: LocalStack) -> None:
    file = stack.folder / "env"
    assert set(stack.env) == NAMES
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((stack.folder / "issuer-key.pem").stat().st_mode) == 0o600

    script = 'set -a; . "$1"; exec "$2" -c "import os, json; print(json.dumps(dict(os.environ)))"'
    command = ["/bin/sh", "-c", script, "sh", str(file), sys.executable]
    sourced = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert {name: sourced[name] for name in NAMES} == stack.env


def test_tokens_carry_their_scopes_and_are_signed_by_the_published_key(stack: LocalStack) -> None:
    with urllib.request.urlopen(stack.env["AUTH_JWKS_URL"]) as response:
        keys = jwt.PyJWKSet.from_dict(json.load(response))
    scopes = {}
    for name in ("IMS_TOKEN_READ", "IMS_TOKEN_WRITE"):
        token = stack.env[name]
        key = keys[jwt.get_unverified_header(token)["kid"]]
        scopes[name] = jwt.decode(token, key, algorithms=["RS256"], audience="ims")["scope"]
    assert scopes == {
        "IMS_TOKEN_READ": "inventory:read",
        "IMS_TOKEN_WRITE": "inventory:read inventory:write",
    }


def test_functions_log_json_lines_to_the_file(stack: LocalStack) -> None:
    assert api(stack).call("GET", "/products/NO-SUCH").status == 404
    lines = [json.loads(line) for line in (stack.folder / "ims.log").read_text().splitlines()]
    assert any(line.get("status") == 404 for line in lines)


def test_a_second_stack_on_the_same_data_is_refused(stack: LocalStack) -> None:
    second = run("local", "--folder", str(stack.folder), *FREE_PORTS, env={})
    assert second.returncode == 1
    assert "already using the data" in second.stderr
    assert api(stack).call("GET", "/health").status == 200


@pytest.mark.parametrize("setting", ["PORT", "AWS_PORT"])
def test_a_taken_port_is_named_with_the_option_to_choose_another(tmp_path: Path, setting: str) -> None:
    with listen() as taken:
        port = taken.getsockname()[1]
        ports = {"PORT": 0, "AWS_PORT": 0, setting: port}
        stack = LocalStack(tmp_path, "--port", str(ports["PORT"]), "--aws-port", str(ports["AWS_PORT"]))
        said = stack.process.communicate(timeout=20)[0]
    assert stack.process.returncode == 1
    assert f"Port {port} is taken" in said
    assert f"make run {setting}=" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("port", ["65536", "99999", "abc", "", "-1", "1.5", "٨٠٨٠", "000000080", "9" * 5000])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(PortError, match="is not a number from 0 to 65535"):
        port_number(port, "PORT")


@pytest.mark.parametrize(("option", "proposal"), [("--port", "PORT=8080"), ("--aws-port", "AWS_PORT=4600")])
def test_the_error_of_a_port_is_one_line(tmp_path: Path, option: str, proposal: str) -> None:
    said = run("local", "--folder", str(tmp_path / "stack"), f"{option}=99999", env={})
    assert said.returncode == 1
    assert said.stderr == (
        f"Port '99999' is not a number from 0 to 65535. Choose another: make run {proposal}\n"
    )
    assert not (tmp_path / "stack").exists()


def test_it_ends_with_an_error_when_the_embedded_aws_dies(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path).wait_until_ready()
    children = Path(f"/proc/{stack.process.pid}/task/{stack.process.pid}/children")
    if not children.exists():
        stack.stop()
        pytest.skip("needs /proc")
    for child in children.read_text().split():
        os.kill(int(child), signal.SIGKILL)
    said = stack.process.communicate(timeout=30)[0]
    assert stack.process.returncode == 1
    assert "The embedded AWS stopped unexpectedly" in said


def run(module: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def tell(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run("local.demo", env=env)


def test_the_demo_can_be_repeated(stack: LocalStack) -> None:
    for env in (stack.env, {"IMS_ENV": str(stack.folder / "env")}):
        told = tell(env)
        assert (told.returncode, told.stderr) == (0, "")
        assert "Every check passed." in told.stdout


def test_the_demo_fails_at_the_step_with_an_unexpected_result(stack: LocalStack) -> None:
    told = tell({**stack.env, "IMS_TOKEN_WRITE": stack.env["IMS_TOKEN_READ"]})
    assert told.returncode == 1
    assert "POST /products got status 403" in told.stderr
    assert "Traceback" not in told.stderr


def test_the_demo_says_so_when_no_stack_runs(stack: LocalStack, tmp_path: Path) -> None:
    never = tell({"IMS_ENV": str(tmp_path / "env")})
    assert never.returncode == 1
    assert "make run" in never.stderr

    with listen() as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    stopped = tell({**stack.env, "IMS_API_URL": url})
    assert stopped.returncode == 1
    assert "No stack responds" in stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_an_order_needs_no_sourced_environment(stack: LocalStack) -> None:
    order = new_id("order")
    for kind, items, expected in (
        ("reserve", ["MUG-BLUE=1"], "InventoryReserved"),
        ("release", [], "InventoryReleased"),
    ):
        sent = run("local.order", kind, order, *items, env={"IMS_ENV": str(stack.folder / "env")})
        assert (sent.returncode, sent.stderr) == (0, "")
        assert json.loads(sent.stdout)["type"] == expected


def test_an_order_in_the_dead_letter_queue_is_said_to_be_there(stack: LocalStack) -> None:
    sent = run("local.order", "release", "x" * 2000, env=stack.env)
    assert (sent.returncode, sent.stdout) == (1, "")
    assert "the message is in the dead-letter queue" in sent.stderr


def test_an_order_without_a_stack_fails_in_one_line(stack: LocalStack, tmp_path: Path) -> None:
    never = run("local.order", "release", "order-1", env={"IMS_ENV": str(tmp_path / "env")})
    with listen() as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    stopped = run("local.order", "release", "order-1", env={**stack.env, "AWS_ENDPOINT_URL": url})
    no_region = run("local.order", "release", "order-1", env=dict.fromkeys(QUEUES, url))
    for failed in (never, stopped, no_region):
        assert failed.returncode == 1
        assert len(failed.stderr.splitlines()) == 1
        assert "make run" in failed.stderr


def test_an_order_line_without_a_quantity_is_explained(stack: LocalStack) -> None:
    sent = run("local.order", "reserve", "order-1", "MUG-BLUE", env=stack.env)
    assert sent.returncode == 2
    assert "'MUG-BLUE' is not SKU=QUANTITY, such as LAMP-1=3" in sent.stderr


def test_the_callers_own_settings_of_aws_reach_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.write_text("[default\nregion = ")
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws/config").write_text("[default\nregion = ")
    elsewhere = "http://127.0.0.1:1"
    shell = {
        "HOME": str(home),
        "AWS_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": str(broken),
        "AWS_ENDPOINT_URL_DYNAMODB": elsewhere,
        "AWS_ENDPOINT_URL_SQS": elsewhere,
        "AWS_MAX_ATTEMPTS": "many",
        "LOG_LEVEL": "trace",
        "POWERTOOLS_LOG_LEVEL": "verbose",
    }
    stack = LocalStack(tmp_path / "stack", shell={**shell, "AWS_ENDPOINT_URL": elsewhere}).wait_until_ready()
    assert set(stack.env) == NAMES
    assert api(stack).call("GET", "/products?limit=1").status == 200

    # In a shell that sourced `.local/env`, and in one that did not.
    for env in ({**shell, **stack.env}, {**shell, "IMS_ENV": str(stack.folder / "env")}):
        told = run("local.demo", env=env)
        assert (told.returncode, told.stderr) == (0, "")
        sent = run("local.order", "release", new_id("order"), env=env)
        assert (sent.returncode, sent.stderr) == (0, "")
    said = stack.stop()
    assert "Traceback" not in said
    assert stack.process.returncode == 0


DEAD = dict.fromkeys(
    ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"), "http://127.0.0.1:1"
)
ON_AWS = ("pytest", "-q", "-p", "no:cacheprovider", "tests/integration/test_resources.py")


def test_tests_run_in_any_shell() -> None:
    shell = {
        **DEAD,
        "AWS_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": __file__,
        "LOG_LEVEL": "trace",
        "POWERTOOLS_SERVICE_NAME": "other",
    }
    for module, *arguments in (
        ON_AWS,
        ("pytest", "-q", "-p", "no:cacheprovider", "tests/unit/consumer/test_metrics_and_logs.py"),
        ("tests.simulation", "--seeds", "1", "--processes", "1"),
    ):
        ran = run(module, *arguments, env=shell)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("module", ["bench", "bench.concurrency", "bench.api", "bench.cold"])
def test_benchmarks_run_in_any_shell(module: str) -> None:
    ran = run(module, "--help", env={"LOG_LEVEL": "trace", "POWERTOOLS_LOG_LEVEL": "verbose"})
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("name", DEAD)
def test_tests_use_an_endpoint_that_is_given_on_purpose(name: str) -> None:
    ran = run(*ON_AWS, "-x", env={name: DEAD[name], "IMS_TEST_AWS": "given"})
    assert ran.returncode == 1
    assert f'Could not connect to the endpoint URL: "{DEAD[name]}/"' in ran.stdout
