"""The whole local stack: starts the embedded AWS, the issuer, the REST API, the poller and the sweeper."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local import catalogue, emulator
from local.client import Api
from local.emulator import Emulator
from local.gateway import Gateway
from local.issuer import AUDIENCE, ISSUER, READ, WRITE, Issuer, publishing, write_private
from local.poller import Poller, polling
from local.server import serving
from local.stage import Stage, open_stage
from local.sweeper import Sweeper

ACCOUNT: Final = "000000000000"
# These are short, so that retries and dead letters can be watched. On AWS the visibility timeout is six times
# the function's time-out; here it only has to be longer.
VISIBILITY_SECONDS: Final = 4
FUNCTION_SECONDS: Final = 3
MAX_RECEIVE_COUNT: Final = 3
SWEEP_SECONDS: Final = 4
"""The least pause between sweeps; on AWS they come every minute."""
_LAST_PORT: Final = 65535
_FREE: Final = {"PORT": 8080, "AWS_PORT": 4600}
"""Ports to propose."""


class PortError(Exception):
    """The stack cannot listen on a port; the message says which one, why, and how to choose another."""

    def __init__(self, port: int | str, why: str, setting: str) -> None:
        free = port + 1 if isinstance(port, int) and 1024 <= port < _LAST_PORT else _FREE[setting]
        super().__init__(f"Port {port} {why}. Choose another: make run {setting}={free}")


def port_number(text: str, setting: str) -> int:
    """Read the port that the variable `setting` of `make run` chooses; raises `PortError`."""
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > _LAST_PORT:
        raise PortError(repr(text), f"is not a number from 0 to {_LAST_PORT}", setting)
    return int(text)


@dataclass(frozen=True, slots=True)
class Running:
    """A running stack; `env` has its URLs and tokens, like the file `env` in its folder."""

    env: dict[str, str]
    emulator: Emulator
    products_loaded: int


@contextmanager
def running(folder: Path, *, port: int, aws_port: int, reset: bool = False) -> Iterator[Running]:
    """Run the stack for the length of the block, with all its files in `folder`.

    `port` is the port of the REST API, `aws_port` that of the embedded AWS; 0 is any free one. `reset`
    deletes the data of earlier runs first, and says so on standard error.
    Raises `PortError`, `EmulatorError`, `CatalogueError`.
    """
    data = folder / "aws"
    with ExitStack() as stack:
        rest_socket = stack.enter_context(_listen(port, "PORT"))
        aws_socket = stack.enter_context(_listen(aws_port, "AWS_PORT"))
        if reset and data.exists():
            print(
                f"Deleting {data}: all products, stock, orders and messages of earlier runs.", file=sys.stderr
            )
            shutil.rmtree(data)
        aws = stack.enter_context(emulator.running(aws_socket, folder=data, log=folder / "emulator.log"))
        stage = open_stage(
            aws.endpoint_url,
            ACCOUNT,
            visibility_seconds=VISIBILITY_SECONDS,
            max_receive_count=MAX_RECEIVE_COUNT,
        )
        issuer = Issuer(folder / "issuer-key.pem")
        jwks_url = stack.enter_context(publishing(issuer, emulator.listen()))
        _set_environment(stage, jwks_url)

        import app  # not earlier: it needs the complete environment
        from chalicelib import bootstrap

        bootstrap.dynamodb()  # boto3 cannot create clients in several threads at once
        bootstrap.sqs()
        api_url = stack.enter_context(serving(Gateway(app.app).handle, rest_socket))
        env = {
            "IMS_API_URL": api_url,
            "IMS_TOKEN_READ": issuer.token("local-reader", READ),
            "IMS_TOKEN_WRITE": issuer.token("local-writer", WRITE),
            "AUTH_JWKS_URL": jwks_url,
            **stage.env,
        }
        loaded = catalogue.load_once(stage, Api(api_url, env["IMS_TOKEN_WRITE"]))
        poller = Poller(stage.sqs, stage.inventory_queue_url, app.on_sqs_message, time_limit=FUNCTION_SECONDS)
        sweeper = Sweeper(app.sweep, every=SWEEP_SECONDS, time_limit=FUNCTION_SECONDS)
        # One thread runs both functions, since here they share what each has for itself on AWS: the metrics
        # that the end of a call prints and removes, and the id of the call in the log.
        stack.enter_context(polling(poller, between=sweeper.sweep_if_due))
        lines = "".join(f"{name}={value}\n" for name, value in env.items())
        write_private(folder / "env", lines.encode())
        yield Running(env, aws, loaded)


def _set_environment(stage: Stage, jwks_url: str) -> None:
    """Set the variables that the functions read."""
    os.environ.update(stage.env, AUTH_ISSUER=ISSUER, AUTH_AUDIENCE=AUDIENCE, AUTH_JWKS_URL=jwks_url)


def _listen(port: int, setting: str) -> socket.socket:
    try:
        return emulator.listen(port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is taken by another program" if taken else f"cannot be used ({error.strerror})"
        raise PortError(port, why, setting) from error
