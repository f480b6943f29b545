"""Routes: a call's input is parsed here, its errors become problem details, and it leaves one log line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from time import perf_counter
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import unquote

from chalice.app import Chalice
from chalice.app import Request as HttpRequest
from chalice.app import Response as HttpResponse

from chalicelib.api import problems
from chalicelib.aws.deadline import Deadline, run_within
from chalicelib.contracts.requests import GIVEN_TWICE, NoInput, Part, Request
from chalicelib.contracts.responses import Response
from chalicelib.contracts.validation import parse, parse_json
from chalicelib.errors import (
    FieldError,
    InvalidInput,
    InvalidJson,
    MethodNotAllowed,
    OutcomeUnknown,
    OutOfTime,
    UnsupportedMediaType,
)
from chalicelib.telemetry import logger

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_NO_CODING: Final = frozenset({"", "identity"})
"""https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1"""
RESPONSE_SECONDS: Final = 1.0
"""Seconds kept to answer 503 if a view does not return."""
_T = TypeVar("_T", bound=Request)


@dataclass(frozen=True, slots=True)
class Call(Generic[_T]):
    """One call of a route.

    takes: its input, checked.
    deadline: until when it may go on.
    principal: whom the token belongs to, empty on an open route.
    path: the path that was called, with that of the stage or a base path.
    """

    takes: _T
    deadline: Deadline
    principal: str
    path: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a view answers where headers go with the document."""

    document: Response
    headers: Mapping[str, str]


View = Callable[[Call[Any]], Reply | Response | None]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the API's map: what a route takes and gives, and whether it wants a token."""

    method: str
    path: str
    takes: type[Request]
    gives: type[Response] | None
    status: int
    needs_token: bool
    view: View


class Router:
    """The decorator that puts views on routes of `app`; `routes` lists them all."""

    def __init__(self, app: Chalice, authorizer: Any) -> None:
        self._app = app
        self._authorizer = authorizer
        self.routes: list[Route] = []

    def __call__(  # noqa: PLR0913 - a row of the map has so many columns
        self,
        method: str,
        path: str,
        *,
        takes: type[Request] = NoInput,
        gives: type[Response] | None = None,
        status: int = 200,
        needs_token: bool = True,
    ) -> Callable[[View], View]:
        """Register a view, which takes a `Call` and may raise any `ImsError`; one of GET is that of HEAD too.

        takes, gives: models of its input and of the document that it answers with `status`.
        needs_token: whether callers need a bearer token.
        """

        def register(view: View) -> View:
            route = Route(method, path, takes, gives, status, needs_token, view)
            self.routes.append(route)
            self._register(route)
            if method == "GET":
                # https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2
                self._register(replace(route, method="HEAD"))
            return view

        return register

    def refuse_other_methods(self) -> None:
        """Answer 405 on each path for the methods that it has no view for.

        Chalice's own answer has another shape, and API Gateway, which routes by method, answers as if the
        path were unknown.
        """
        for path, views in list(self._app.routes.items()):
            allowed = sorted(views)
            for method in METHODS:
                if method not in allowed:
                    refuse = _refusal(method, allowed)
                    self._register(Route(method, path, NoInput, None, 405, False, refuse))

    def _register(self, route: Route) -> None:
        # Any content type: a route with a body checks its type, the others ignore it.
        register = self._app.route(
            route.path,
            methods=[route.method],
            authorizer=self._authorizer if route.needs_token else None,
            content_types=["*/*"],
        )
        register(_entry(self._app, route))


def _refusal(method: str, allowed: list[str]) -> View:
    def refuse(_: Call[NoInput]) -> None:
        raise MethodNotAllowed(f"{method} is not allowed here", allowed)

    return refuse


def _entry(app: Chalice, route: Route) -> Callable[..., HttpResponse]:
    """What Chalice calls for `route`: it runs the view, turns errors into responses, and logs the call."""
    parts = route.takes.parts()

    @wraps(route.view)
    def enter(**path: str) -> HttpResponse:
        began = perf_counter()
        request = cast(HttpRequest, app.current_request)
        request_id = _request_id(request)
        failure: Exception | None = None
        try:
            call = Call(
                parse(route.takes, _collect(parts, route.takes.media_types, request, path)),
                Deadline.of(cast(Any, request.lambda_context)),
                _principal(request) if route.needs_token else "",
                # Behind a stage or a base path, the path that was called is longer than the route.
                request.context.get("path") or request.path,
            )
            # An open route makes no call that could keep it waiting.
            result = _run(route.view, call) if route.needs_token else route.view(call)
            response = _respond(route.status, result)
        except Exception as error:  # noqa: BLE001 - Chalice's answer to an unknown error has another shape
            failure, response = error, problems.response_to(error, request_id)
        if request.method == "HEAD":
            response.body = ""
        _log(request, response, began, request_id, failure)
        return response

    return enter


