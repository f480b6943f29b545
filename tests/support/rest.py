"""Calls the real Chalice app in this process, with events of the shape that API Gateway sends."""

from __future__ import annotations

import importlib.util
import json
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import boto3
import botocore.loaders
import botocore.session
from chalice.local import LocalChalice, RouteMatcher

from chalicelib import bootstrap
from chalicelib.api.routing import Route
from chalicelib.contracts.responses import ProblemDetails

SECONDS = 15.0
"""The time limit of a call, as deployed by default."""
APP = Path(__file__).parents[2] / "app.py"


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; `json` is its body, None if it is empty. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    json: Any

    @property
    def fields(self) -> list[str]:
        """The fields that the problem details name."""
        return [error["field"] for error in self.json["errors"]]

    @property
    def code(self) -> str:
        """The problem's code."""
        return str(self.json["code"])


class Context:
    """Lambda's context of one call, with its time limit in seconds."""

    aws_request_id = "lambda-request"

    def __init__(self, seconds: float = SECONDS) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> float:
        return (self._end - time.monotonic()) * 1000


class RestClient:
    """A caller of the API; `principal` is the subject of the token that the authorizer has accepted.

    `seconds` is the function's time limit.
    """

    def __init__(self, principal: str = "tester", seconds: float = SECONDS) -> None:
        self.principal = principal
        self.seconds = seconds

    def get(self, path: str, **query: Any) -> Response:
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any, **headers: str) -> Response:
        return self.call("POST", path, body, headers=headers)

    def put(self, path: str, body: Any, **headers: str) -> Response:
        return self.call("PUT", path, body, headers=headers)

    def patch(self, path: str, body: Any) -> Response:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Response:
        return self.call("DELETE", path)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | list[str] | None] | None = None,
    ) -> Response:
        """Call the app; a `body` is sent as JSON, text as it is, bytes in base64.

        `Idempotency_Key` stands for `Idempotency-Key` in `headers`. A list as a value repeats a header, None
        leaves it out.
        """
        usual: dict[str, str | list[str] | None] = {"Content-Type": "application/json"}
        sent = usual if body is not None else {}
        sent |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        values = {
            name: value if isinstance(value, list) else [value]
            for name, value in sent.items()
            if value is not None
        }
        event = self.event(method, f"{path}?{urlencode(query or {}, doseq=True)}".rstrip("?"))
        event["headers"] = {name: each[-1] for name, each in values.items()} or None
        event["multiValueHeaders"] = values or None
        event["isBase64Encoded"] = isinstance(body, bytes)
        if isinstance(body, bytes):
            event["body"] = b64encode(body).decode()
        elif body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        returned = threaded_app()(event, Context(self.seconds))
        headers_in_lower_case = {name.lower(): value for name, value in returned["headers"].items()}
        document = json.loads(returned["body"]) if returned["body"] else None
        response = Response(returned["statusCode"], headers_in_lower_case, document)
        if method != "HEAD":  # its response has no body
            _check_contract(routes().get((method, event["resource"])), response)
        return response

    def event(self, method: str, target: str) -> dict[str, Any]:
        """The event for a call without a body; `target` is path and query, percent-encoded."""
        match = RouteMatcher(list(threaded_app().routes)).match_route(target)
        path = target.partition("?")[0]
        return {
            "resource": match.route,
            "path": path,
            "httpMethod": method,
            "headers": None,
            "multiValueHeaders": None,
            "queryStringParameters": None,
            "multiValueQueryStringParameters": match.query_params or None,
            "pathParameters": match.captured or None,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": match.route,
                "httpMethod": method,
                "path": f"/api{path}",
                "stage": "api",
                "requestId": str(uuid4()),
                "authorizer": {"principalId": self.principal},
            },
            "body": None,
            "isBase64Encoded": False,
        }


def all_pages(rest: RestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """The items of all pages of a listing."""
    items: list[dict[str, Any]] = []
    response = rest.get(path, **query)
    while True:
        assert response.status == 200
        items += response.json["items"]
        token = response.json["next_token"]
        if token is None:
            return items
        response = rest.get(path, **query, next_token=token)


def _check_contract(route: Route | None, response: Response) -> None:
    """Every response has the status and the shape that its route states, or is a problem."""
    if response.headers.get("content-type") == "application/problem+json":
        assert ProblemDetails.model_validate(response.json).status == response.status
        return
    assert route is not None
    assert response.status == route.status
    if route.gives is None:
        assert response.json is None
    else:
        document = route.gives.model_validate(response.json)
        assert document.model_dump(mode="json", exclude_defaults=True) == response.json


class _ThreadedApp(LocalChalice):
    """Gives each thread its own current request, as Chalice's local server does."""


def threaded_app() -> Any:
    """A separate instance of the app, made from `app.py`, since its class is changed."""
    return _module().app


def routes() -> dict[tuple[str, str], Route]:
    """The API's map, by method and path."""
    return {(route.method, route.path): route for route in _module().route.routes}


@cache
def _module() -> Any:
    spec = importlib.util.spec_from_file_location("app_in_threads", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.app.__class__ = _ThreadedApp
    return module


@cache
def _service_models() -> botocore.loaders.Loader:
    """The services' models; cached, since parsing them takes most of the time of a new client."""
    return botocore.loaders.create_loader()


def reset_clients() -> None:
    """Empty the caches of `chalicelib.bootstrap` and boto3, so that they read the environment again."""
    session = botocore.session.Session()
    session.register_component("data_loader", _service_models())
    boto3.setup_default_session(botocore_session=session)
    for value in vars(bootstrap).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()
