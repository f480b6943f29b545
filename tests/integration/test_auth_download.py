import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from chalicelib.auth.download import MAX_BYTES, TIMEOUT, download
from chalicelib.errors import KeysUnavailable, SettingsError
from tests.support.issuer import ec_key
from tests.support.key_server import (
    Behaviour,
    KeyServer,
    disconnecting,
    endless,
    responding,
    serving,
    silent,
    trickling,
)

TIMEOUT_SECONDS = 0.3
"""A short time-out, so that tests are quick."""


def download_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "download"]


def wait_until_no_thread_is_left() -> None:
    deadline = time.monotonic() + 5
    while download_threads():
        assert time.monotonic() < deadline, "a thread still downloads"
        time.sleep(0.01)


def test_document_is_fetched() -> None:
    with serving(responding(b'{"keys": []}')) as server:
        assert download(server.url) == b'{"keys": []}'
        assert download(server.url.replace("127.0.0.1", "localhost")) == b'{"keys": []}'


def test_path_and_query_are_requested_unchanged() -> None:
    asked: list[str] = []

    def record(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        asked.append(handler.path)
        responding(b"{}")(handler, over)

    with serving(record) as server:
        base = server.url.removesuffix("/.well-known/jwks.json")
        for tail in ("", "/", "/a%20b?x=1&y=%2F", "?only=query"):
            download(base + tail)
    assert asked == ["/", "/", "/a%20b?x=1&y=%2F", "/?only=query"]


@pytest.mark.parametrize("status", [201, 204, 304, 400, 401, 404, 429, 500, 503])
def test_status_other_than_200_is_a_failure(status: int) -> None:
    with serving(responding(b"{}", status)) as server, pytest.raises(KeysUnavailable, match=str(status)):
        download(server.url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with (
        serving(responding(b"{}")) as target,
        serving(responding(b"", status, Location=target.url)) as server,
    ):
        with pytest.raises(KeysUnavailable, match=str(status)):
            download(server.url)
        assert target.requests == 0


def test_document_may_be_as_large_as_the_limit_but_not_larger() -> None:
    with serving(responding(b"x" * MAX_BYTES)) as server:
        assert len(download(server.url)) == MAX_BYTES
        server.behave = responding(b"x" * (MAX_BYTES + 1))
        with pytest.raises(KeysUnavailable, match="bytes"):
            download(server.url)


def test_endless_document_is_aborted_at_the_limit() -> None:
    with serving(endless) as server, pytest.raises(KeysUnavailable, match="bytes"):
        download(server.url)
    wait_until_no_thread_is_left()


@pytest.mark.parametrize("garbage", [b"", b"\0" * 100, b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_response_that_is_not_http_is_a_failure(garbage: bytes) -> None:
    def behave(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        handler.wfile.write(garbage)

    with serving(behave) as server, pytest.raises(KeysUnavailable):
        download(server.url)


def test_server_that_disconnects_is_a_failure() -> None:
    with serving(disconnecting) as server, pytest.raises(KeysUnavailable):
        download(server.url)


def test_refused_connection_is_a_failure() -> None:
    with serving(silent) as server:
        url = server.url
    with pytest.raises(KeysUnavailable):
        download(url)


def test_unknown_host_is_a_failure() -> None:
    with pytest.raises(KeysUnavailable):
        download("https://no-such-host.invalid/jwks.json")


SLOW = {
    "silent": silent,
    "drips its status line": trickling(b"HTTP/1.1 200 "),
    "drips a header": trickling(b"HTTP/1.1 200 OK\r\nX-Long: "),
    "drips a body that ends with the connection": trickling(b"HTTP/1.0 200 OK\r\n\r\n"),
    "drips a body of known length": trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    "drips a chunk": trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n"),
}


@pytest.mark.parametrize("behave", SLOW.values(), ids=SLOW.keys())
def test_slow_server_times_out_and_leaves_no_thread_running(behave: Behaviour) -> None:
    with serving(behave) as server:
        start = time.monotonic()
        with pytest.raises(KeysUnavailable, match="Timeout"):
            download(server.url, TIMEOUT_SECONDS)
        assert TIMEOUT_SECONDS <= time.monotonic() - start < TIMEOUT_SECONDS + 1
        wait_until_no_thread_is_left()


def test_slow_server_times_out_after_two_seconds_by_default() -> None:
    with serving(SLOW["drips a body of known length"]) as server:
        start = time.monotonic()
        with pytest.raises(KeysUnavailable, match="Timeout"):
            download(server.url)
        assert TIMEOUT == 2
        assert 2 <= time.monotonic() - start < 3


def test_slow_name_resolution_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = threading.Event()

    def slow(*_args: object, **_kwargs: object) -> list[Any]:
        resolved.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server_port))]

    with serving(responding(b"{}")) as server:
        server_port = int(server.url.split(":")[2].split("/")[0])
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        start = time.monotonic()
        with pytest.raises(KeysUnavailable, match="Timeout"):
            download("http://localhost/", TIMEOUT_SECONDS)
        assert time.monotonic() - start < TIMEOUT_SECONDS + 1
        resolved.set()
        wait_until_no_thread_is_left()
        assert server.requests == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks.json",
        "http://128.0.0.1/",
        "http://0.0.0.0/",
        "http://[::2]/",
        "http://127.0.0.1.example/",
        "http://localhost.example/",
        "http://127.0.0.1@issuer.example/",
        "http://2130706433/",
        "http:///jwks.json",
        "https:///jwks.json",
        "https://",
        "https://issuer.example:port/",
        "https://issuer.example:70000/",
        "https://[::1/",
        "https://a\x7fb/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "//issuer.example/",
        "issuer.example/jwks.json",
        "/.well-known/jwks.json",
        "",
    ],
)
def test_url_other_than_https_or_loopback_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="AUTH_JWKS_URL"):
        download(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "LOCALHOST", "[::1]"])
