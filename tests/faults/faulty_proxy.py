"""An HTTP proxy before one service of the embedded AWS, on which requests fail as a script says.

The faults happen on real sockets, so boto3's own time-outs, retries and parsing take part. A stopped proxy
refuses connections.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from local.emulator import HOST, listen

_UPSTREAM_SECONDS: Final = 60
_KEPT: Final = ("authorization", "content-type", "user-agent")
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER for 0 s: closing sends RST


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back to the client.

    cut: the connection breaks in the middle of the body.
    seconds_per_byte: the pause after each byte of the body.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False
    seconds_per_byte: float = 0.0


class Reset(Exception):
    """The connection breaks here, without a response."""


@dataclass
class Exchange:
    """One request on its way: `service` is `dynamodb` or `sqs`, `operation` that of the API."""

    proxy: FaultyProxy
    service: str
    operation: str
    headers: dict[str, str]
    sent: bytes

    @cached_property
    def body(self) -> Any:
        """The request's parameters as JSON."""
        return json.loads(self.sent)

    def proceed(self, body: Any = None) -> Response:
        """Forward the request to the service, or `body` in its place."""
        content = self.sent if body is None else json.dumps(body).encode()
        response = self.proxy.forward(self.headers, content)
        if response.status == 200:
            self.proxy.completed.append((self.operation, content))
        return response

    def refuse(self, status: int, code: str, message: str, **members: Any) -> Response:
        """An error of the service, in the shape that AWS sends."""
        kind = f"com.amazonaws.{'sqs' if self.service == 'sqs' else 'dynamodb.v20120810'}#{code}"
        side = "Sender" if status < 500 else "Receiver"
        query = {"x-amzn-query-error": f"{code};{side}"} if self.service == "sqs" else {}
        headers = {"Content-Type": "application/x-amz-json-1.0", **query}
        return Response(status, headers, json.dumps({"__type": kind, "message": message, **members}).encode())

    def wait(self, seconds: float) -> None:
        """Let time pass, unless the proxy closes."""
        self.proxy.closing.wait(seconds)


Fault = Callable[[Exchange], Response]
"""What happens to a request: a fault forwards it or not, and returns a response or raises `Reset`."""

Script = Callable[[Exchange], Fault | None]
"""Says which fault a request meets, if any."""


def no_fault(_: Exchange) -> None:
    """A script without faults."""


@dataclass
class FaultyProxy:
    """A proxy for the service at `upstream`; `completed` lists the operation and body of each success."""

    upstream: str
    script: Script = no_fault
    completed: list[tuple[str, bytes]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    _port: int = 0
    _server: _Server | None = None

    def __post_init__(self) -> None:
        self.start()

    @property
    def url(self) -> str:
        """Where clients connect; it stays the same when the proxy stops and starts again."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Accept connections."""
        if self._server is None:
            bound = listen(self._port)
            self._port = bound.getsockname()[1]
            self._server = _Server(self, bound)

    def stop(self) -> None:
        """Refuse connections, and break open ones."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def outage(self, seconds: float) -> None:
        """Stop for `seconds`, and wait until they are over."""
        self.stop()
        time.sleep(seconds)
        self.start()

    def close(self) -> None:
        """Stop for good, and let no request wait any longer."""
        self.closing.set()
        self.stop()

    def forward(self, headers: dict[str, str], body: bytes) -> Response:
        """Send a request to the service and return its response, unchanged."""
        address = urlsplit(self.upstream)
        upstream = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_UPSTREAM_SECONDS)
        try:
            upstream.request("POST", "/", body, headers | {"Content-Length": str(len(body))})
            response = upstream.getresponse()
            kept = {
                name: value
                for name, value in response.getheaders()
                if name.lower().startswith(("content-type", "x-amz"))
            }
            return Response(response.status, kept, response.read())
        finally:
            upstream.close()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client, with any number of requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers["X-Amz-Target"]
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() in _KEPT or name.lower().startswith("x-amz")
        }
        service = "sqs" if target.startswith("AmazonSQS.") else "dynamodb"
        exchange = Exchange(self.server.proxy, service, target.rpartition(".")[2], headers, body)
        fault = exchange.proxy.script(exchange)
        try:
            response = exchange.proceed() if fault is None else fault(exchange)
        except (Reset, OSError, http.client.HTTPException):
            self._reset()
            return
        self._send(response)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        body = response.body[: len(response.body) // 2] if response.cut else response.body
        step = 1 if response.seconds_per_byte else max(1, len(body))
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            self.server.proxy.closing.wait(response.seconds_per_byte)
        if response.cut:
            self._reset()

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    """Listens for one proxy while it is started; a thread for each connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: FaultyProxy, bound: socket.socket) -> None:
        super().__init__(bound.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.proxy = proxy
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        # The base class would send FIN before a reset.
        with self._lock:
            self._connections.discard(request)
            request.close()

    def handle_error(self, *_: object) -> None:
        """The client went away."""
