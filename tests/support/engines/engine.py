"""The base of both engines: one lock, checked parameters, counted calls, botocore's errors."""

from __future__ import annotations

import copy
import functools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from botocore.exceptions import ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from tests.support.engines.errors import Exceptions, Refusal, metadata

Clock = Callable[[], float]


@dataclass(slots=True)
class Call:
    """One call: the client's method, its parameters, and the error code if it failed."""

    operation: str
    parameters: dict[str, Any]
    error: str | None = None


class Engine:
    """A stand-in for a boto3 client.

    `clock` returns Unix time in seconds. `checked=False` skips botocore's check of the parameters
    against the service's model, which takes most of a call's time. With `record=True`, `calls` holds a
    copy of every call's parameters. `counts` always has the number of calls by method.
    """

    service: ClassVar[str]
    exceptions = Exceptions()

    def __init__(self, clock: Clock = time.time, *, checked: bool = True, record: bool = False) -> None:
        self.clock = clock
        self.checked = checked
        self.record = record
        self.calls: list[Call] = []
        self.counts: Counter[str] = Counter()
        self.lock = threading.RLock()

    def close(self) -> None:
        """Do nothing; real clients have this method."""


def operation(method: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method behave like a client's: atomic, keyword arguments only, ClientError, ResponseMetadata."""
    name = method.__name__
    pascal = "".join(word.capitalize() for word in name.split("_"))

    @functools.wraps(method)
    def call(self: Engine, **parameters: Any) -> dict[str, Any]:
        with self.lock:
            self.counts[name] += 1
            recorded = Call(name, copy.deepcopy(parameters) if self.record else parameters)
            if self.record:
                self.calls.append(recorded)
            try:
                if self.checked:
                    check(self.service, pascal, parameters)
                answer = method(self, **parameters)
            except Refusal as refusal:
                recorded.error = refusal.code
                raise refusal.as_client_error(pascal) from None
            answer["ResponseMetadata"] = metadata()
            return answer  # type: ignore[no-any-return]

    return call


def check(service: str, pascal: str, parameters: dict[str, Any]) -> None:
    """Raise the `ParamValidationError` that botocore raises for an invalid call before it sends it."""
    shape = _model(service).operation_model(pascal).input_shape
    report = ParamValidator().validate(parameters, shape)  # type: ignore[arg-type]
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


@functools.cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)
