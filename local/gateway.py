"""Amazon API Gateway in front of the Chalice app: routes, the authorizer, events, and its own errors.

This uses only parts of Chalice's local gateway. That gateway responds differently from AWS to some requests,
drops the connection when the authorizer raises, and does not support problem details.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qs

from chalice.app import Chalice
from chalice.local import ARNMatcher, CustomLocalChalice, LambdaContext, LocalARNBuilder, LocalChalice

from chalicelib.api.problems import INTERNAL, Problem, document
from local.emulator import HOST
from local.journal import journal

Authorizer = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

STAGE: Final = "api"
# The default time-outs of the deployed functions, from terraform/functions.tf.
API_SECONDS: Final = 15
AUTHORIZER_SECONDS: Final = 10

# The same as the gateway responses of the deployed API. For a route that does not exist, API Gateway responds
# with 403 "Missing Authentication Token", which a gateway response turns into 404.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
UNAUTHORIZED: Final = Problem(401, "UNAUTHORIZED", "Unauthorized")
FORBIDDEN: Final = Problem(403, "FORBIDDEN", "Forbidden")
NOT_FOUND: Final = Problem(404, "NOT_FOUND", "Not found")


class HttpRequest(NamedTuple):
    """An HTTP request as received; `path` and `query` are still percent-encoded."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The last value of the header `name`, given in lower case; None if there is no such header."""
        return next((value for each, value in reversed(self.headers) if each.lower() == name), None)


class HttpResponse(NamedTuple):
    """An HTTP response to send, and the id of its request in the logs."""

    status: int
    headers: dict[str, str | list[str]]
    body: bytes
    request_id: str


