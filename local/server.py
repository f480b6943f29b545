"""HTTP on loopback: hypercorn reads the requests, the gateway answers them in threads.

Source: https://hypercorn.readthedocs.io/en/latest/how_to_guides/api_usage.html
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from hypercorn.asyncio import serve
from hypercorn.config import Config

from chalicelib.api.problems import Problem
from local.gateway import API_SECONDS, Answer, Refusal, Request, problem
from local.journal import journal

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_BODY: Final = 10 * 1024 * 1024
_TOO_LARGE: Final = Refusal(
    Problem(413, "REQUEST_TOO_LARGE", "Request too large"), "The request is larger than API Gateway takes."
)
_THREADS: Final = 64
"""Requests answered at the same time; more of them wait."""
_BODY_SECONDS: Final = 10
"""Time for a body to arrive, so that a client that stalls cannot hold up the stop."""


class Server:
    """An ASGI application that calls `answer` in a thread of `threads` for each request."""

    def __init__(self, answer: Callable[[Request], Answer], threads: ThreadPoolExecutor) -> None:
        self._answer = answer
        self._threads = threads

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; source: https://asgi.readthedocs.io/en/latest/specs/www.html."""
        if scope["type"] != "http":
            return  # nothing to start or stop, and no WebSockets
        began = time.monotonic()
        body = await _body(receive)
        if body is None:
            return
        request = Request(
            scope["method"],
            scope["raw_path"].decode(),
            scope["query_string"].decode(),
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            body,
        )
        if len(body) > MAX_BODY:
            answer = problem(_TOO_LARGE, str(uuid.uuid4()))
        else:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, request)
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
        await send({"type": "http.response.body", "body": answer.body})
        journal.info(
            "access",
            extra={
                "request_id": answer.request_id,
                "method": request.method,
                "path": request.path,
                "status": answer.status,
                "milliseconds": round((time.monotonic() - began) * 1000, 1),
            },
        )


async def _body(receive: Any) -> bytes | None:
    """The body; None if not all of it comes in time. Of one that is too large, only the start is kept."""
    body = bytearray()
    with suppress(TimeoutError):
        async with asyncio.timeout(_BODY_SECONDS):
            while (message := await receive())["type"] == "http.request":
                body += message["body"][: MAX_BODY + 1 - len(body)]
                if not message["more_body"]:
                    return bytes(body)
    return None


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    pairs = [("Server", "ims-local")]
    if answer.status != 204:
        pairs.append(("Content-Length", str(len(answer.body))))
    for name, value in answer.headers.items():
        pairs += [(name, each) for each in ([value] if isinstance(value, str) else value)]
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


@contextmanager
def serving(answer: Callable[[Request], Answer], bound: socket.socket) -> Iterator[str]:
    """Serve `answer` on the listening socket `bound`, which is closed afterwards; yields the URL."""
    host, port = bound.getsockname()
    config = Config()
    config.bind = [f"fd://{bound.detach()}"]
    config.loglevel = "ERROR"
    config.include_server_header = False  # ours says ims-local
    config.graceful_timeout = API_SECONDS  # requests in flight are answered first
    config.h11_pass_raw_headers = True  # API Gateway passes the names of headers on as they were sent
    stop = threading.Event()
    with ThreadPoolExecutor(_THREADS, "rest") as threads:
        # Not the main thread: a `shutdown_trigger` keeps hypercorn away from signals.
        stopped = partial(asyncio.to_thread, stop.wait)
        running = serve(Server(answer, threads), config, shutdown_trigger=stopped)
        server = threading.Thread(target=asyncio.run, args=(running,))
        server.start()
        try:
            yield f"http://{host}:{port}"
        finally:
            stop.set()
            server.join()
