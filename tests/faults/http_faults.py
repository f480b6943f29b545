"""What can go wrong between boto3 and AWS: a fault responds in the service's place, or breaks the connection.

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
from tests.faults.faulty_proxy import Exchange, Fault, Reset, Response, Script

TOO_LATE_SECONDS: Final = 3.5
"""More than the read time-out of chalicelib.bootstrap."""


def throttled(exchange: Exchange) -> Response:
    """The caller sends too many requests."""
    code = "RequestThrottled" if exchange.service == "sqs" else "ThrottlingException"
    return exchange.refuse(400, code, "Rate exceeded")


def over_capacity(exchange: Exchange) -> Response:
    """DynamoDB's other code for throttling."""
    if exchange.service == "sqs":
        return throttled(exchange)
    return exchange.refuse(400, "ProvisionedThroughputExceededException", "The level of throughput …")


def server_error(exchange: Exchange) -> Response:
    """The service fails before the effect."""
    code = "InternalFailure" if exchange.service == "sqs" else "InternalServerError"
    return exchange.refuse(500, code, "Internal server error")


def server_error_after_effect(exchange: Exchange) -> Response:
    """The service fails after the effect."""
    exchange.proceed()
    return server_error(exchange)


def unavailable(exchange: Exchange) -> Response:
    """A load balancer responds in the place of the service, in HTML."""
    return Response(503, {"Content-Type": "text/html"}, b"<html><b>Http/1.1 Service Unavailable</b></html>")


def reset_before_effect(exchange: Exchange) -> NoReturn:
    """The connection breaks before the effect."""
    raise Reset


def reset_after_effect(exchange: Exchange) -> NoReturn:
    """The connection breaks after the effect."""
    exchange.proceed()
    raise Reset


def truncated_response(exchange: Exchange) -> Response:
    """The connection breaks in the middle of the response."""
    return replace(exchange.proceed(), cut=True)


def slow(exchange: Exchange) -> Response:
    """The response is slow."""
    exchange.wait(0.3)
    return exchange.proceed()


def dripping(exchange: Exchange) -> Response:
    """The response arrives byte by byte, each before the client times out."""
    return replace(exchange.proceed(), seconds_per_byte=0.2)


def timed_out_before_effect(exchange: Exchange) -> NoReturn:
    """The client times out before the effect."""
    exchange.wait(TOO_LATE_SECONDS)
    raise Reset


def timed_out_after_effect(exchange: Exchange) -> NoReturn:
    """The client times out after the effect."""
    exchange.proceed()
    exchange.wait(TOO_LATE_SECONDS)
    raise Reset


def conflict(exchange: Exchange) -> Response:
    """The first item of the transaction conflicts with another transaction; nothing is written."""
    reasons: list[dict[str, str]] = [{"Code": "None"} for _ in exchange.body["TransactItems"]]
    reasons[0] = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
    code, message = "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons"
    return exchange.refuse(400, code, message, Message=message, CancellationReasons=reasons)


def partial(exchange: Exchange) -> Response:
    """The first entry of a batch fails, the others succeed."""
    left, *kept = exchange.body["Entries"]
    if not kept:
        return throttled(exchange)
    response = exchange.proceed({**exchange.body, "Entries": kept})
    result = json.loads(response.body)
    failed = {"Id": left["Id"], "SenderFault": False, "Code": "InternalError", "Message": "injected"}
    result["Failed"] = [*result.get("Failed", ()), failed]
    return Response(
        response.status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(result).encode()
    )


def unprocessed(exchange: Exchange) -> Response:
    """A batch read leaves all keys unprocessed; a transaction conflicts; any other call is throttled."""
    if exchange.operation == "TransactWriteItems":
        return conflict(exchange)
    if exchange.operation != "BatchGetItem":
        return throttled(exchange)
    tables = exchange.body["RequestItems"]
    result = {"Responses": {table: [] for table in tables}, "UnprocessedKeys": tables}
    return Response(200, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(result).encode())


def refused(code: str, status: int) -> Fault:
    """A fault that no retry mends, such as `AccessDenied`."""
    return lambda exchange: exchange.refuse(status, code, "injected")


def oms_queue_meets(fault: Fault) -> Script:
    """A script in which every send to the OMS's queue meets `fault`."""
    return lambda exchange: fault if is_answer(exchange) else None


def is_answer(exchange: Exchange) -> bool:
    """Whether a request sends to the OMS's queue."""
    return exchange.operation == "SendMessageBatch" and exchange.body["QueueUrl"].endswith(OMS_QUEUE)


THROTTLES: Final = (throttled, over_capacity)
SERVER_ERRORS: Final = (server_error, server_error_after_effect, unavailable)
RESETS: Final = (reset_before_effect, reset_after_effect, truncated_response)
TIMEOUTS: Final = (slow, slow, timed_out_before_effect, timed_out_after_effect)
TRANSIENT: Final = (*THROTTLES, *SERVER_ERRORS, *RESETS, slow)
"""All but time-outs, which take long."""
_SPECIAL: Final = {
    "TransactWriteItems": (conflict, conflict),
    "SendMessageBatch": (partial,),
    "DeleteMessageBatch": (partial,),
}


@dataclass
class RandomFaults:
    """Lets a share of the requests fail, each with one of `faults` or of the faults of its operation.

    `rate` is a probability. `counts` says how often each fault occurred.
    """

    rng: Random
    faults: Sequence[Fault]
    rate: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, exchange: Exchange) -> Fault | None:
        with self._lock:
            if self.rng.random() >= self.rate:
                return None
            fault = self.rng.choice((*self.faults, *_SPECIAL.get(exchange.operation, ())))
            self.counts[fault.__name__] += 1
        return fault

    def have_occurred(self, faults: Sequence[Fault]) -> bool:
        """Whether each of `faults` has occurred at least once."""
        return self.counts.keys() >= {fault.__name__ for fault in faults}
