"""A model of DynamoDB's transaction conflicts, which the embedded AWS never returns.

If two transactions on one item are in flight, the later one is refused, as on AWS:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from bench.units import KEYS

_ERROR = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"


class _Body:
    """The body of a response that no service sent."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> list[bytes]:
        return [self._content]


@dataclass
class Conflicts:
    """Watches a client that several threads share; each transaction takes at least `latency` seconds."""

    latency: float
    attempts: int = 0
    refused: int = 0
    _busy: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _current: threading.local = field(default_factory=threading.local)

    def watch(self, client: Any) -> None:
        """Register with the events of a DynamoDB client."""
        events = client.meta.events
        events.register("provide-client-params.dynamodb.TransactWriteItems", self._remember_keys)
        events.register("before-send.dynamodb.TransactWriteItems", self._enter)
        events.register("after-call.dynamodb.TransactWriteItems", self._leave)
        events.register("after-call-error.dynamodb.TransactWriteItems", self._leave)

    def _remember_keys(self, params: Any, **_: Any) -> None:
        self._current.keys = [_key(action) for action in params["TransactItems"]]
        self._current.held = set()

    def _enter(self, request: Any, **_: Any) -> AWSResponse | None:
        keys = self._current.keys
        with self._lock:
            self.attempts += 1
            conflicting = self._busy.intersection(keys) - self._current.held
            if conflicting:
                self.refused += 1
            else:
                self._current.held = set(keys)
                self._busy.update(keys)
        time.sleep(self.latency)
        return _conflict_response(request.url, keys, conflicting) if conflicting else None

    def _leave(self, **_: Any) -> None:
        with self._lock:
            self._busy -= self._current.held
        self._current.held = set()


def _key(action: dict[str, Any]) -> str:
    (request,) = action.values()
    key = request.get("Key") or request["Item"]
    return str(next(key[name]["S"] for name in KEYS if name in key))


def _conflict_response(url: str, keys: list[str], conflicting: set[str]) -> AWSResponse:
    reasons = [{"Code": "TransactionConflict" if key in conflicting else "None"} for key in keys]
    body = json.dumps({"__type": _ERROR, "Message": "cancelled", "CancellationReasons": reasons})
    return AWSResponse(url, 400, HTTPHeaders(), _Body(body.encode()))
