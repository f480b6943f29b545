import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest
from chalice.app import Chalice, Response

from local import server
from local.emulator import listen
from local.gateway import API_SECONDS, AUTHORIZER_SECONDS, Gateway, HttpRequest, HttpResponse
from local.journal import journal
from local.server import MAX_BODY, serving
from tests.support.local_stack import ROOT

ALLOW_ALL = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": ["*"]}


def make_app() -> Chalice:
    app = Chalice("small", configure_logs=False)

    @app.authorizer()
    def authorizer(request: Any) -> Any:
        api = request.method_arn.split("/")[0] + "/api"
        match request.token:
            case "Bearer good":
                statements = [{**ALLOW_ALL, "Resource": [f"{api}/*/*"]}]
            case "Bearer reads":
                statements = [{**ALLOW_ALL, "Resource": f"{api}/GET/*"}]
            case "Bearer denied":
                statements = [ALLOW_ALL, {**ALLOW_ALL, "Effect": "Deny", "Resource": [f"{api}/GET/secret"]}]
            case "Bearer nonsense":
                return None
            case "Bearer unsure":
                raise RuntimeError("no keys")
            case _:
                raise RuntimeError("Unauthorized")
        return {"principalId": "me", "policyDocument": {"Statement": statements}, "context": {"level": 7}}

    @app.route("/secret", methods=["GET", "POST"], authorizer=authorizer)
    def secret() -> Any:
        assert app.current_request
        return app.current_request.context["authorizer"]

    @app.route("/echo/{name}", methods=["GET", "POST", "HEAD"], content_types=["*/*"])
    def echo(name: str) -> Any:
        assert app.current_request
        event = app.current_request.to_original_event()
        assert app.current_request.lambda_context
        seconds = app.current_request.lambda_context.get_remaining_time_in_millis() / 1000
        return {"name": name, "event": event, "seconds": seconds}

    @app.route("/echo/fixed", methods=["GET"])
    def fixed() -> Any:
        return {"name": "the fixed route"}

    @app.route("/empty", methods=["DELETE"])
    def empty() -> Response:
        return Response("", status_code=204)

    @app.route("/broken")
    def broken() -> Response:
        return Response({1, 2})  # Chalice cannot make JSON of it, and raises

    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    bound = listen()
    port: int = bound.getsockname()[1]
    with serving(Gateway(make_app()).handle, bound):
        yield port


@pytest.fixture
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    made = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    yield made
    made.close()


class Said:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> Said:
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    return Said(connection.getresponse())


def raw(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def assert_problem(said: Said, status: int, code: str) -> None:
    assert said.status == status
    assert said.headers["Content-Type"] == "application/problem+json"
    assert set(said.json) == {"type", "title", "status", "detail", "code", "request_id"}
    assert (said.json["status"], said.json["code"]) == (status, code)
    assert said.json["request_id"] == said.headers["x-amzn-RequestId"]


def assert_refused(answer: bytes, status: int) -> None:
    """The parser's own answer: only a status, and the connection ends."""
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "Bearer bad"}])
def test_without_a_valid_token_it_is_401(
    connection: http.client.HTTPConnection, headers: dict[str, str]
) -> None:
    said = ask(connection, "GET", "/secret", **headers)
    assert_problem(said, 401, "UNAUTHORIZED")
    assert said.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "token"), [("POST", "reads"), ("GET", "denied")])
def test_a_policy_that_does_not_open_the_call_is_403(
    connection: http.client.HTTPConnection, method: str, token: str
) -> None:
    assert_problem(ask(connection, method, "/secret", Authorization=f"Bearer {token}"), 403, "FORBIDDEN")


@pytest.mark.parametrize("token", ["unsure", "nonsense"])
def test_an_authorizer_that_fails_is_500(connection: http.client.HTTPConnection, token: str) -> None:
    said = ask(connection, "GET", "/secret", Authorization=f"Bearer {token}")
    assert_problem(said, 500, "INTERNAL_ERROR")
    assert "keys" not in said.json["detail"]


@pytest.mark.parametrize("token", ["good", "reads"])
def test_the_principal_and_the_context_as_text_reach_the_route(
    connection: http.client.HTTPConnection, token: str
) -> None:
    said = ask(connection, "GET", "/secret", Authorization=f"Bearer {token}")
    assert (said.status, said.json) == (200, {"principalId": "me", "level": "7"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nope"),
        ("GET", "/echo"),
        ("GET", "/echo//"),
        ("GET", "/echo/a/b"),
        ("PUT", "/secret"),
        ("BREW", "/secret"),
        ("OPTIONS", "/empty"),
    ],
)
def test_a_route_that_does_not_exist_is_404(
    connection: http.client.HTTPConnection, method: str, path: str
) -> None:
    assert_problem(ask(connection, method, path), 404, "NOT_FOUND")


