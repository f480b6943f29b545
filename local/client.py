"""A small client of the REST API, for the catalogue and the demo."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What the API answered; `body` is its JSON, None if there is none."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Api:
    """The API of one stage at `url`, called with one bearer token, or with none if it is empty."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request; underscores in the names of `headers` become hyphens.

        `body` goes out as JSON, or as it is if it is bytes, and is declared to be JSON.
        Raises `OSError` if there is no answer; a status of 4xx or 5xx is an answer.
        """
        sent = {} if body is None else {"Content-Type": "application/json"}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return _reply(answer)
        except urllib.error.HTTPError as answer:
            with answer:
                return _reply(answer)


def _reply(answer: Any) -> Reply:
    content = answer.read()
    return Reply(answer.status, answer.headers, json.loads(content) if content else None)
