"""A key server on loopback with any behaviour, broken ones included."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[[BaseHTTPRequestHandler, threading.Event], None]


class KeyServer:
    """Handles each request with `behave`; counts the `requests`."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.requests = 0
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                with contextlib.suppress(OSError):
                    outer.behave(self, outer.over)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        host = "localhost" if tls else "127.0.0.1"
        self.url = f"{'https' if tls else 'http'}://{host}:{self._server.server_port}/.well-known/jwks.json"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[KeyServer]:
    server = KeyServer(behave, tls)
    try:
        yield server
    finally:
        server.close()


def responding(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def silent(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Accepts the request and sends nothing."""
    over.wait(30)


def trickling(head: bytes) -> Behaviour:
    """Sends `head`, then a byte every 20 ms for as long as anybody listens."""

    def behave(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        handler.wfile.write(head)
        while not over.wait(0.02):
            handler.wfile.write(b"x")

    return behave


def endless(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Sends as fast as it can for as long as anybody listens."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
    while not over.is_set():
        handler.wfile.write(b"x" * 65_536)


def disconnecting(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Closes the connection without a response."""
    handler.connection.shutdown(2)