def test_an_event_is_as_api_gateway_makes_it(connection: http.client.HTTPConnection) -> None:
    said = ask(connection, "POST", "/echo/a%20%2Fb;c?q=1&q=%C3%BC&empty=", "grüße".encode(), X_One="1")
    event = said.json["event"]
    assert event["pathParameters"] == {"name": "a%20%2Fb;c"}
    assert event["multiValueQueryStringParameters"] == {"q": ["1", "ü"], "empty": [""]}
    assert event["queryStringParameters"] == {"q": "ü", "empty": ""}
    assert (event["body"], event["isBase64Encoded"]) == ("grüße", False)
    assert event["headers"]["X-One"] == "1"
    context = event["requestContext"]
    assert context["requestId"] == said.headers["x-amzn-RequestId"]
    assert context["resourcePath"] == "/echo/{name}"
    assert context["path"] == "/echo/a%20%2Fb;c"
    assert context["stage"] == "api"
    assert context["identity"]["sourceIp"] == "127.0.0.1"


def test_headers_reach_the_event_as_they_were_sent(port: int) -> None:
    headers = b"Host: x\r\nConnection: close\r\nX-Two: 1\r\nuser-AGENT: me\r\nX-Two: 2"
    request = b"GET /echo/a HTTP/1.1\r\n" + headers + b"\r\n\r\n"
    event = json.loads(raw(port, request).partition(b"\r\n\r\n")[2])["event"]
    sent = {"Host": ["x"], "Connection": ["close"], "X-Two": ["1", "2"], "user-AGENT": ["me"]}
    assert event["multiValueHeaders"] == sent
    assert event["headers"] == {name: values[-1] for name, values in sent.items()}
    assert event["requestContext"]["identity"]["userAgent"] == "me"


def test_blanks_around_a_header_are_no_part_of_it(port: int) -> None:
    sent = b"Host: x\r\nConnection: close\r\nX-One: \t a b\t \r\nX-Two:\r\nX-Two:  2 "
    event = json.loads(raw(port, b"GET /echo/a HTTP/1.1\r\n" + sent + b"\r\n\r\n").partition(b"\r\n\r\n")[2])
    assert event["event"]["multiValueHeaders"]["X-One"] == ["a b"]
    assert event["event"]["multiValueHeaders"]["X-Two"] == ["", "2"]


def test_a_missing_body_and_query_are_null_in_the_event(connection: http.client.HTTPConnection) -> None:
    event = ask(connection, "GET", "/echo/a").json["event"]
    assert event["body"] is None
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None


def test_a_body_that_is_not_utf8_reaches_the_app_byte_for_byte(
    connection: http.client.HTTPConnection,
) -> None:
    event = ask(connection, "POST", "/echo/a", b'"\xff"').json["event"]
    assert (event["body"], event["isBase64Encoded"]) == ("Iv8i", True)


def test_a_fixed_route_wins_over_a_parameter_also_where_it_lacks_the_method(
    connection: http.client.HTTPConnection,
) -> None:
    assert ask(connection, "GET", "/echo/fixed").json["name"] == "the fixed route"
    assert_problem(ask(connection, "POST", "/echo/fixed"), 404, "NOT_FOUND")


def test_a_slash_at_the_end_makes_no_difference(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "GET", "/echo/a/").json["name"] == "a"


def test_one_connection_carries_many_requests_also_after_head_no_content_and_errors(
    connection: http.client.HTTPConnection,
) -> None:
    for _ in range(2):
        assert ask(connection, "HEAD", "/echo/a").body == b""
        client = connection.sock
        assert client is not None
        assert ask(connection, "DELETE", "/empty").status == 204
        assert ask(connection, "GET", "/nope").status == 404
        assert ask(connection, "POST", "/echo/a", b"x" * 100).status == 200
        assert connection.sock is client


def test_a_chunked_body_is_put_together(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/echo/a", iter([b"on", b"e ", b"body"]), encode_chunked=True)
    assert Said(connection.getresponse()).json["event"]["body"] == "one body"
    assert ask(connection, "GET", "/echo/b").status == 200


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, b"Content-Length: many"),
        (400, b"Content-Length: -1"),
        (400, b"Content-Length: 1\r\nContent-Length: 2"),
        (400, b"Transfer-Encoding: chunked\r\n\r\nzz"),
        (400, b"Transfer-Encoding: chunked\r\n\r\n-1"),
        (400, b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc"),
        (501, b"Transfer-Encoding: gzip"),
    ],
)
def test_a_body_without_a_clear_end_is_refused_and_ends_the_connection(
    port: int, status: int, headers: bytes
) -> None:
    answer = raw(port, b"POST /echo/a HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n")
    assert_refused(answer, status)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 9",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked",
    ],
)
def test_a_body_that_ends_too_early_reaches_no_route(port: int, headers: bytes) -> None:
    answer = raw(port, b"POST /echo/a HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n")
    if answer:  # hypercorn answers only if the end reaches it apart from the rest
        assert_refused(answer, 400)


