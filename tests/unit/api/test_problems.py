import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib import errors
from chalicelib.api.problems import PROBLEMS, problem_of, response_to
from chalicelib.domain.planner import Failure
from chalicelib.domain.rulings import Refusal
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
    errors.OrderIdReused: (409, "ORDER_ID_REUSED"),
    errors.OperationIdReused: (409, "OPERATION_ID_REUSED"),
    errors.OrderRejected: (409, "MORE_THAN_HELD"),
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


ARGUMENTS: dict[type[ImsError], tuple[Any, ...]] = {
    errors.TransactionCancelled: ([Reason("ConditionalCheckFailed", None)],),
    errors.BelowReserved: ("secret", 1),
    errors.MethodNotAllowed: ("secret", ["GET", "POST"]),
    errors.UnsupportedMediaType: ("secret", {"Accept": "application/json"}),
    errors.OrderRejected: ("MORE_THAN_HELD", "secret"),
    errors.Refused: ("secret", "AccessDenied"),
}
"""What errors are made of that take more than a text."""


def make_error(kind: type[ImsError]) -> ImsError:
    return kind(*ARGUMENTS.get(kind, ("secret",)))


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


def test_the_manual_lists_every_code() -> None:
    codes = {problem.code for problem in PROBLEMS.values()} - {"ORDER_REJECTED"}
    codes |= {*Refusal, *Failure}
    manual = Path(__file__).parents[3] / "docs" / "api.md"
    table = manual.read_text().partition("\n## Errors\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert sorted(code for code in codes if not any(f"`{code}`" in row for row in rows)) == []


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


def test_a_rejected_order_lists_the_lines_at_fault() -> None:
    line = {"sku": "A", "requested": 2, "held": 1}
    body = json.loads(response_to(errors.OrderRejected("MORE_THAN_HELD", "no", [line]), "r").body)
    assert body["items"] == [line]
    assert "items" not in json.loads(response_to(errors.OrderRejected("NOT_A_HOLD", "no"), "r").body)
