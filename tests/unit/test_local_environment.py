import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from deploy import package
from local import environment

CALLERS = {
    "AWS_PROFILE": "mine",
    "AWS_REGION": "eu-central-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4567",
    "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:8001",
    "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9324",
    "AWS_CALLS": "all",
    "BOTO_CONFIG": "/mine",
    "AUTH_ISSUER": "https://mine.example.com",
    "POWERTOOLS_SERVICE_NAME": "mine",
    "LOG_LEVEL": "trace",
}
LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ACCESS_KEY_ID": "000000000000", "AWS_REGION": "r"}
OTHERS = {"HOME": "/home/me", "PATH": "/bin", "RES_OPTIONS": "timeout:1"}


@pytest.fixture(autouse=True)
def shell() -> Iterator[None]:
    with patch.dict(os.environ, {**OTHERS, **CALLERS}, clear=True):
        yield


def variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environment, "ENV_FILE", tmp_path / "env")
    return tmp_path / "env"


def test_isolation_removes_the_callers_settings_and_nothing_else() -> None:
    environment.isolate()
    assert variables() == OTHERS | environment.NO_ACCOUNT


def test_without_a_stage_in_the_environment_the_file_names_it(file: Path) -> None:
    file.write_text("IMS_API_URL=http://127.0.0.1:8000\nAWS_REGION=us-east-1\n")
    environment.enter_stage(["IMS_API_URL"])
    hosts = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    stage = {"IMS_API_URL": "http://127.0.0.1:8000", "AWS_REGION": "us-east-1"}
    assert variables() == OTHERS | environment.NO_ACCOUNT | hosts | stage


def test_an_endpoint_on_this_machine_is_no_stage(file: Path) -> None:
    with pytest.raises(environment.NoStage, match="IMS_INVENTORY_QUEUE_URL is not set"):
        environment.enter_stage(["IMS_INVENTORY_QUEUE_URL"])


@pytest.mark.parametrize("enter", [lambda: environment.enter_stage([]), environment.isolate_tests])
def test_a_deployed_stage_in_the_environment_keeps_the_callers_account(file: Path, enter: object) -> None:
    file.write_text("AWS_REGION=us-east-1\n")
    os.environ["IMS_API_URL"] = "https://api.example.com"
    before = variables()
    assert callable(enter)
    enter()
    assert variables() == before


def test_of_a_local_stage_in_the_environment_only_its_own_access_is_kept(file: Path) -> None:
    os.environ.update(LOCAL, IMS_API_URL="http://127.0.0.1:8000")
    environment.enter_stage([])
    assert {name for name in os.environ if name.startswith("AWS_")} == LOCAL.keys() | environment.NO_ACCOUNT


def test_what_is_missing_is_named(file: Path) -> None:
    with pytest.raises(environment.NoStage, match=r"IMS_TOKEN_WRITE is not set.*make run"):
        environment.enter_stage(["IMS_TOKEN_WRITE"])


@pytest.mark.parametrize("switch", [{}, {"IMS_TEST_AWS": ""}, {"IMS_TEST_AWS": "embedded"}])
def test_tests_see_no_endpoint_of_the_caller(switch: dict[str, str]) -> None:
    os.environ.update(switch)
    environment.isolate_tests()
    assert variables() == OTHERS | environment.NO_ACCOUNT | switch | {"AWS_CALLS": "all"}


def test_tests_keep_the_endpoints_that_are_given_on_purpose() -> None:
    os.environ["IMS_TEST_AWS"] = "given"
    environment.isolate_tests()
    kept = {name: value for name, value in CALLERS.items() if name.startswith(("AWS_CALLS", "AWS_ENDPOINT"))}
    assert len(kept) == 4
    assert variables() == OTHERS | environment.NO_ACCOUNT | kept | {"IMS_TEST_AWS": "given"}


def test_tests_of_a_local_stage_keep_its_access_and_nothing_else_of_the_callers() -> None:
    os.environ.update(LOCAL, IMS_API_URL="http://127.0.0.1:8000")
    environment.isolate_tests()
    kept = {name for name in os.environ if name.startswith("AWS_")} - environment.NO_ACCOUNT.keys()
    assert kept == {"AWS_CALLS", *LOCAL}
    assert LOCAL.items() <= os.environ.items()


def test_packaging_sees_none_of_the_callers_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def build(_: Path) -> str:
        seen.update(variables())
        return "built"

    monkeypatch.setattr(package, "build", build)
    assert package.main() == 0
    assert seen == OTHERS | environment.NO_ACCOUNT
