"""A gate before one service of the embedded AWS: an HTTP proxy on which requests go wrong as a script says.

What it does to a request happens to real sockets, so boto3's own time-outs, retries and parsing take part.
A gate that is shut refuses connections.
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
class Reply:
    """What goes back to the client; with `cut`, the connection breaks half way through the body."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False


class Reset(Exception):
    """The connection breaks here, without an answer."""


@dataclass
class Exchange:
    """One request on its way: `service` is `dynamodb` or `sqs`, `operation` that of the API."""

    gate: Gate
    service: str
    operation: str
    headers: dict[str, str]
    sent: bytes

    @cached_property
    def body(self) -> Any:
        """The request's parameters, as they are on the wire."""
        return json.loads(self.sent)

    def proceed(self, body: Any = None) -> Reply:
        """Let the service do what was asked, or what `body` asks instead."""
        content = self.sent if body is None else json.dumps(body).encode()
        reply = self.gate.forward(self.headers, content)
        if reply.status == 200:
            self.gate.done.append((self.operation, content))
        return reply

    def refuse(self, status: int, code: str, message: str, **members: Any) -> Reply:
        """An error of the service, in the shape in which AWS sends it."""
        kind = f"com.amazonaws.{'sqs' if self.service == 'sqs' else 'dynamodb.v20120810'}#{code}"
        side = "Sender" if status < 500 else "Receiver"
        query = {"x-amzn-query-error": f"{code};{side}"} if self.service == "sqs" else {}
        headers = {"Content-Type": "application/x-amz-json-1.0", **query}
        return Reply(status, headers, json.dumps({"__type": kind, "message": message, **members}).encode())

    def wait(self, seconds: float) -> None:
        """Let time pass, unless the gate is being closed."""
        self.gate.closing.wait(seconds)


Fault = Callable[[Exchange], Reply]
"""What happens instead of the plain request: it may let it through or not, and answers or raises `Reset`."""

Script = Callable[[Exchange], Fault | None]
"""Says which fault befalls a request, if any."""


def fair(_: Exchange) -> None:
    """Nothing goes wrong."""


@dataclass
class Gate:
    """The way to the service at `upstream`; `done` lists operation and body of all that it did."""

    upstream: str
    script: Script = fair
    done: list[tuple[str, bytes]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    _port: int = 0
    _server: _Server | None = None

    def __post_init__(self) -> None:
        self.open()

    @property
    def url(self) -> str:
        """Where clients connect; it stays the same when the gate is shut and opened again."""
        return f"http://{HOST}:{self._port}"

    def open(self) -> None:
        """Take connections."""
        if self._server is None:
            bound = listen(self._port)
            self._port = bound.getsockname()[1]
            self._server = _Server(self, bound)

    def shut(self) -> None:
        """Refuse connections, and break those that stand."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def away(self, seconds: float) -> None:
        """Be shut for some time, and wait for its end."""
        self.shut()
        time.sleep(seconds)
        self.open()

    def close(self) -> None:
        """Shut it for good, and let no request wait any longer."""
        self.closing.set()
        self.shut()

    def forward(self, headers: dict[str, str], body: bytes) -> Reply:
        """Send a request to the service and return its answer, unchanged."""
        address = urlsplit(self.upstream)
        upstream = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_UPSTREAM_SECONDS)
        try:
            upstream.request("POST", "/", body, headers | {"Content-Length": str(len(body))})
            answer = upstream.getresponse()
            kept = {
                name: value
                for name, value in answer.getheaders()
                if name.lower().startswith(("content-type", "x-amz"))
            }
            return Reply(answer.status, kept, answer.read())
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
        exchange = Exchange(self.server.gate, service, target.rpartition(".")[2], headers, body)
        fault = exchange.gate.script(exchange)
        try:
            reply = exchange.proceed() if fault is None else fault(exchange)
        except (Reset, OSError, http.client.HTTPException):
            self._reset()
            return
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        self.wfile.flush()
        if reply.cut:
            self._reset()

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    """Listens for one gate while it is open; a thread for each connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, gate: Gate, bound: socket.socket) -> None:
        super().__init__(bound.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.gate = gate
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
        # The base class would say goodbye (FIN) before a reset.
        with self._lock:
            self._connections.discard(request)
            request.close()

    def handle_error(self, *_: object) -> None:
        """The client went away."""
