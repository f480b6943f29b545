import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from local.emulator import Emulator, listen, running
from local.stage import Stage, open_stage
from tests.support.local_stack import wait_for_snapshot

ACCOUNT = "100000000002"


def put(stage: Stage, sku: str) -> None:
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item={"sku": {"S": sku}})


def skus(stage: Stage) -> set[str]:
    items = stage.dynamodb.scan(TableName=stage.tables.inventory_table)["Items"]
    return {item["sku"]["S"] for item in items}


def fill(endpoint_url: str) -> None:
    stage = open_stage(endpoint_url, ACCOUNT)
    put(stage, "A")
    stage.sqs.send_message(QueueUrl=stage.oms_queue_url, MessageBody="an answer")


def has_all(endpoint_url: str) -> bool:
    stage = open_stage(endpoint_url, ACCOUNT)
    answers = stage.sqs.receive_message(QueueUrl=stage.oms_queue_url).get("Messages", [])
    return skus(stage) == {"A"} and [answer["Body"] for answer in answers] == ["an answer"]


def answers(endpoint_url: str) -> bool:
    try:
        urllib.request.urlopen(f"{endpoint_url}/_ministack/ready", timeout=1).close()
    except OSError:
        return False
    return True


def test_data_survives_a_clean_stop_and_a_change_of_port(tmp_path: Path) -> None:
    with running(folder=tmp_path) as first:
        fill(first.endpoint_url)
    with running(folder=tmp_path) as second:
        assert second.endpoint_url != first.endpoint_url
        assert has_all(second.endpoint_url)


def test_data_survives_a_kill(tmp_path: Path) -> None:
    first = Emulator.start(folder=tmp_path)
    fill(first.endpoint_url)
    wait_for_snapshot(tmp_path, lambda state: "an answer" in state)
    first.process.kill()
    first.stop()
    with running(folder=tmp_path) as second:
        assert has_all(second.endpoint_url)


def test_an_unreadable_snapshot_is_moved_away_and_the_previous_one_is_used(tmp_path: Path) -> None:
    with running(folder=tmp_path) as first:
        fill(first.endpoint_url)
        wait_for_snapshot(tmp_path, lambda state: "an answer" in state)
    newest = tmp_path / "snapshot.json"
    newest.write_text(newest.read_text()[:-100])
    with running(folder=tmp_path) as second:
        assert has_all(second.endpoint_url)
    assert (tmp_path / "snapshot.unreadable").exists()


def test_no_data_is_kept_without_a_folder(tmp_path: Path) -> None:
    with running() as first:
        fill(first.endpoint_url)
    with running() as second:
        assert not skus(open_stage(second.endpoint_url, ACCOUNT))


def test_it_listens_on_loopback_on_the_given_port() -> None:
    bound = listen()
    address = bound.getsockname()
    with running(bound) as emulator:
        assert emulator.endpoint_url == f"http://127.0.0.1:{address[1]}"


def test_a_taken_port_is_an_os_error() -> None:
    with listen() as taken, pytest.raises(OSError, match="in use"):
        listen(taken.getsockname()[1])


def test_the_emulator_ends_with_a_killed_parent() -> None:
    script = "from local.emulator import Emulator; print(Emulator.start().endpoint_url, flush=True); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout
        endpoint_url = parent.stdout.readline().strip()
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while answers(endpoint_url):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.1)


def test_the_callers_environment_does_not_reach_the_emulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIND_HOST", "0.0.0.0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    with running() as emulator:
        environment = Path(f"/proc/{emulator.process.pid}/environ")
        if not environment.exists():
            pytest.skip("needs /proc")
        assert b"AWS_" not in environment.read_bytes()
        assert b"BIND_HOST=127.0.0.1" in environment.read_bytes()


@pytest.mark.parametrize("headers", [{"Origin": "https://example.com"}, {"Host": "rebound.example.com"}])
def test_it_refuses_requests_of_web_pages(headers: dict[str, str]) -> None:
    with running() as emulator:
        url = f"{emulator.endpoint_url}/_ministack/reset"
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="POST"))
        refused.value.close()


def test_it_is_reached_despite_a_proxy_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen() as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "intranet.example.com")
        with running() as emulator:
            assert not skus(open_stage(emulator.endpoint_url, ACCOUNT))
        assert os.environ["no_proxy"] == "intranet.example.com,127.0.0.1"
