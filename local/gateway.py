"""Amazon API Gateway in front of the Chalice app: routes, the authorizer, events, and its own errors.

Chalice's local gateway answers some calls otherwise than AWS, drops the connection when the authorizer
raises, and knows no problem details; so only its parts are used.
"""

from __future__ import annotations

import base64
import json
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
# The time limits of the deployed functions, as in terraform/variables_functions.tf by default.
API_SECONDS: Final = 15
AUTHORIZER_SECONDS: Final = 10

# As in the gateway responses of the deployed API. Its own answer to a route that does not exist is 403
# "Missing Authentication Token", which the gateway response turns into 404.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
UNAUTHORIZED: Final = Problem(401, "UNAUTHORIZED", "Unauthorized")
FORBIDDEN: Final = Problem(403, "FORBIDDEN", "Forbidden")
NOT_FOUND: Final = Problem(404, "NOT_FOUND", "Not found")


class Request(NamedTuple):
    """An HTTP request as it came in; `path` and `query` are still percent-encoded."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The last value of the header `name`, which is in lower case; None without one."""
        return next((value for each, value in reversed(self.headers) if each.lower() == name), None)


class Answer(NamedTuple):
    """An HTTP response to send, and the id under which the logs have it."""

    status: int
    headers: dict[str, str | list[str]]
    body: bytes
    request_id: str


class Refusal(Exception):
    """The gateway answers by itself: which problem, and one sentence for the caller."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


_NO_BEARER: Final = "A valid bearer token is required."
_FAILED: Final = Refusal(INTERNAL, "Something went wrong on our side; the request_id finds it in the logs.")


class Gateway:
    """Answers requests as a deployed stage of `app` does."""

    def __init__(self, app: Chalice) -> None:
        # As in chalice.local: each thread gets a `current_request` of its own.
        CustomLocalChalice.__bases__ = (LocalChalice, type(app))
        app.__class__ = CustomLocalChalice
        self._app = app

    def answer(self, request: Request) -> Answer:
        """Route, authorize and run `request`; nothing that goes wrong is raised."""
        request_id = str(uuid.uuid4())
        try:
            event = self._event(request, request_id)
            self._authorize(event, request.header("authorization"))
            result = self._app(event, _context("api_handler", API_SECONDS))
        except Refusal as refusal:
            return problem(refusal, request_id)
        except Exception:  # noqa: BLE001 - AWS turns whatever a function raises into a 5XX
            journal.exception("a function failed", extra={"request_id": request_id})
            return problem(_FAILED, request_id)
        body = result["body"] or ""
        return Answer(
            result["statusCode"],
            {**result["headers"], **result["multiValueHeaders"], "x-amzn-RequestId": request_id},
            base64.b64decode(body) if result.get("isBase64Encoded") else body.encode(),
            request_id,
        )

    def _event(self, request: Request, request_id: str) -> dict[str, Any]:
        """The event of a Lambda proxy integration: path parameters still percent-encoded, the query decoded.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
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
                "path": request.path,  # as behind a custom domain: the URL here does not name the stage
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
        # Sorted, a fixed part comes before the parameter that would match it as well.
        route = next((route for route in sorted(self._app.routes) if _matches(route, parts)), None)
        if route is None or method not in self._app.routes[route]:
            raise Refusal(NOT_FOUND, "There is no such route.")
        pairs = zip(route.split("/"), parts, strict=True)
        return route, {want[1:-1]: part for want, part in pairs if want.startswith("{")}

    def _authorize(self, event: dict[str, Any], token: str | None) -> None:
        """Ask the route's authorizer about `token`, and put what it says of the caller into `event`.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
        """
        method = event["httpMethod"]
        authorizer = cast(Authorizer | None, self._app.routes[event["resource"]][method].authorizer)
        if authorizer is None:
            return
        if not token:
            raise Refusal(UNAUTHORIZED, _NO_BEARER)
        arn = LocalARNBuilder().build_arn(method, event["path"])
        asked = {"type": "TOKEN", "authorizationToken": token, "methodArn": arn}
        try:
            said = authorizer(asked, _context("authorizer", AUTHORIZER_SECONDS))
        except Exception as error:
            if str(error) == "Unauthorized":
                raise Refusal(UNAUTHORIZED, _NO_BEARER) from error
            raise
        if not _allows(said["policyDocument"], arn):
            raise Refusal(FORBIDDEN, "The bearer token lacks the scope for this call.")
        context = {name: str(value) for name, value in said.get("context", {}).items()}
        event["requestContext"]["authorizer"] = {**context, "principalId": said["principalId"]}


def problem(refusal: Refusal, request_id: str) -> Answer:
    """The gateway's own answer, of the same shape as the application's errors."""
    body = json.dumps(document(refusal.problem, str(refusal), request_id)).encode()
    headers: dict[str, str | list[str]] = {
        "Content-Type": "application/problem+json",
        "x-amzn-RequestId": request_id,
    }
    if refusal.problem is UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Answer(refusal.problem.status, headers, body, request_id)


def _matches(route: str, parts: list[str]) -> bool:
    wanted = route.split("/")
    return len(wanted) == len(parts) and all(
        part and (want == part or want.startswith("{"))
        for want, part in zip(wanted[1:], parts[1:], strict=True)
    )


def _allows(policy: Mapping[str, Any], arn: str) -> bool:
    """Whether `policy` opens `arn`: some statement allows it, and none denies it."""
    matcher = ARNMatcher(arn)
    effects = {
        statement["Effect"]
        for statement in policy["Statement"]
        if "execute-api:Invoke" in _listed(statement["Action"])
        and matcher.does_any_resource_match(_listed(statement["Resource"]))
    }
    return effects == {"Allow"}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _body(body: bytes) -> dict[str, Any]:
    # AWS hands a body over as text. What is not UTF-8 it would silently mend with U+FFFD; here the app gets
    # the bytes as they are, encoded, so that whoever sent them is told.
    try:
        return {"body": body.decode() or None, "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _context(function: str, seconds: int) -> LambdaContext:
    return LambdaContext(
        function_name=f"ims-local-{function}", memory_size=512, max_runtime_ms=seconds * 1000
    )
