"""The inbox: from a batch of SQS messages to the commands in it, in order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from chalicelib.consumer.body import MAX_ERRORS, read_body
from chalicelib.contracts.fields import CustomerId, OrderId, Timestamp
from chalicelib.contracts.messages import ReleaseInventory, ReserveInventory
from chalicelib.contracts.validation import field_errors
from chalicelib.domain.commands import MAX_SKUS, Command, Invalid, Release, Reserve, TooMany
from chalicelib.errors import FieldError, Poison

_T = TypeVar("_T")
_ORDER_ID: Final[TypeAdapter[str]] = TypeAdapter(OrderId)
_CUSTOMER_ID: Final[TypeAdapter[str]] = TypeAdapter(CustomerId)
_TIMESTAMP: Final[TypeAdapter[datetime]] = TypeAdapter(Timestamp)


@dataclass(frozen=True, slots=True)
class Message:
    """One SQS message: when it was first sent (Unix time in ms), and how often it has been received."""

    id: str
    body: str
    sent_at: int
    receives: int


@dataclass(slots=True)
class Task:
    """One command and the messages that carry it: several, where a batch contains one order twice."""

    order_id: str
    command: Command
    messages: list[Message]

    @property
    def redelivered(self) -> bool:
        return any(message.receives > 1 for message in self.messages)


@dataclass(slots=True)
class Inbox:
    """A batch, in order of arrival; `poison` pairs a message with the reason why it is no command.

    `mismatched` are the orders that came with other items than the first time; the first stands.
    """

    tasks: dict[tuple[type[Command], str], Task] = field(default_factory=dict)
    poison: list[tuple[Message, Poison]] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)

    def of(self, kind: type[Command]) -> list[Task]:
        """The commands of one kind, in order of arrival."""
        return [task for task in self.tasks.values() if type(task.command) is kind]


def sort(messages: Iterable[Message], oldest: datetime, newest: datetime) -> Inbox:
    """Read `messages`; see `read` for `oldest` and `newest`."""
    inbox = Inbox()
    for message in messages:
        try:
            command = read(message.body, oldest, newest)
        except Poison as poison:
            inbox.poison.append((message, poison))
            continue
        order_id = command.order_id
        task = inbox.tasks.setdefault((type(command), order_id), Task(order_id, command, []))
        task.messages.append(message)
        if task.command != command:
            inbox.mismatched.append(order_id)
    return inbox


def read(body: str, oldest: datetime, newest: datetime) -> Command:
    """Read the command in `body`, the text of a message.

    `oldest` is the earliest `timestamp` that may still be applied: the record that would tell whether an
    older message was settled may have expired. An order with a `timestamp` after `newest` is refused: its
    repeats would pass as young when its record has expired. Raises `Poison` where no answer is possible.
    """
    message, errors = read_body(body)
    kind = message.get("type")
    command = COMMANDS.get(kind) if isinstance(kind, str) else None
    if command is None:
        raise Poison("the type is unknown")
    order_id = _valid(_ORDER_ID, message.get("order_id"))
    if order_id is None:
        raise Poison("there is no usable order_id")
    timestamp = _valid(_TIMESTAMP, message.get("timestamp"))
    if timestamp is not None and timestamp < oldest:
        raise Poison("the message is older than the records that would tell whether it was settled")
    if timestamp is not None and timestamp > newest:
        errors = (*errors, FieldError("timestamp", "must not be more than a day ahead"))
    return command(order_id, message, errors)


def _reserve(order_id: str, message: Mapping[str, Any], errors: Sequence[FieldError]) -> Reserve:
    try:
        order = ReserveInventory.model_validate(message)
    except ValidationError as invalid:
        named = {error.field for error in errors}
        errors = [
            *errors,
            *(error for error in field_errors(invalid, MAX_ERRORS) if error.field not in named),
        ]
    if errors:
        customer_id = _valid(_CUSTOMER_ID, message.get("customer_id"))
        return Reserve(order_id, customer_id, refusal=Invalid(tuple(errors[:MAX_ERRORS])))
    items: dict[str, int] = {}
    for line in order.items:
        items[line.sku] = items.get(line.sku, 0) + line.quantity
    if len(items) > MAX_SKUS:
        return Reserve(order_id, order.customer_id, refusal=TooMany(len(items)))
    return Reserve(order_id, order.customer_id, items)


def _release(_order_id: str, message: Mapping[str, Any], _: Sequence[FieldError]) -> Release:
    # Stock must not stay taken because of a field that a release does not need, so other errors do not count.
    return Release(ReleaseInventory.model_validate(message).order_id)


def _valid(adapter: TypeAdapter[_T], value: object) -> _T | None:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


COMMANDS: Final[Mapping[str, Callable[[str, Mapping[str, Any], Sequence[FieldError]], Command]]] = {
    "ReserveInventory": _reserve,
    "ReleaseInventory": _release,
}
"""How to read each type of message, given its order id, its JSON object and the errors found so far."""
