"""A model of DynamoDB's transaction conflicts, which the embedded AWS never returns.

Of two transactions in flight on one item the later one is refused, as on AWS:
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

_ERROR = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"


class _Body:
    """The body of a response that no service sent."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> list[bytes]:
        return [self._content]


@dataclass
class Conflicts:
    """Watches a client that threads share; each transaction is in flight for `latency` seconds and more."""

    latency: float
    tried: int = 0
    refused: int = 0
    _busy: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _mine: threading.local = field(default_factory=threading.local)

    def watch(self, client: Any) -> None:
        """Hook into a DynamoDB client."""
        events = client.meta.events
        events.register("provide-client-params.dynamodb.TransactWriteItems", self._note)
        events.register("before-send.dynamodb.TransactWriteItems", self._enter)
        events.register("after-call.dynamodb.TransactWriteItems", self._leave)
        events.register("after-call-error.dynamodb.TransactWriteItems", self._leave)

    def _note(self, params: Any, **_: Any) -> None:
        self._mine.keys = [_key(action) for action in params["TransactItems"]]
        self._mine.held = set()

    def _enter(self, request: Any, **_: Any) -> AWSResponse | None:
        keys = self._mine.keys
        with self._lock:
            self.tried += 1
            clashes = self._busy.intersection(keys) - self._mine.held
            if clashes:
                self.refused += 1
            else:
                self._mine.held = set(keys)
                self._busy.update(keys)
        time.sleep(self.latency)
        return _refusal(request.url, keys, clashes) if clashes else None

    def _leave(self, **_: Any) -> None:
        with self._lock:
            self._busy -= self._mine.held
        self._mine.held = set()


def _key(action: dict[str, Any]) -> str:
    (request,) = action.values()
    key = request.get("Key") or request["Item"]
    return str(key["sku" if "sku" in key else "order_id"]["S"])


def _refusal(url: str, keys: list[str], clashes: set[str]) -> AWSResponse:
    reasons = [{"Code": "TransactionConflict" if key in clashes else "None"} for key in keys]
    body = json.dumps({"__type": _ERROR, "Message": "cancelled", "CancellationReasons": reasons})
    return AWSResponse(url, 400, HTTPHeaders(), _Body(body.encode()))
