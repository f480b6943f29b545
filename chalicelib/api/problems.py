"""Errors as RFC 9457 problem details: the one place that gives each its code, status and title.

Source: https://www.rfc-editor.org/rfc/rfc9457.html
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from chalice.app import Response

from chalicelib import errors
from chalicelib.contracts.responses import FieldProblem, ProblemDetails
from chalicelib.errors import FieldError, ImsError

RETRY_AFTER_SECONDS: Final = 1


class Problem(NamedTuple):
    """One kind of problem: programs read `code`, people read `title`, which never varies."""

    status: int
    code: str
    title: str


INTERNAL: Final = Problem(500, "INTERNAL_ERROR", "Internal error")
_UNAVAILABLE: Final = Problem(503, "UNAVAILABLE", "Temporarily unavailable")

PROBLEMS: Final[dict[type[ImsError], Problem]] = {
    ImsError: INTERNAL,
    errors.InvalidInput: Problem(400, "VALIDATION_ERROR", "Invalid request"),
    errors.InvalidJson: Problem(400, "INVALID_JSON", "The body is not JSON"),
    errors.InvalidPageToken: Problem(400, "INVALID_TOKEN", "Invalid next_token"),
    errors.NotFound: Problem(404, "NOT_FOUND", "Not found"),
    errors.MethodNotAllowed: Problem(405, "METHOD_NOT_ALLOWED", "Method not allowed"),
    errors.AlreadyExists: Problem(409, "ALREADY_EXISTS", "Already exists"),
    errors.InsufficientStock: Problem(409, "INSUFFICIENT_STOCK", "Insufficient stock"),
    errors.QuantityMismatch: Problem(409, "QUANTITY_MISMATCH", "The quantity is not as expected"),
    errors.VersionMismatch: Problem(409, "VERSION_MISMATCH", "The version is not as expected"),
    errors.BelowReserved: Problem(409, "BELOW_RESERVED", "Fewer units than are reserved"),
    errors.HasStock: Problem(409, "HAS_STOCK", "The product has stock"),
    errors.HasReservations: Problem(409, "HAS_RESERVATIONS", "The product has reservations"),
    errors.StockLimit: Problem(409, "STOCK_LIMIT", "Stock limit exceeded"),
    errors.IdempotencyKeyReused: Problem(409, "IDEMPOTENCY_KEY_REUSED", "Idempotency key reused"),
    errors.OrderIdReused: Problem(409, "ORDER_ID_REUSED", "Order id reused"),
    errors.OperationIdReused: Problem(409, "OPERATION_ID_REUSED", "Operation id reused"),
    errors.OrderRejected: Problem(409, "ORDER_REJECTED", "The order does not allow it"),
    errors.UnsupportedMediaType: Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"),
    errors.Throttled: Problem(503, "THROTTLED", "Too busy, try again"),
    errors.Contended: Problem(503, "CONTENDED", "Too much contention, try again"),
    errors.Unreachable: _UNAVAILABLE,
    errors.Unavailable: _UNAVAILABLE,
}
"""Every error of ours by its type, or else by that of its nearest ancestor here."""

_DETAILS: Final = {
    "INTERNAL_ERROR": "Something went wrong on our side; the request_id finds it in the logs.",
    "UNAVAILABLE": "No response in time; try again.",
}
"""What callers read in place of the error's own text, which describes internals."""


def problem_of(error: Exception) -> Problem:
    """The kind of problem that `error` is; an error that is not ours is an internal one."""
    problem = next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), INTERNAL)
    return problem._replace(code=error.code) if isinstance(error, errors.OrderRejected) else problem


def response_to(error: Exception, request_id: str) -> Response:
    """The response to a request that ended in `error`; it shows nothing of an internal error."""
    problem = problem_of(error)
    detail = _DETAILS.get(problem.code, str(error))
    headers: dict[str, str | list[str]] = {"Content-Type": "application/problem+json"}
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, errors.UnsupportedMediaType):
        headers |= error.accepted
    if isinstance(error, errors.OutcomeUnknown):
        detail = str(error)
    elif problem.status == 503:
        # Clients repeat a request on their own if they find this header, so it says that a repeat is safe.
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    invalid = error.errors if isinstance(error, errors.InvalidInput) else ()
    body = document(problem, detail, request_id, invalid)
    if isinstance(error, errors.BelowReserved):
        body = body.model_copy(update={"reserved": error.reserved})
    if isinstance(error, errors.OrderRejected):
        body = body.model_copy(update={"items": list(error.items)})
    return Response(body.model_dump_json(exclude_defaults=True, ensure_ascii=True), headers, problem.status)


def document(
    problem: Problem, detail: str, request_id: str, invalid: Sequence[FieldError] = ()
) -> ProblemDetails:
    """Problem details; `type` is a URN, since there is no page to lead to."""
    return ProblemDetails(
        type="urn:problem-type:ims:" + problem.code.lower().replace("_", "-"),
        title=problem.title,
        status=problem.status,
        detail=detail,
        code=problem.code,
        request_id=request_id,
        errors=[FieldProblem(field=error.field, message=error.message) for error in invalid],
    )
