"""What can go wrong between boto3 and AWS: a fault answers in the service's place, or breaks the connection.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
and https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, NoReturn

from local.resources import OMS_QUEUE
from tests.faults.gate import Exchange, Fault, Reply, Reset, Script

TOO_LATE_SECONDS: Final = 3.5
"""More than the read time-out of chalicelib.clients."""


def throttled(exchange: Exchange) -> Reply:
    """The caller asks too fast."""
    code = "RequestThrottled" if exchange.service == "sqs" else "ThrottlingException"
    return exchange.refuse(400, code, "Rate exceeded")


def over_capacity(exchange: Exchange) -> Reply:
    """The other word for it."""
    if exchange.service == "sqs":
        return throttled(exchange)
    return exchange.refuse(400, "ProvisionedThroughputExceededException", "The level of throughput …")


def server_error(exchange: Exchange) -> Reply:
    """The service fails before it did anything."""
    code = "InternalFailure" if exchange.service == "sqs" else "InternalServerError"
    return exchange.refuse(500, code, "Internal server error")


def server_error_after_effect(exchange: Exchange) -> Reply:
    """The service fails although it did what was asked."""
    exchange.proceed()
    return server_error(exchange)


def unavailable(exchange: Exchange) -> Reply:
    """Something before the service answers, and not in its words."""
    return Reply(503, {"Content-Type": "text/html"}, b"<html><b>Http/1.1 Service Unavailable</b></html>")


def reset_before_effect(exchange: Exchange) -> NoReturn:
    """The connection breaks, and nothing was done."""
    raise Reset


def reset_after_effect(exchange: Exchange) -> NoReturn:
    """The connection breaks after what was asked was done."""
    exchange.proceed()
    raise Reset


def cut_short(exchange: Exchange) -> Reply:
    """The connection breaks in the middle of the answer."""
    return replace(exchange.proceed(), cut=True)


def slow(exchange: Exchange) -> Reply:
    """The answer takes its time, but comes."""
    exchange.wait(0.3)
    return exchange.proceed()


def silent_before_effect(exchange: Exchange) -> NoReturn:
    """No answer within the client's time-out, and nothing was done."""
    exchange.wait(TOO_LATE_SECONDS)
    raise Reset


def silent_after_effect(exchange: Exchange) -> NoReturn:
    """No answer within the client's time-out, but what was asked was done."""
    exchange.proceed()
    exchange.wait(TOO_LATE_SECONDS)
    raise Reset


def conflict(exchange: Exchange) -> Reply:
    """Others are at work on the first item of the transaction; nothing is written."""
    reasons: list[dict[str, str]] = [{"Code": "None"} for _ in exchange.body["TransactItems"]]
    reasons[0] = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
    code, message = "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons"
    return exchange.refuse(400, code, message, Message=message, CancellationReasons=reasons)


def partial(exchange: Exchange) -> Reply:
    """The first entry of a batch is not done, and told as such; the others are."""
    member = "Statements" if exchange.operation == "BatchExecuteStatement" else "Entries"
    left, *kept = exchange.body[member]
    if not kept:
        return throttled(exchange)
    reply = exchange.proceed({**exchange.body, member: kept})
    told = json.loads(reply.body)
    if exchange.service == "sqs":
        failed = {"Id": left["Id"], "SenderFault": False, "Code": "InternalError", "Message": "injected"}
        told["Failed"] = [*told.get("Failed", ()), failed]
    else:
        told["Responses"].insert(0, {"Error": {"Code": "ThrottlingError", "Message": "injected"}})
    return Reply(reply.status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(told).encode())


def refused(code: str, status: int) -> Fault:
    """A fault that refuses for good, as `AccessDenied` does."""
    return lambda exchange: exchange.refuse(status, code, "injected")


def oms_queue_refuses(code: str, status: int) -> Script:
    """A script under which nothing can be sent to the OMS's queue."""
    fault = refused(code, status)

    def script(exchange: Exchange) -> Fault | None:
        sends = exchange.operation == "SendMessageBatch"
        return fault if sends and exchange.body["QueueUrl"].endswith(OMS_QUEUE) else None

    return script


THROTTLES: Final = (throttled, over_capacity)
SERVER_ERRORS: Final = (server_error, server_error_after_effect, unavailable)
RESETS: Final = (reset_before_effect, reset_after_effect, cut_short)
SILENCES: Final = (slow, slow, silent_before_effect, silent_after_effect)
PASSING: Final = (*THROTTLES, *SERVER_ERRORS, *RESETS, slow)
"""All but silence, which takes its time."""
_SPECIAL: Final = {
    "TransactWriteItems": (conflict, conflict),
    "SendMessageBatch": (partial,),
    "DeleteMessageBatch": (partial,),
    "BatchExecuteStatement": (partial,),
}


@dataclass
class Weather:
    """Lets a share of the requests go wrong, each in one of the ways of `faults` or of its operation.

    `rate` is a probability; 0 lets the system come to rest. `struck` tells how often each fault did.
    """

    rng: Random
    faults: Sequence[Fault]
    rate: float = 0.0
    struck: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, exchange: Exchange) -> Fault | None:
        with self._lock:
            if self.rng.random() >= self.rate:
                return None
            fault = self.rng.choice((*self.faults, *_SPECIAL.get(exchange.operation, ())))
            self.struck[fault.__name__] += 1
        return fault

    def has_struck(self, faults: Sequence[Fault]) -> bool:
        """Whether each of `faults` has, at least once."""
        return self.struck.keys() >= {fault.__name__ for fault in faults}
