import json
from collections.abc import Iterator

import pytest

from chalicelib import errors
from chalicelib.api.problems import problem_of, response_to
from chalicelib.errors import FieldError, ImsError, Reason

RESPONSES = {
    errors.ImsError: (500, "INTERNAL_ERROR"),
    errors.InvalidInput: (400, "VALIDATION_ERROR"),
    errors.InvalidJson: (400, "INVALID_JSON"),
    errors.InvalidPageToken: (400, "INVALID_TOKEN"),
    errors.UnsupportedMediaType: (415, "UNSUPPORTED_MEDIA_TYPE"),
    errors.MethodNotAllowed: (405, "METHOD_NOT_ALLOWED"),
    errors.NotFound: (404, "NOT_FOUND"),
    errors.Conflict: (500, "INTERNAL_ERROR"),
    errors.AlreadyExists: (409, "ALREADY_EXISTS"),
    errors.InsufficientStock: (409, "INSUFFICIENT_STOCK"),
    errors.QuantityMismatch: (409, "QUANTITY_MISMATCH"),
    errors.VersionMismatch: (409, "VERSION_MISMATCH"),
    errors.BelowReserved: (409, "BELOW_RESERVED"),
    errors.HasReservations: (409, "HAS_RESERVATIONS"),
    errors.HasStock: (409, "HAS_STOCK"),
    errors.StockLimit: (409, "STOCK_LIMIT"),
    errors.IdempotencyKeyReused: (409, "IDEMPOTENCY_KEY_REUSED"),
    # No view raises these three.
    errors.Unauthenticated: (500, "INTERNAL_ERROR"),
    errors.KeysUnavailable: (500, "INTERNAL_ERROR"),
    errors.Poison: (500, "INTERNAL_ERROR"),
    errors.Contended: (503, "CONTENDED"),
    errors.Unavailable: (503, "UNAVAILABLE"),
    errors.OutOfTime: (503, "UNAVAILABLE"),
    errors.OutcomeUnknown: (503, "UNAVAILABLE"),
    errors.AwsError: (500, "INTERNAL_ERROR"),
    errors.Throttled: (503, "THROTTLED"),
    errors.Unreachable: (503, "UNAVAILABLE"),
    errors.TransactionCancelled: (500, "INTERNAL_ERROR"),
    errors.Refused: (500, "INTERNAL_ERROR"),
    errors.SettingsError: (500, "INTERNAL_ERROR"),
}


def error_classes(root: type[ImsError] = ImsError) -> Iterator[type[ImsError]]:
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)


def make_error(kind: type[ImsError]) -> ImsError:
    if issubclass(kind, errors.TransactionCancelled):
        return kind([Reason("ConditionalCheckFailed", None)])
    if issubclass(kind, errors.MethodNotAllowed):
        return kind("secret", ["GET", "POST"])
    if issubclass(kind, errors.UnsupportedMediaType):
        return kind("secret", {"Accept": "application/json"})
    if issubclass(kind, errors.BelowReserved):
        return kind("secret", 3)
    if issubclass(kind, errors.Refused):
        return kind("secret", "AccessDenied")
    return kind("secret")


def test_every_error_class_has_a_known_response() -> None:
    ours = {kind for kind in error_classes() if kind.__module__.startswith("chalicelib.errors")}
    assert ours == RESPONSES.keys()


@pytest.mark.parametrize("kind", RESPONSES, ids=lambda kind: kind.__name__)
def test_an_error_becomes_problem_details(kind: type[ImsError]) -> None:
    status, code = RESPONSES[kind]
    response = response_to(make_error(kind), "req-1")
    body = json.loads(response.body)
    assert (response.status_code, body["status"], body["code"]) == (status, status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert body["type"] == "urn:problem-type:ims:" + code.lower().replace("_", "-")
    assert body["title"]
    assert body["request_id"] == "req-1"
    unknown = kind is errors.OutcomeUnknown
    assert ("secret" in body["detail"]) is (unknown or code not in {"INTERNAL_ERROR", "UNAVAILABLE"})
    # A client that finds Retry-After repeats the request, which must be safe.
    assert ("Retry-After" in response.headers) is (status == 503 and not unknown)


def test_a_foreign_error_shows_no_details() -> None:
    response = response_to(KeyError("secret"), "req-1")
    assert response.status_code == 500
    assert "secret" not in response.body


def test_a_new_error_class_gets_the_response_of_its_nearest_ancestor() -> None:
    class Sold(errors.InsufficientStock):
        pass

    assert problem_of(Sold("x")).code == "INSUFFICIENT_STOCK"


@pytest.mark.parametrize("reserved", [1, 0])
def test_a_count_below_the_reserved_units_names_them(reserved: int) -> None:
    body = json.loads(response_to(errors.BelowReserved("x", reserved), "r").body)
    assert body["reserved"] == reserved
    assert "reserved" not in json.loads(response_to(errors.InsufficientStock("x"), "r").body)


def test_the_allowed_methods_are_listed() -> None:
    assert response_to(errors.MethodNotAllowed("x", ["GET", "PUT"]), "r").headers["Allow"] == "GET, PUT"


def test_every_invalid_field_is_listed() -> None:
    faults = [FieldError("items.0.quantity", "too small"), FieldError("name", "missing")]
    body = json.loads(response_to(errors.InvalidInput("bad", faults), "r").body)
    assert body["errors"] == [
        {"field": "items.0.quantity", "message": "too small"},
        {"field": "name", "message": "missing"},
    ]


def test_a_problem_without_invalid_fields_has_no_list_of_them() -> None:
    assert "errors" not in json.loads(response_to(errors.InvalidJson("bad"), "r").body)
