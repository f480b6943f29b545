"""The stage under test: the one that the environment names; else a local stack is started."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import boto3
import pytest

from local.client import Api
from local.oms import Oms, new_id
from tests.support.local_stack import LocalStack


@pytest.fixture(scope="session", autouse=True)
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The environment of a user of the stage, as in `.local/env`."""
    if "IMS_API_URL" in os.environ:
        yield
        return
    with LocalStack(tmp_path_factory.mktemp("stack")) as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in stack.env.items():
            patch.setenv(name, value)
        yield


@dataclass
class Clients:
    """All callers of the stage: with a token to read, with one to write, without one, and the OMS."""

    reader: Api
    writer: Api
    anonymous: Api
    oms: Oms


@pytest.fixture(scope="session")
def clients(env: None) -> Iterator[Clients]:
    url = os.environ["IMS_API_URL"]
    sqs = boto3.client("sqs")
    yield Clients(
        Api(url, os.environ["IMS_TOKEN_READ"]),
        Api(url, os.environ["IMS_TOKEN_WRITE"]),
        Api(url, ""),
        Oms.of_environment(sqs),
    )
    sqs.close()


@pytest.fixture
def reader(clients: Clients) -> Api:
    return clients.reader


@pytest.fixture
def writer(clients: Clients) -> Api:
    return clients.writer


@pytest.fixture
def oms(clients: Clients) -> Oms:
    return clients.oms


@pytest.fixture
def product(writer: Api) -> Iterator[Callable[[int], str]]:
    """Creates a product with `quantity` in stock and returns its SKU.

    It is deleted after the test, unless orders hold units of it still.
    """
    made = []

    def make(quantity: int = 0) -> str:
        sku = new_id("E2E")
        created = writer.call("POST", "/products", {"sku": sku, "name": "Made by a test", "price": 1})
        assert created.status == 201
        made.append(sku)
        if quantity:
            assert writer.call("PUT", f"/inventory/{sku}", {"quantity": quantity}).status == 200
        return sku

    yield make
    for sku in made:
        writer.call("PUT", f"/inventory/{sku}", {"quantity": 0})
        gone = writer.call("DELETE", f"/products/{sku}")
        assert gone.status in (204, 404) or gone.body["code"] == "HAS_RESERVATIONS"