@pytest.mark.parametrize(
    ("status", "request_line"),
    [
        (400, b"nonsense"),
        (400, b"GET"),
        (400, b"GET /a b HTTP/1.1"),
        (400, b"GET /a HTTP/9"),
        (400, b"GET /a HTTP/1.1"),  # without Host
        (431, b"GET /" + b"a" * 70000 + b" HTTP/1.1"),
    ],
)
def test_a_malformed_request_is_refused_and_ends_the_connection(
    port: int, status: int, request_line: bytes
) -> None:
    assert_refused(raw(port, request_line + b"\r\n\r\n"), status)


def test_a_body_over_ten_megabytes_is_413(connection: http.client.HTTPConnection) -> None:
    assert_problem(ask(connection, "POST", "/echo/a", b"x" * (MAX_BODY + 1)), 413, "REQUEST_TOO_LARGE")
    assert ask(connection, "POST", "/echo/a", b"x" * MAX_BODY).status == 200


def test_chunks_that_add_up_to_too_much_are_413(connection: http.client.HTTPConnection) -> None:
    chunks = iter([b"x" * (MAX_BODY // 2)] * 3)
    connection.request("POST", "/echo/a", chunks, encode_chunked=True)
    assert_problem(Said(connection.getresponse()), 413, "REQUEST_TOO_LARGE")


def test_a_function_that_crashes_is_502(connection: http.client.HTTPConnection) -> None:
    assert_problem(ask(connection, "GET", "/broken"), 502, "INTERNAL_ERROR")


def test_functions_have_the_time_of_the_deployed_ones(connection: http.client.HTTPConnection) -> None:
    text = (ROOT / "terraform" / "functions.tf").read_text()
    limits = re.findall(r"(\w+) = { memory_mb = \d+, timeout_seconds = (\d+),", text)
    seconds = {name: int(limit) for name, limit in limits}
    assert (seconds["api"], seconds["authorizer"]) == (API_SECONDS, AUTHORIZER_SECONDS)
    left = ask(connection, "GET", "/echo/a").json["seconds"]
    assert API_SECONDS - 1 < left <= API_SECONDS


def test_each_answer_has_its_line_in_the_journal(
    connection: http.client.HTTPConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: SimpleQueue[dict[str, Any]] = SimpleQueue()
    monkeypatch.setattr(journal, "info", lambda message, *, extra: lines.put({"message": message, **extra}))
    for path, status in (("/echo/a%20b?q=1", 200), ("/nope", 404)):
        said = ask(connection, "GET", path)
        # The lines of earlier tests may still arrive.
        line = next(
            line
            for line in iter(lambda: lines.get(timeout=10), None)
            if line["request_id"] == said.headers["x-amzn-RequestId"]
        )
        assert line.pop("milliseconds") >= 0
        assert line == {
            "message": "access",
            "request_id": said.headers["x-amzn-RequestId"],
            "method": "GET",
            "path": path.partition("?")[0],
            "status": status,
        }
    assert lines.empty()
    assert said.headers["Server"] == "ims-local"


def test_requests_of_many_threads_do_not_mix(port: int) -> None:
    gate = threading.Barrier(8)

    def ask_for(name: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        gate.wait(10)
        answers = [ask(connection, "GET", f"/echo/{name}?q={name}").json for _ in range(20)]
        connection.close()
        return all(
            (answer["name"], answer["event"]["queryStringParameters"]) == (str(name), {"q": str(name)})
            for answer in answers
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask_for, range(8)))


def test_many_connections_may_stay_open(port: int) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(100)]
    for _ in range(2):
        for connection in connections:
            connection.request("GET", "/echo/a")
        assert {Said(connection.getresponse()).status for connection in connections} == {200}
    for connection in connections:
        connection.close()


def connection_to(bound: socket.socket) -> http.client.HTTPConnection:
    host, port = bound.getsockname()
    return http.client.HTTPConnection(host, port, timeout=10)


def respond_after(seconds: float, request: HttpRequest) -> HttpResponse:
    time.sleep(seconds)
    return HttpResponse(200, {}, request.path.encode(), "an id")


def test_the_server_stops_at_once_and_leaves_no_connection_or_thread_open() -> None:
    before = threading.active_count()
    bound = listen()
    address = bound.getsockname()
    idle = connection_to(bound)
    with serving(partial(respond_after, 0), bound):
        assert ask(idle, "GET", "/").status == 200
        silent = socket.create_connection(address, timeout=10)
        began = time.monotonic()
    assert time.monotonic() - began < 1
    assert threading.active_count() == before
    assert silent.recv(1) == b""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(address, timeout=10)
    idle.close()
    silent.close()


def test_a_request_in_flight_is_answered_before_the_stop() -> None:
    bound = listen()
    connection = connection_to(bound)
    with serving(partial(respond_after, 0.3), bound):
        connection.request("GET", "/slow")
        time.sleep(0.1)
    assert Said(connection.getresponse()).body == b"/slow"
    connection.close()


def test_a_client_that_stalls_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_BODY_SECONDS", 0.3)
    bound = listen()
    client = socket.create_connection(bound.getsockname(), timeout=10)
    with serving(partial(respond_after, 0), bound):
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        time.sleep(0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 1
    client.close()
