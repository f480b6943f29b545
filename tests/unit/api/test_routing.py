import gzip
import json
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import __version__, bootstrap
from chalicelib.contracts.requests import Part
from chalicelib.telemetry import logger
from tests.support.engines import Scripted, faults
from tests.support.rest import Context, RestClient, routes, threaded_app

PRODUCT = {"sku": "A", "name": "a", "price": 1}


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What the API logs."""
    handler: Any = logger.registered_handler
    stream = StringIO()
    usual = handler.setStream(stream)
    yield stream
    handler.setStream(usual)


def lines(log: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_health_is_open_and_needs_no_aws(rest: RestClient, script: Scripted) -> None:
    assert rest.get("/health").json == {"status": "ok", "version": __version__}
    assert script.results == []
    assert threaded_app().routes["/health"]["GET"].authorizer is None


def test_every_other_route_needs_a_token() -> None:
    routes = threaded_app().routes
    served = {
        (method, path): entry.authorizer
        for path, entries in routes.items()
        for method, entry in entries.items()
        if entry.view_function.__name__ != "refuse"
    }
    assert len([method for method, _ in served if method != "HEAD"]) == 19
    assert {path for method, path in served if method == "HEAD"} == {
        path for method, path in served if method == "GET"
    }
    assert {where for where, authorizer in served.items() if authorizer is None} == {
        ("GET", "/health"),
        ("HEAD", "/health"),
    }


def test_every_route_states_what_it_takes_and_gives() -> None:
    for (_, path), route in routes().items():
        in_path = {name for name, part in route.takes.parts().items() if part is Part.PATH}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert (route.gives is None) is (route.status == 204)
        assert route.view.__doc__


def test_every_field_of_a_request_is_marked_with_its_part() -> None:
    for route in routes().values():
        assert len(route.takes.parts()) == len(route.takes.model_fields)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/products", "GET, HEAD, POST"),
        ("/products/A", "DELETE, GET, HEAD, PATCH"),
        ("/inventory", "GET, HEAD"),
        ("/inventory/check", "POST"),
        ("/inventory/A", "GET, HEAD, PATCH, PUT"),
        ("/inventory/A/adjustments", "POST"),
        ("/inventory/A/counts", "POST"),
        ("/reservations", "POST"),
        ("/reservations/o-1", "GET, HEAD"),
        ("/reservations/o-1/confirm", "POST"),
        ("/reservations/o-1/extend", "POST"),
        ("/reservations/o-1/fulfill", "POST"),
        ("/reservations/o-1/release", "POST"),
        ("/health", "GET, HEAD"),
    ],
)
def test_an_unsupported_method_is_refused_with_the_allowed_ones(
    rest: RestClient, path: str, allowed: str
) -> None:
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(allowed.split(", ")):
        response = rest.call(method, path, "not even JSON")
        assert (response.status, response.headers["allow"]) == (405, allowed)
        assert method == "HEAD" or response.code == "METHOD_NOT_ALLOWED"


def test_a_head_response_has_no_body(rest: RestClient) -> None:
    response = rest.call("HEAD", "/inventory/check")
    assert (response.status, response.json) == (405, None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/products", 200),
        ("/products/A", 200),
        ("/products/B", 404),
        ("/products/%20", 400),
        ("/inventory", 200),
        ("/inventory/A", 200),
        ("/reservations/o-1", 404),
        ("/health", 200),
    ],
)
def test_head_has_the_status_and_headers_of_get_and_no_body(
    rest: RestClient, log: StringIO, path: str, status: int
) -> None:
    rest.post("/products", PRODUCT)
    got, head = rest.get(path), rest.call("HEAD", path)
    assert (head.status, head.headers, head.json) == (status, got.headers, None)
    assert got.status == status
    assert got.json
    assert [line["method"] for line in lines(log)] == ["POST", "GET", "HEAD"]


def test_a_path_is_decoded_once(rest: RestClient) -> None:
    rest.post("/products", PRODUCT)
    assert rest.get("/products/%41").status == 200
    for path in ("/products/%2541", "/products/a%2Fb", "/products/A+B"):
        assert rest.get(path).status == 404
    for path in ("/products/%ff", "/products/%00", "/products/%20a", "/products/a%CC%88"):
        response = rest.get(path)
        assert (response.status, response.code, response.fields) == (400, "VALIDATION_ERROR", ["sku"])


def test_a_call_logs_one_line(rest: RestClient, log: StringIO) -> None:
    response = rest.get("/inventory/A")
    (line,) = lines(log)
    assert line["duration_ms"] >= 0
    assert {name: line[name] for name in ("level", "method", "route", "status", "code")} == {
        "level": "INFO",
        "method": "GET",
        "route": "/inventory/{sku}",
        "status": 404,
        "code": "NOT_FOUND",
    }
    assert line["correlation_id"] == response.json["request_id"]


def test_no_log_holds_what_callers_sent(rest: RestClient, log: StringIO) -> None:
    rest.post("/products", PRODUCT | {"name": "secret"}, Authorization="secret")
    rest.post("/products", PRODUCT | {"name": "secret"}, Authorization="secret")
    rest.post("/products", {"name": ["secret"]}, Authorization="secret")
    rest.get("/products", next_token="secret")
    assert [line["status"] for line in lines(log)] == [201, 409, 400, 400]
    assert "secret" not in log.getvalue()


def test_an_internal_error_is_logged_in_full_and_not_shown(
    rest: RestClient, log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise RuntimeError("the inner secret")

    monkeypatch.setattr(bootstrap, "stock", broken)
    response = rest.get("/inventory/A")
    assert (response.status, response.code) == (500, "INTERNAL_ERROR")
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in json.dumps(response.json)
    (line,) = lines(log)
    assert line["level"] == "ERROR"
    assert "the inner secret" in line["exception"]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (faults.throttled, 503, "THROTTLED"),
        (faults.unavailable, 503, "UNAVAILABLE"),
        (faults.unreachable, 503, "UNAVAILABLE"),
    ],
)
def test_a_failing_table_has_the_status_for_what_the_caller_can_do(
    rest: RestClient, script: Scripted, fault: Any, status: int, code: str
) -> None:
    script.by_operation["get_item"] = [fault]
    response = rest.get("/inventory/A")
    assert (response.status, response.code) == (status, code)
    assert response.headers.get("retry-after") == ("1" if status == 503 else None)


def test_contention_is_reported_with_when_to_retry(rest: RestClient, script: Scripted) -> None:
    script.by_operation["transact_write_items"] = [faults.Conflict()] * 8
    response = rest.post("/products", PRODUCT)
    assert (response.status, response.code, response.headers["retry-after"]) == (503, "CONTENDED", "1")


def test_the_functions_request_id_is_used_if_the_gateway_sends_none(rest: RestClient) -> None:
    event = rest.event("GET", "/products/%20")
    del event["requestContext"]["requestId"]
    response = threaded_app()(event, Context())
    assert json.loads(response["body"])["request_id"] == "lambda-request"


def test_a_location_points_to_the_new_product(rest: RestClient) -> None:
    assert rest.post("/products", PRODUCT).headers["location"] == "/api/products/A"


@pytest.mark.parametrize("path", ["/base/products/", None])
def test_a_location_is_relative_to_the_path_that_was_called(rest: RestClient, path: str | None) -> None:
    event = rest.event("POST", "/products")
    event |= {"headers": {"content-type": "application/json"}, "body": json.dumps(PRODUCT)}
    if path:
        event["requestContext"]["path"] = path
    else:
        del event["requestContext"]["path"]
    response = threaded_app()(event, Context())
    assert response["headers"]["Location"] == ("/base/products/A" if path else "/products/A")


def test_a_body_with_invalid_encoding_is_refused(rest: RestClient) -> None:
    event = rest.event("POST", "/products")
    event |= {"headers": {"content-type": "application/json"}, "body": "a", "isBase64Encoded": True}
    response = threaded_app()(event, Context())
    assert (response["statusCode"], json.loads(response["body"])["code"]) == (400, "INVALID_JSON")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/products"),
        ("PATCH", "/products/A"),
        ("PUT", "/inventory/A"),
        ("PATCH", "/inventory/A"),
        ("POST", "/inventory/check"),
        ("POST", "/inventory/A/adjustments"),
        ("POST", "/inventory/A/counts"),
        ("POST", "/reservations"),
        ("POST", "/reservations/o/extend"),
    ],
)
def test_every_call_with_a_body_validates_it_strictly(rest: RestClient, method: str, path: str) -> None:
    expected = {
        ('{"a":', "application/json"): (400, "INVALID_JSON"),
        ("", "application/json"): (400, "INVALID_JSON"),
        ("{}", None): (400, "VALIDATION_ERROR"),
        ("{}", "application/json"): (400, "VALIDATION_ERROR"),
        ("[]", "application/json"): (400, "VALIDATION_ERROR"),
        ("{}", "text/plain"): (415, "UNSUPPORTED_MEDIA_TYPE"),
    }
    responses = {
        (body, content_type): rest.call(method, path, body, headers={"Content-Type": content_type})
        for body, content_type in expected
    }
    assert {asked: (response.status, response.code) for asked, response in responses.items()} == expected


FIELDS = [
    *("sku", "name", "price", "items", "quantity", "delta", "reason", "reorder_point"),
    *("order_id", "customer_id", "expires_at", "operation_id"),
]
bodies = st.binary(max_size=100) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS) | st.text(),
            inner,
        )
    ),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@given(
    st.sampled_from(
        [
            ("POST", "/products"),
            ("PATCH", "/products/A"),
            ("PUT", "/inventory/A"),
            ("PATCH", "/inventory/A"),
            ("POST", "/inventory/check"),
            ("POST", "/inventory/A/adjustments"),
            ("POST", "/inventory/A/counts"),
            ("POST", "/reservations"),
            ("POST", "/reservations/o/confirm"),
            ("POST", "/reservations/o/extend"),
            ("POST", "/reservations/o/fulfill"),
            ("POST", "/reservations/o/release"),
        ]
    ),
    bodies,
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_arbitrary_bodies_cause_no_internal_error(
    rest: RestClient, where: tuple[str, str], body: bytes
) -> None:
    assert rest.call(*where, body).status < 500


class TestContentType:
    @pytest.mark.parametrize(
        "content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"]
    )
    def test_json_is_read_whatever_the_parameters_of_its_type(
        self, rest: RestClient, content_type: str
    ) -> None:
        response = rest.call("POST", "/products", PRODUCT, headers={"Content-Type": content_type})
        assert response.status == 201

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/jsonp", "application/json, text/plain", ""]
    )
    def test_another_content_type_is_refused(self, rest: RestClient, content_type: str) -> None:
        response = rest.call("POST", "/products", PRODUCT, headers={"Content-Type": content_type})
        assert (response.status, response.code) == (415, "UNSUPPORTED_MEDIA_TYPE")

    @pytest.mark.parametrize("content_type", ["application/merge-patch+json", "Application/Merge-Patch+JSON"])
    def test_only_a_patch_may_be_a_merge_patch(self, rest: RestClient, content_type: str) -> None:
        headers = {"Content-Type": content_type}
        rest.post("/products", PRODUCT)
        assert rest.call("PATCH", "/products/A", {"price": 2}, headers=headers).json["price"] == 2
        changed = rest.call("PATCH", "/inventory/A", {"reorder_point": 3}, headers=headers)
        assert changed.json["reorder_point"] == 3
        response = rest.call("POST", "/products", PRODUCT | {"sku": "B"}, headers=headers)
        assert (response.status, response.code) == (415, "UNSUPPORTED_MEDIA_TYPE")

    @pytest.mark.parametrize(
        ("method", "path", "header", "accepted"),
        [
            ("POST", "/products", "accept", "application/json"),
            ("PATCH", "/products/A", "accept-patch", "application/json, application/merge-patch+json"),
            ("PATCH", "/inventory/A", "accept-patch", "application/json, application/merge-patch+json"),
        ],
    )
    def test_a_refusal_names_the_types_that_the_call_takes(
        self, rest: RestClient, method: str, path: str, header: str, accepted: str
    ) -> None:
        response = rest.call(method, path, {}, headers={"Content-Type": "application/xml"})
        assert (response.status, response.headers[header]) == (415, accepted)

    def test_a_missing_content_type_is_named(self, rest: RestClient) -> None:
        response = rest.call("POST", "/products", PRODUCT, headers={"Content-Type": None})
        assert (response.status, response.fields) == (400, ["Content-Type"])


class TestContentEncoding:
    @pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "deflate", "gzip, identity", "zstd", "unknown"])
    @pytest.mark.parametrize(
        "body", [gzip.compress(b"{}"), b"\xff\xfe", b"{}"], ids=["gzip", "bytes", "JSON"]
    )
    def test_a_compressed_body_is_415_whatever_it_holds(
        self, rest: RestClient, coding: str, body: bytes
    ) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": coding}
        response = rest.call("POST", "/products", body, headers=headers)
        assert (response.status, response.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert response.headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("coding", ["identity", "Identity", ""])
    def test_a_body_that_is_as_it_is_may_say_so(self, rest: RestClient, coding: str) -> None:
        assert rest.post("/products", PRODUCT, Content_Encoding=coding).status == 201


def stocked(rest: RestClient) -> None:
    rest.post("/products", PRODUCT)
    rest.put("/inventory/A", {"quantity": 5})


def spellings(name: str) -> st.SearchStrategy[str]:
    """`name` in any case of its letters."""
    return st.lists(st.booleans(), min_size=len(name), max_size=len(name)).map(
        lambda upper: "".join(c.upper() if up else c.lower() for c, up in zip(name, upper, strict=True))
    )


blanks = st.text(" \t", max_size=3)


class TestHeaders:
    @given(
        st.text([chr(code) for code in range(33, 127)], min_size=1, max_size=128),
        st.lists(st.tuples(spellings("Idempotency-Key"), blanks, blanks), min_size=1, max_size=3),
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
    def test_neither_blanks_nor_repeats_nor_the_case_of_a_name_change_a_key(
        self, rest: RestClient, key: str, forms: list[tuple[str, str, str]]
    ) -> None:
        stocked(rest)
        change = {"delta": 1, "reason": "RECEIVED"}
        first = rest.post("/inventory/A/adjustments", change, Idempotency_Key=key)
        headers: dict[str, list[str]] = {}
        for name, before, after in forms:
            headers.setdefault(name, []).append(before + key + after)
        again = rest.call("POST", "/inventory/A/adjustments", change, headers=headers)
        assert (first.status, again.status, again.json) == (200, 200, first.json)

    @pytest.mark.parametrize(
        "headers",
        [
            {"Idempotency-Key": ["a", "b"]},
            {"Idempotency-Key": ["a", "b", "a"]},
            {"Idempotency-Key": ["a", ""]},
            {"Idempotency-Key": ["a"], "idempotency-key": ["b"]},
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("PUT", "/inventory/A", {"quantity": 9}),
            ("POST", "/inventory/A/adjustments", {"delta": 1, "reason": "RECEIVED"}),
            ("POST", "/inventory/A/counts", {"counted": 9}),
        ],
    )
    def test_different_keys_in_one_request_are_refused(
        self, rest: RestClient, method: str, path: str, body: Any, headers: dict[str, list[str]]
    ) -> None:
        stocked(rest)
        response = rest.call(method, path, body, headers=headers)
        assert (response.status, response.code, response.fields) == (
            400,
            "VALIDATION_ERROR",
            ["Idempotency-Key"],
        )
        assert "several values" in response.json["detail"]
        assert rest.get("/inventory/A").json["quantity"] == 5

    def test_different_types_of_one_body_are_refused(self, rest: RestClient) -> None:
        types = ["application/json", "text/plain"]
        for values in (types, types[::-1]):
            response = rest.call("POST", "/products", PRODUCT, headers={"Content-Type": values})
            assert (response.status, response.code, response.fields) == (
                400,
                "VALIDATION_ERROR",
                ["Content-Type"],
            )

    def test_one_type_may_be_repeated_with_blanks(self, rest: RestClient) -> None:
        types = ["application/json", " application/json\t"]
        assert rest.call("POST", "/products", PRODUCT, headers={"Content-Type": types}).status == 201

    def test_a_content_coding_counts_wherever_it_is(self, rest: RestClient) -> None:
        codings = ["gzip", "identity"]
        for values in (codings, codings[::-1]):
            response = rest.call("POST", "/products", PRODUCT, headers={"Content-Encoding": values})
            assert response.code == "UNSUPPORTED_MEDIA_TYPE"

    def test_an_event_without_all_values_is_read_by_the_last_one(self, rest: RestClient) -> None:
        event = rest.event("POST", "/products")
        event |= {"headers": {"content-type": " application/json "}, "body": json.dumps(PRODUCT)}
        del event["multiValueHeaders"]
        assert threaded_app()(event, Context())["statusCode"] == 201
