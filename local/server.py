"""HTTP on loopback: reads requests, hands them to the gateway, writes its answers."""

from __future__ import annotations

import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from chalice.local import ThreadedHTTPServer

from chalicelib.api.problems import Problem
from local.gateway import Answer, Refusal, Request, problem
from local.journal import journal

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_BODY: Final = 10 * 1024 * 1024
_DRAINED: Final = 64 * 1024 * 1024
"""Bytes read and thrown away of a body that is too large: a client that still sends hears no answer."""
_BAD_REQUEST: Final = Problem(400, "VALIDATION_ERROR", "Invalid request")
_TOO_LARGE: Final = Problem(413, "REQUEST_TOO_LARGE", "Request too large")


class Handler(BaseHTTPRequestHandler):
    """One connection, with any number of requests one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True
    wbufsize = -1

    def __init__(self, *args: Any, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer
        super().__init__(*args)

    def __getattr__(self, name: str) -> Any:
        # The base class looks for do_GET and so on; which methods there are, the gateway knows.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        began = time.monotonic()
        try:
            answer = self._answer(Request(self.command, self.path, self.headers, self._read_body()))
        except Refusal as refusal:
            self.close_connection = True  # where the next request begins is not known
            answer = problem(refusal, str(uuid.uuid4()))
        self._send(answer)
        journal.info(
            "access",
            extra={
                "request_id": answer.request_id,
                "method": self.command,
                "path": self.path.partition("?")[0],
                "status": answer.status,
                "milliseconds": round((time.monotonic() - began) * 1000, 1),
            },
        )

    def _read_body(self) -> bytes:
        """The body; raises `Refusal` if where it ends cannot be told, or if it is too large.

        Source: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
        """
        lengths = {value.strip() for value in self.headers.get_all("Content-Length", [])}
        coding = self.headers.get("Transfer-Encoding")
        if coding is not None:
            if lengths or coding.strip().lower() != "chunked":
                raise Refusal(_BAD_REQUEST, "The Transfer-Encoding is not understood.")
            return self._read_chunks()
        if not lengths:
            return b""
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdecimal()):
            raise Refusal(_BAD_REQUEST, "The Content-Length is not a number.")
        return self._read(int(length))

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := self._chunk_size():
            body += self._read(size, len(body))
            if self.rfile.readline(3).strip():
                raise Refusal(_BAD_REQUEST, "A chunk does not end where it should.")
        while self.rfile.readline(65537).strip():  # trailer fields
            pass
        return bytes(body)

    def _chunk_size(self) -> int:
        digits = self.rfile.readline(4097).partition(b";")[0].strip()
        if not digits or digits.strip(b"0123456789abcdefABCDEF"):
            raise Refusal(_BAD_REQUEST, "A chunk's size is not a number.")
        return int(digits, 16)

    def _read(self, length: int, before: int = 0) -> bytes:
        if before + length > MAX_BODY:
            self._drain(min(length, _DRAINED))
            raise Refusal(_TOO_LARGE, "The request is larger than API Gateway takes.")
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refusal(_BAD_REQUEST, "The body ends before its Content-Length.")
        return body

    def _drain(self, length: int) -> None:
        while length > 0 and (read := len(self.rfile.read(min(length, 1 << 16)))):
            length -= read

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            for each in [value] if isinstance(value, str) else value:
                self.send_header(name, each)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        """What the header Server says."""
        return "ims-local"

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is no HTTP request at all; the base class would write a page of HTML."""
        self.close_connection = True
        self.request_version = self.protocol_version  # else the answer would be one of HTTP/0.9
        status = HTTPStatus(code)
        kind = Problem(code, _BAD_REQUEST.code, status.phrase)
        self._send(problem(Refusal(kind, f"{message or status.description}."), str(uuid.uuid4())))

    def log_message(self, *_: Any) -> None:
        """Say nothing: the journal says it."""


class Server(ThreadedHTTPServer):
    """A thread for each connection."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what a connection's thread raised, unless its client just went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(answer: Callable[[Request], Answer], bound: socket.socket) -> Iterator[str]:
    """Serve `answer` on the listening socket `bound` for the length of the block; yields the URL."""
    address = bound.getsockname()
    # Not bound by the server itself, which would look up this machine's name, and that can take seconds.
    server = Server(address, partial(Handler, answer=answer), bind_and_activate=False)
    server.socket.close()
    server.socket = bound
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{address[0]}:{address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
