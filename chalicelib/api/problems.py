"""Errors as RFC 9457 problem details: the one place that gives each its code, status and title.

Source: https://www.rfc-editor.org/rfc/rfc9457.html
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from chalice.app import Response

from chalicelib import errors
from chalicelib.errors import FieldError, ImsError

RETRY_AFTER_SECONDS: Final = 1


class Problem(NamedTuple):
    """One kind of problem; `code` tells programs which, `title` tells people, always in the same words."""

    status: int
    code: str
    title: str


INTERNAL: Final = Problem(500, "INTERNAL_ERROR", "Internal error")

PROBLEMS: Final[dict[type[ImsError], Problem]] = {
    ImsError: INTERNAL,
    errors.InvalidInput: Problem(400, "VALIDATION_ERROR", "Invalid request"),
    errors.InvalidJson: Problem(400, "INVALID_JSON", "The body is not JSON"),
    errors.InvalidToken: Problem(400, "INVALID_TOKEN", "Invalid next_token"),
    errors.NotFound: Problem(404, "NOT_FOUND", "Not found"),
    errors.MethodNotAllowed: Problem(405, "METHOD_NOT_ALLOWED", "Method not allowed"),
    errors.AlreadyExists: Problem(409, "ALREADY_EXISTS", "Already exists"),
    errors.InsufficientStock: Problem(409, "INSUFFICIENT_STOCK", "Insufficient stock"),
    errors.QuantityMismatch: Problem(409, "QUANTITY_MISMATCH", "The quantity is not as expected"),
    errors.HasStock: Problem(409, "HAS_STOCK", "The product has stock"),
    errors.StockLimit: Problem(409, "STOCK_LIMIT", "Stock limit exceeded"),
    errors.IdempotencyKeyReused: Problem(409, "IDEMPOTENCY_KEY_REUSED", "Idempotency key reused"),
    errors.UnsupportedMediaType: Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"),
    errors.Throttled: Problem(503, "THROTTLED", "Too busy, try again"),
    errors.Contended: Problem(503, "CONTENDED", "Too much contention, try again"),
}
"""Every error of ours by its type, or else by that of its nearest ancestor here."""


def problem_of(error: Exception) -> Problem:
    """The kind of problem that `error` is; what is not ours is an internal error."""
    return next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), INTERNAL)


def response_to(error: Exception, request_id: str) -> Response:
    """The answer to a request that ended in `error`; of an internal error it shows nothing."""
    problem = problem_of(error)
    detail = "Something went wrong on our side; the request_id finds it in the logs."
    body = document(problem, detail if problem is INTERNAL else str(error), request_id)
    if isinstance(error, errors.InvalidInput) and error.errors:
        body["errors"] = _fields(error.errors)
    headers: dict[str, str | list[str]] = {"Content-Type": "application/problem+json"}
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if problem.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Response(json.dumps(body), headers, problem.status)


def document(problem: Problem, detail: str, request_id: str) -> dict[str, Any]:
    """Problem details as a JSON object; `type` is a URN, since there is no page to lead to."""
    return {
        "type": "urn:problem-type:ims:" + problem.code.lower().replace("_", "-"),
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "code": problem.code,
        "request_id": request_id,
    }


def _fields(faults: Sequence[FieldError]) -> list[dict[str, str]]:
    return [{"field": fault.field, "message": fault.message} for fault in faults]
