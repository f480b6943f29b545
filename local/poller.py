"""Lambda's event source mapping between the queue and `on_sqs_message`.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from chalice.local import LambdaContext

from local.journal import journal

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

Handler = Callable[[dict[str, Any], LambdaContext], Any]

BATCH_SIZE: Final = 10
_RETRY_SECONDS: Final = 1.0
_FUNCTION: Final = "ims-local-on_sqs_message"


class Poller:
    """Passes the messages of one queue to a handler, batch by batch, and deletes those that it settled.

    The others stay in the queue. SQS redelivers them after the visibility timeout, and moves them to the
    dead-letter queue after `maxReceiveCount` receives.
    """

    def __init__(
        self, sqs: SQSClient, queue_url: str, handler: Handler, *, time_limit: float, wait_seconds: int = 1
    ) -> None:
        """`time_limit`: seconds that the handler has for a batch; `wait_seconds`: length of a long poll."""
        self._sqs = sqs
        self._queue_url = queue_url
        self._handler = handler
        self._time_limit = time_limit
        self._wait_seconds = wait_seconds
        response = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        self._queue_arn = response["Attributes"]["QueueArn"]

    def poll(self) -> int:
        """Receive one batch, pass it to the handler, and return the number of messages received."""
        messages = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=BATCH_SIZE,
            WaitTimeSeconds=self._wait_seconds,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if messages:
            failed = self._invoke(messages)
            self._delete([message for message in messages if message["MessageId"] not in failed])
        return len(messages)

    def run(self, stop: threading.Event, between: Callable[[], None] = lambda: None) -> None:
        """Poll until `stop` is set, and call `between`, which must not raise, after each poll.

        The current batch is finished first: an aborted poll loses messages.
        """
        while not stop.is_set():
            try:
                self.poll()
            except Exception:  # noqa: BLE001 - the poller continues after every error
                journal.exception("polling the queue failed")
                stop.wait(_RETRY_SECONDS)
            between()

    def _invoke(self, messages: Sequence[MessageTypeDef]) -> Collection[str]:
        ids = {message["MessageId"] for message in messages}
        event = {"Records": [sqs_record(message, self._queue_arn) for message in messages]}
        context = LambdaContext(
            function_name=_FUNCTION, memory_size=512, max_runtime_ms=int(self._time_limit * 1000)
        )
        try:
            return failed_ids(self._handler(event, context), ids)
        except Exception:  # noqa: BLE001 - every error of a function fails its batch
            journal.exception("the handler failed, so the whole batch is redelivered")
            return ids

    def _delete(self, messages: Sequence[MessageTypeDef]) -> None:
        if messages:
            self._sqs.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ],
            )


@contextmanager
def polling(poller: Poller, between: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Run `poller` in a thread for the length of the block, and `between` after each of its polls."""
    stop = threading.Event()
    thread = threading.Thread(target=poller.run, args=[stop, between], name="poller")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def sqs_record(message: MessageTypeDef, queue_arn: str) -> dict[str, Any]:
    """A received message as a record of the event that Lambda passes to the handler.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
    """
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def failed_ids(response: Any, ids: Collection[str]) -> Collection[str]:
    """Which of the message `ids` failed, according to the handler's `response`.

    An empty response or an empty list means that all succeeded, an invalid response that all failed.
    """
    if not response:
        return ()
    try:
        named = [failure["itemIdentifier"] for failure in response.get("batchItemFailures") or ()]
    except (AttributeError, KeyError, TypeError):
        return ids
    return named if all(name in ids for name in named) else ids


def _attribute(value: Any) -> dict[str, Any]:
    named = {
        name[0].lower() + name[1:]: base64.b64encode(content).decode()
        if isinstance(content, bytes)
        else content
        for name, content in value.items()
    }
    return {"stringListValues": [], "binaryListValues": [], **named}
