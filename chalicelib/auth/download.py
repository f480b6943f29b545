"""Downloads one small document over HTTPS, within a time limit that the server cannot exceed."""

import time
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from socket import SHUT_RDWR, socket
from typing import Final
from urllib.parse import urlsplit

from chalicelib.aws.deadline import run_in_thread
from chalicelib.errors import KeysUnavailable, SettingsError

TIMEOUT: Final = 2.0
"""Seconds for the whole download: from name resolution to the last byte."""
MAX_BYTES: Final = 150_000
"""The same limit as that of API Gateway's own JWT authorizer.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""


def download(url: str, timeout: float = TIMEOUT) -> bytes:
    """Fetch the document at `url` (https, or http on a loopback host) within `timeout` seconds.

    It follows no redirects and uses no proxy. A separate thread does the work, since the time-out of a socket
    restarts with each byte, and name resolution has none.
    Raises `KeysUnavailable`, or `SettingsError` for any other kind of URL.
    """
    connection, target = _endpoint(url, timeout)
    sockets: list[socket] = []
    deadline = time.monotonic() + timeout

    def work() -> bytes:
        with closing(connection):
            connection.connect()
            sockets.append(connection.sock)
            if time.monotonic() > deadline:
                raise TimeoutError
            return _get(connection, target)

    try:
        return run_in_thread(timeout, work, name="download")
    except Exception as error:
        raise KeysUnavailable(f"the key set could not be fetched: {error!r}") from error
    finally:
        # This ends the thread if it is still reading from a slow server.
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(SHUT_RDWR)


def _get(connection: HTTPConnection, target: str) -> bytes:
    connection.request("GET", target, headers={"Accept": "application/json"})
    with connection.getresponse() as response:
        if response.status != 200:
            raise HTTPException(f"status {response.status}")
        body = response.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise HTTPException(f"more than {MAX_BYTES} bytes")
    return body


def _endpoint(url: str, timeout: float) -> tuple[HTTPConnection, str]:
    with suppress(ValueError, HTTPException):
        parts = urlsplit(url)
        host = parts.hostname or ""
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if parts.scheme == "https" and host:
            return HTTPSConnection(host, parts.port or 443, timeout=timeout), target
        if parts.scheme == "http" and _is_loopback(host):
            return HTTPConnection(host, parts.port or 80, timeout=timeout), target
    raise SettingsError("invalid environment: AUTH_JWKS_URL: must be an https URL (http only on loopback)")


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return host == "localhost" or ip_address(host).is_loopback
    return False
