"""A small client of the REST API, for the catalogue and the demo."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """A response of the API; `body` is its JSON, None if it is empty."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Api:
    """Calls the API of one stage at `url`, with one bearer token, or without one if `token` is empty."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request, and return the response; underscores in the names of `headers` become hyphens.

        `body` is sent as JSON. Bytes are sent unchanged, and also declared as JSON.
        Raises `OSError` if there is no response. A response with status 4xx or 5xx is returned.
        """
        sent = {} if body is None else {"Content-Type": "application/json"}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return _reply(response)
        except urllib.error.HTTPError as error:
            with error:
                return _reply(error)


def _reply(response: Any) -> Reply:
    content = response.read()
    return Reply(response.status, response.headers, json.loads(content) if content else None)