class Refusal(Exception):
    """The gateway itself refuses a request: with which problem, and one sentence for the caller."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


_NO_BEARER: Final = "A valid bearer token is required."
_OUR_SIDE: Final = "Something went wrong on our side; the request_id finds it in the logs."
_FAILED: Final = Refusal(INTERNAL, _OUR_SIDE)
_CRASHED: Final = Refusal(INTERNAL._replace(status=502), _OUR_SIDE)


class Gateway:
    """Handles HTTP requests as a deployed stage of `app` does."""

    def __init__(self, app: Chalice) -> None:
        # As in chalice.local: each thread gets its own `current_request`.
        CustomLocalChalice.__bases__ = (LocalChalice, type(app))
        app.__class__ = CustomLocalChalice
        self._app = app

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Route, authorize and run `request`; an error becomes a response and is never raised."""
        request_id = str(uuid.uuid4())
        try:
            event = self._event(request, request_id)
            self._authorize(event, request.header("authorization"))
        except Refusal as refusal:
            return problem_response(refusal, request_id)
        except Exception:  # noqa: BLE001 - AWS turns every error of an authorizer into a 500
            return _failure(_FAILED, request_id)
        try:
            result = self._app(event, _context("api_handler", API_SECONDS))
        except Exception:  # noqa: BLE001 - and every error of the function behind it into a 502
            return _failure(_CRASHED, request_id)
        body = result["body"] or ""
        return HttpResponse(
            result["statusCode"],
            {**result["headers"], **result["multiValueHeaders"], "x-amzn-RequestId": request_id},
            base64.b64decode(body) if result.get("isBase64Encoded") else body.encode(),
            request_id,
        )

    def _event(self, request: HttpRequest, request_id: str) -> dict[str, Any]:
        """Build the event of a Lambda proxy integration; its path is percent-encoded, its query is decoded.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
        and, for the path, https://github.com/aws/aws-sam-cli/issues/3524
        """
        route, parameters = self._route(request.method, request.path)
        queries = parse_qs(request.query, keep_blank_values=True)
        headers: dict[str, list[str]] = {}
        for name, value in request.headers:
            headers.setdefault(name, []).append(value)
        return {
            "resource": route,
            "path": request.path,
            "httpMethod": request.method,
            "headers": {name: values[-1] for name, values in headers.items()},
            "multiValueHeaders": headers,
            "queryStringParameters": {name: values[-1] for name, values in queries.items()} or None,
            "multiValueQueryStringParameters": queries or None,
            "pathParameters": parameters or None,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": route,
                "httpMethod": request.method,
                "path": request.path,  # as behind a custom domain: the local URL has no stage name
                "stage": STAGE,
                "apiId": LocalARNBuilder.LOCAL_API_ID,
                "accountId": LocalARNBuilder.LOCAL_ACCOUNT_ID,
                "requestId": request_id,
                "requestTimeEpoch": int(time.time() * 1000),
                "protocol": "HTTP/1.1",
                "identity": {"sourceIp": HOST, "userAgent": request.header("user-agent")},
            },
            **_body(request.body),
        }

    def _route(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        parts = path.removesuffix("/").split("/")
        # In sorted order, a fixed part comes before a parameter that matches it too.
        route = next((route for route in sorted(self._app.routes) if _matches(route, parts)), None)
        if route is None or method not in self._app.routes[route]:
            raise Refusal(NOT_FOUND, "There is no such route.")
        pairs = zip(route.split("/"), parts, strict=True)
        return route, {name[1:-1]: part for name, part in pairs if name.startswith("{")}

    def _authorize(self, event: dict[str, Any], token: str | None) -> None:
        """Check `token` with the route's authorizer, and add the principal and the context to `event`.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
        """
        method = event["httpMethod"]
        authorizer = cast(Authorizer | None, self._app.routes[event["resource"]][method].authorizer)
        if authorizer is None:
            return
        if not token:
            raise Refusal(UNAUTHORIZED, _NO_BEARER)
        arn = LocalARNBuilder().build_arn(method, event["path"])
        authorizer_event = {"type": "TOKEN", "authorizationToken": token, "methodArn": arn}
        try:
            verdict = authorizer(authorizer_event, _context("authorizer", AUTHORIZER_SECONDS))
        except Exception as error:
            if str(error) == "Unauthorized":
                raise Refusal(UNAUTHORIZED, _NO_BEARER) from error
            raise
        if not _allows(verdict["policyDocument"], arn):
            raise Refusal(FORBIDDEN, "The bearer token lacks the scope for this call.")
        context = {name: str(value) for name, value in verdict.get("context", {}).items()}
        event["requestContext"]["authorizer"] = {**context, "principalId": verdict["principalId"]}


def _failure(refusal: Refusal, request_id: str) -> HttpResponse:
    """The response after a function raised, which goes into the journal."""
    journal.exception("a function failed", extra={"request_id": request_id})
    return problem_response(refusal, request_id)


def problem_response(refusal: Refusal, request_id: str) -> HttpResponse:
    """The gateway's own response, in the same format as the application's errors."""
    body = document(refusal.problem, str(refusal), request_id).model_dump_json(exclude_defaults=True).encode()
    headers: dict[str, str | list[str]] = {
        "Content-Type": "application/problem+json",
        "x-amzn-RequestId": request_id,
    }
    if refusal.problem is UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return HttpResponse(refusal.problem.status, headers, body, request_id)


def _matches(route: str, parts: list[str]) -> bool:
    wanted = route.split("/")
    return len(wanted) == len(parts) and all(
        part and (want == part or want.startswith("{"))
        for want, part in zip(wanted[1:], parts[1:], strict=True)
    )


def _allows(policy: Mapping[str, Any], arn: str) -> bool:
    """Whether `policy` allows `arn`: at least one statement allows it, and none denies it."""
    matcher = ARNMatcher(arn)
    effects = {
        statement["Effect"]
        for statement in policy["Statement"]
        if "execute-api:Invoke" in _as_list(statement["Action"])
        and matcher.does_any_resource_match(_as_list(statement["Resource"]))
    }
    return effects == {"Allow"}


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _body(body: bytes) -> dict[str, Any]:
    # AWS passes a body on as text, and silently replaces bytes that are not UTF-8 with U+FFFD. Here the app
    # gets such a body unchanged, as Base64, so that the caller gets an error.
    try:
        return {"body": body.decode() or None, "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _context(function: str, seconds: int) -> LambdaContext:
    return LambdaContext(
        function_name=f"ims-local-{function}", memory_size=512, max_runtime_ms=seconds * 1000
    )