def _run(view: View, call: Call[Any]) -> Reply | Response | None:
    """Run `view`, but not until the function's very end: a margin is kept back to answer 503."""
    remaining = call.deadline.remaining()
    try:
        return run_within(remaining - min(RESPONSE_SECONDS, remaining / 4), lambda: view(call))
    except TimeoutError:
        if call.takes.repeatable:
            raise OutOfTime("the view did not end in time") from None
        raise OutcomeUnknown("the change may have been made; read the stock before you repeat it") from None


def _respond(status: int, result: Reply | Response | None) -> HttpResponse:
    if result is None:
        return HttpResponse("", {}, status)
    reply = result if isinstance(result, Reply) else Reply(result, {})
    text = reply.document.model_dump_json(exclude_defaults=True, ensure_ascii=True)
    return HttpResponse(text, {"Content-Type": "application/json", **reply.headers}, status)


def _collect(
    parts: Mapping[str, Part], media_types: Sequence[str], request: HttpRequest, path: Mapping[str, str]
) -> dict[str, Any]:
    """Those `parts` of a request that are there, by their names on the wire."""
    found: dict[str, Any] = {}
    query = request.query_params
    for name, part in parts.items():
        if part is Part.PATH:
            # API Gateway hands path parameters over as they were sent, and Chalice leaves them as they are.
            # https://github.com/aws/aws-sam-cli/issues/3524, https://github.com/aws/chalice/issues/511
            found[name] = _decoded(name, path[name])
        elif part is Part.QUERY and query and name in query:
            found[name] = query.getlist(name)
        elif part is Part.HEADER and (values := _header(request, name)):
            found[name] = values[0] if len(values) == 1 else values
        elif part is Part.BODY:
            found[name] = _json_body(request, media_types)
    return found


def _decoded(name: str, part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError as error:
        invalid = FieldError(name, "must be UTF-8, percent-encoded")
        raise InvalidInput(f"{name}: {invalid.message}", [invalid]) from error


def _json_body(request: HttpRequest, media_types: Sequence[str]) -> Any:
    """The JSON in the body. Raises `UnsupportedMediaType`, `InvalidInput` without a type, `InvalidJson`."""
    wanted = " or ".join(media_types)
    declared = _header(request, "Content-Type")
    if len(declared) != 1:
        why = GIVEN_TWICE if declared else f"is required and must be {wanted}"
        raise InvalidInput(
            "the request does not declare one type of its body", [FieldError("Content-Type", why)]
        )
    if declared[0].partition(";")[0].strip().lower() not in media_types:
        accept = "Accept-Patch" if request.method == "PATCH" else "Accept"
        raise UnsupportedMediaType(f"the body must be {wanted}", {accept: ", ".join(media_types)})
    codings = ",".join(_header(request, "Content-Encoding")).split(",")
    if not _NO_CODING.issuperset(coding.strip().lower() for coding in codings):
        raise UnsupportedMediaType(
            "the body must not be compressed or encoded", {"Accept-Encoding": "identity"}
        )
    try:
        raw = cast(bytes, request.raw_body)  # whatever its annotation says
    except ValueError as error:
        raise InvalidJson("the body is not encoded as it should be") from error
    return parse_json(raw)


def _header(request: HttpRequest, name: str) -> list[str]:
    """The different values of the header `name`, in any case of its letters, without blanks around them.

    API Gateway hands over every value in `multiValueHeaders`, and only the last one in `headers`.
    Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html,
    https://www.rfc-editor.org/rfc/rfc9110#section-5.5
    """
    event = request.to_original_event()
    headers = event.get("multiValueHeaders") or {
        each: [value] for each, value in (event["headers"] or {}).items()
    }
    wanted = name.lower()
    found = (value for each, values in headers.items() if each.lower() == wanted for value in values)
    return list(dict.fromkeys(value.strip(" \t") for value in found))


def _principal(request: HttpRequest) -> str:
    principal: str = request.context["authorizer"]["principalId"]
    return principal


def _request_id(request: HttpRequest) -> str:
    # API Gateway's, which its access log has too; the local server has only the function's.
    return str(request.context.get("requestId") or getattr(request.lambda_context, "aws_request_id", ""))


def _log(
    request: HttpRequest,
    response: HttpResponse,
    began: float,
    request_id: str,
    failure: Exception | None,
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
