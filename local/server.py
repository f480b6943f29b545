"""HTTP on loopback: hypercorn reads the requests, and the gateway handles them in threads.

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
from local.gateway import API_SECONDS, HttpRequest, HttpResponse, Refusal, problem_response
from local.journal import journal

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_BODY: Final = 10 * 1024 * 1024
_TOO_LARGE: Final = Refusal(
    Problem(413, "REQUEST_TOO_LARGE", "Request too large"),
    "The request is larger than API Gateway accepts.",
)
_THREADS: Final = 64
"""The number of requests handled at the same time; further ones wait."""
_BODY_SECONDS: Final = 10
"""The time for a body to arrive, so that a stalled client cannot delay the stop."""


class Server:
    """An ASGI application that calls `handle` for each request, in a thread of `threads`."""

    def __init__(self, handle: Callable[[HttpRequest], HttpResponse], threads: ThreadPoolExecutor) -> None:
        self._handle = handle
        self._threads = threads

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request; source: https://asgi.readthedocs.io/en/latest/specs/www.html."""
        if scope["type"] != "http":
            return  # nothing to start or stop, and no WebSockets
        began = time.monotonic()
        body = await _read_body(receive)
        if body is None:
            return
        request = HttpRequest(
            scope["method"],
            scope["raw_path"].decode(),
            scope["query_string"].decode(),
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            body,
        )
        if len(body) > MAX_BODY:
            response = problem_response(_TOO_LARGE, str(uuid.uuid4()))
        else:
            response = await asyncio.get_running_loop().run_in_executor(self._threads, self._handle, request)
        headers = _headers(request.method, response)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        journal.info(
            "access",
            extra={
                "request_id": response.request_id,
                "method": request.method,
                "path": request.path,
                "status": response.status,
                "milliseconds": round((time.monotonic() - began) * 1000, 1),
            },
        )


async def _read_body(receive: Any) -> bytes | None:
    """Read the body, but not more than is allowed and one byte; None if it is not complete in time."""
    body = bytearray()
    with suppress(TimeoutError):
        async with asyncio.timeout(_BODY_SECONDS):
            while (message := await receive())["type"] == "http.request":
                body += message["body"][: MAX_BODY + 1 - len(body)]
                if not message["more_body"]:
                    return bytes(body)
    return None


def _headers(method: str, response: HttpResponse) -> list[tuple[bytes, bytes]]:
    pairs = [("Server", "ims-local")]
    # To HEAD it would be the length that GET has. If the app left the body out, nobody knows that length.
    # Source: https://www.rfc-editor.org/rfc/rfc9110#section-8.6
    if response.status != 204 and (method != "HEAD" or response.body):
        pairs.append(("Content-Length", str(len(response.body))))
    for name, value in response.headers.items():
        pairs += [(name, each) for each in ([value] if isinstance(value, str) else value)]
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


@contextmanager
def serving(handle: Callable[[HttpRequest], HttpResponse], bound: socket.socket) -> Iterator[str]:
    """Serve `handle` on the listening socket `bound`, which is closed afterwards; yields the URL."""
    host, port = bound.getsockname()
    config = Config()
    config.bind = [f"fd://{bound.detach()}"]
    config.loglevel = "ERROR"
    config.include_server_header = False  # Server says ims-local instead
    config.graceful_timeout = API_SECONDS  # requests in flight get their responses first
    config.h11_pass_raw_headers = True  # API Gateway does not change the names of headers
    stop = threading.Event()
    with ThreadPoolExecutor(_THREADS, "rest") as threads:
        # hypercorn runs outside the main thread; with a `shutdown_trigger` it installs no signal handlers.
        stopped = partial(asyncio.to_thread, stop.wait)
        running = serve(Server(handle, threads), config, shutdown_trigger=stopped)
        server = threading.Thread(target=asyncio.run, args=(running,))
        server.start()
        try:
            yield f"http://{host}:{port}"
        finally:
            stop.set()
            server.join()
