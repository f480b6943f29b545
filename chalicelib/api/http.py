"""HTTP in and out."""

from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, Response


def router(app: Chalice, authorizer: Any) -> Callable[..., Any]:
    def route(method: str, path: str, *, token: bool = True) -> Callable[..., Any]:
        return lambda view: app.route(path, methods=[method], authorizer=authorizer if token else None)(view)

    return route


def refuse_other_methods(app: Chalice) -> None: ...


def json_response(body: Any, status: int = 200) -> Response:
    return Response(body=body, status_code=status)
