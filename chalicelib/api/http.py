"""HTTP in and out: every error is answered as problem details, and every call leaves one line of log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from time import perf_counter
from typing import Any, Final, cast
from urllib.parse import unquote

from chalice.app import Chalice, Request, Response
from pydantic_core import to_json

from chalicelib.api import problems
from chalicelib.errors import MethodNotAllowed
from chalicelib.telemetry import logger

View = Callable[..., Response]
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def router(app: Chalice, authorizer: Any) -> Callable[..., Callable[[View], View]]:
    """A decorator `route(method, path, *, token=True)` for the views of `app`.

    A view takes the request and its path parameters, decoded, and may raise any `ImsError`. Without `token`
    the route is open.
    """

    def route(method: str, path: str, *, token: bool = True) -> Callable[[View], View]:
        def register(view: View) -> View:
            return _register(app, method, path, view, authorizer if token else None)

        return register

    return route


def refuse_other_methods(app: Chalice) -> None:
    """Answer 405 on each path of `app` for the methods that it has no view for.

    Chalice would answer in a shape of its own, and API Gateway, which routes by method, as if the path
    were unknown.
    """
    for path, views in list(app.routes.items()):
        allowed = sorted(views)
        for method in METHODS:
            if method not in allowed:
                _register(app, method, path, _refusing(method, allowed), None)


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body`, which may hold dataclasses, as the JSON answer to a request."""
    text = to_json(body, ensure_ascii=True).decode()
    return Response(text, {"Content-Type": "application/json", **(headers or {})}, status)


def no_content() -> Response:
    """The answer 204."""
    return Response("", {}, 204)


def query(request: Request) -> dict[str, list[str]]:
    """The query parameters, each with all its values."""
    given = request.query_params
    return {name: given.getlist(name) for name in given} if given else {}


def caller(request: Request) -> str:
    """Whose token the request carries: the authorizer's principal."""
    principal: str = request.context["authorizer"]["principalId"]
    return principal


def _register(app: Chalice, method: str, path: str, view: View, authorizer: Any) -> View:
    # Any content type: a view that reads a body checks its type, the others do not care.
    route = app.route(path, methods=[method], authorizer=authorizer, content_types=["*/*"])
    registered: View = route(_answering(app, view))
    return registered


def _refusing(method: str, allowed: list[str]) -> View:
    def refuse(_: Request, **path: str) -> Response:  # noqa: ARG001 - whatever the path holds
        raise MethodNotAllowed(f"{method} is not allowed here", allowed)

    return refuse


def _answering(app: Chalice, view: View) -> View:
    """`view`, with its errors turned into answers and its calls logged."""

    @wraps(view)
    def answer(**path: str) -> Response:
        began = perf_counter()
        request = cast(Request, app.current_request)
        request_id = _request_id(request)
        failure: Exception | None = None
        try:
            # API Gateway and Chalice's local server hand path parameters over as they were sent.
            response = view(request, **{name: unquote(text) for name, text in path.items()})
        except Exception as error:  # noqa: BLE001 - Chalice's answer to an unknown error has not our shape
            failure, response = error, problems.response_to(error, request_id)
        if request.method == "HEAD":
            response.body = ""
        _log(request, response, began, request_id, failure)
        return response

    return answer


def _request_id(request: Request) -> str:
    # API Gateway's, which its access log has too; the local server has only the function's.
    return str(request.context.get("requestId") or getattr(request.lambda_context, "aws_request_id", ""))


def _log(
    request: Request, response: Response, began: float, request_id: str, failure: Exception | None
) -> None:
    line: dict[str, Any] = {
        "method": request.method,
        "route": request.path,
        "status": response.status_code,
        "duration_ms": round((perf_counter() - began) * 1000, 2),
        "correlation_id": request_id,
    }
    if failure:
        line["code"] = problems.problem_of(failure).code
    if response.status_code >= 500:
        logger.error("request", exc_info=failure, **line)
    else:
        logger.info("request", **line)