def test_plain_http_is_accepted_on_any_loopback_host(host: str) -> None:
    with pytest.raises(KeysUnavailable):
        download(f"http://{host}:9/")


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://issuer.example/", ("issuer.example", 443)),
        ("https://issuer.example:8443/", ("issuer.example", 8443)),
        ("https://[2001:db8::1]/", ("2001:db8::1", 443)),
        ("https://user:secret@issuer.example/", ("issuer.example", 443)),
        ("http://[::1]/", ("::1", 80)),
        ("http://localhost:8080/", ("localhost", 8080)),
    ],
)
def test_host_and_port_are_those_of_the_url(
    monkeypatch: pytest.MonkeyPatch, url: str, endpoint: tuple[str, int]
) -> None:
    asked: list[tuple[str, int]] = []

    def record(host: str, port: int, *_: object) -> None:
        asked.append((host, port))
        raise OSError("not today")

    monkeypatch.setattr(socket, "getaddrinfo", record)
    with pytest.raises(KeysUnavailable, match="not today"):
        download(url)
    assert asked == [endpoint]


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        key = ec_key("tls").private
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        (tmp_path / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (tmp_path / "key.pem").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return tmp_path

    @pytest.fixture
    def server(self, certificate: Path) -> Iterator[KeyServer]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
        with serving(responding(b"{}"), context) as server:
            yield server

    def test_trusted_certificate_is_accepted(
        self, server: KeyServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
        assert download(server.url) == b"{}"

    def test_untrusted_certificate_is_refused(self, server: KeyServer) -> None:
        with pytest.raises(KeysUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            download(server.url)
        assert server.requests == 0

    def test_certificate_of_another_host_is_refused(
        self, server: KeyServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
        with pytest.raises(KeysUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            download(server.url.replace("localhost", "127.0.0.1"))

    def test_slow_handshake_times_out(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            start = time.monotonic()
            with pytest.raises(KeysUnavailable, match=r"[Tt]ime"):
                download(f"https://127.0.0.1:{deaf.getsockname()[1]}/", TIMEOUT_SECONDS)
            assert time.monotonic() - start < TIMEOUT_SECONDS + 1
            wait_until_no_thread_is_left()
