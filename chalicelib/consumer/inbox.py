"""The inbox: from a batch of SQS messages to the commands in it, in order of arrival."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from chalicelib.consumer.body import MAX_ERRORS, read_body
from chalicelib.contracts.fields import CustomerId, OperationId, OrderId, Timestamp, total
from chalicelib.contracts.fields import Reference as ReasonText
from chalicelib.contracts.messages import (
    ConfirmInventory,
    ExtendInventory,
    FulfillInventory,
    ReleaseInventory,
    ReserveInventory,
)
from chalicelib.contracts.validation import field_errors
from chalicelib.domain.commands import (
    INVALID_PREFIX,
    MAX_SKUS,
    ChangeOrder,
    ChangeType,
    Command,
    Invalid,
    Reserve,
    TooMany,
)
from chalicelib.domain.reservation import Reference
from chalicelib.domain.timestamps import iso
from chalicelib.errors import FieldError, Poison

_T = TypeVar("_T")
_M = TypeVar("_M", bound=BaseModel)
_ORDER_ID: Final[TypeAdapter[str]] = TypeAdapter(OrderId)
_CUSTOMER_ID: Final[TypeAdapter[str]] = TypeAdapter(CustomerId)
_OPERATION_ID: Final[TypeAdapter[str]] = TypeAdapter(OperationId)
_REASON: Final[TypeAdapter[str]] = TypeAdapter(ReasonText)
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
    """One command and the messages that carry it: several, where a batch contains one twice."""

    command: Command
    messages: list[Message]

    @property
    def order_id(self) -> str:
        return self.command.order_id

    @property
    def reference(self) -> Reference:
        """What names the answer to the command."""
        operation_id = self.command.operation_id if isinstance(self.command, ChangeOrder) else None
        return Reference(self.command.order_id, operation_id)

    @property
    def redelivered(self) -> bool:
        return any(message.receives > 1 for message in self.messages)


@dataclass(slots=True)
class Inbox:
    """A batch, in order of arrival; `poison` pairs a message with the reason why it is no command.

    `mismatched` are the orders that came with other items than the first time; the first stands.
    """

    tasks: list[Task] = field(default_factory=list)
    poison: list[tuple[Message, Poison]] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)

    def by_order(self) -> dict[str, deque[Task]]:
        """The tasks of each order, in order of arrival."""
        orders: dict[str, deque[Task]] = {}
        for task in self.tasks:
            orders.setdefault(task.order_id, deque()).append(task)
        return orders


def sort(messages: Iterable[Message], oldest: datetime, newest: datetime) -> Inbox:
    """Read `messages`; see `read` for `oldest` and `newest`."""
    inbox = Inbox()
    firsts: dict[Reference, Task] = {}
    for message in messages:
        try:
            command = read(message.body, oldest, newest)
        except Poison as poison:
            inbox.poison.append((message, poison))
            continue
        task = Task(command, [])
        first = firsts.setdefault(task.reference, task)
        differs = _asked(first.command) != _asked(command)
        if differs:
            inbox.mismatched.append(command.order_id)
        if first is task or (differs and isinstance(command, ChangeOrder)):
            # Another change under the same id is ruled for itself: the first may leave nothing on record.
            inbox.tasks.append(task)
        else:
            task = first
        task.messages.append(message)
    return inbox


def _asked(command: Command) -> Command:
    """`command` without the reason, which changes nothing."""
    return replace(command, reason=None) if isinstance(command, ChangeOrder) else command


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
    order, errors = _checked(ReserveInventory, message, errors)
    if order is None or errors:
        customer_id = _valid(_CUSTOMER_ID, message.get("customer_id"))
        return Reserve(order_id, customer_id, refusal=Invalid(tuple(errors[:MAX_ERRORS])))
    items = total(order.items)
    if len(items) > MAX_SKUS:
        return Reserve(order_id, order.customer_id, refusal=TooMany(len(items)))
    expires_at = iso(order.expires_at) if order.expires_at else None
    return Reserve(order_id, order.customer_id, items, expires_at=expires_at)


def _confirm(order_id: str, message: Mapping[str, Any], errors: Sequence[FieldError]) -> ChangeOrder:
    _, errors = _checked(ConfirmInventory, message, errors)
    return _change(order_id, ChangeType.CONFIRM, message, errors)


def _extend(order_id: str, message: Mapping[str, Any], errors: Sequence[FieldError]) -> ChangeOrder:
    asked, errors = _checked(ExtendInventory, message, errors)
    command = _change(order_id, ChangeType.EXTEND, message, errors)
    return replace(command, expires_at=iso(asked.expires_at)) if asked else command


def _fulfill(order_id: str, message: Mapping[str, Any], errors: Sequence[FieldError]) -> ChangeOrder:
    asked, errors = _checked(FulfillInventory, message, errors)
    command = _change(order_id, ChangeType.FULFILL, message, errors)
    return replace(command, items=asked.units()) if asked else command


def _release(order_id: str, message: Mapping[str, Any], _: Sequence[FieldError]) -> ChangeOrder:
    # Errors in fields that a release does not need do not count.
    asked, errors = _checked(ReleaseInventory, message, ())
    command = _change(order_id, ChangeType.RELEASE, message, errors)
    return replace(command, items=asked.units(), reason=_valid(_REASON, asked.reason)) if asked else command


def _change(
    order_id: str, kind: ChangeType, message: Mapping[str, Any], errors: Sequence[FieldError]
) -> ChangeOrder:
    """A change of an order without its items, under the id in `message`, or that of its kind."""
    operation_id = None if kind is ChangeType.CONFIRM else _valid(_OPERATION_ID, message.get("operation_id"))
    if operation_id is None:
        operation_id = INVALID_PREFIX + _digest(message) if errors else kind.value
    return ChangeOrder(order_id, kind, operation_id, errors=tuple(errors[:MAX_ERRORS]))


def _digest(message: Mapping[str, Any]) -> str:
    """The same text for each delivery of `message`."""
    text = json.dumps(message, sort_keys=True, default=lambda _: None)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _checked(
    model: type[_M], message: Mapping[str, Any], errors: Sequence[FieldError]
) -> tuple[_M | None, Sequence[FieldError]]:
    """`message` by its `model`, None if it is invalid; and `errors`, with those found in other fields."""
    try:
        return model.model_validate(message), errors
    except ValidationError as invalid:
        named = {error.field for error in errors}
        found = field_errors(invalid, MAX_ERRORS)
        return None, [*errors, *(error for error in found if error.field not in named)]


def _valid(adapter: TypeAdapter[_T], value: object) -> _T | None:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


COMMANDS: Final[Mapping[str, Callable[[str, Mapping[str, Any], Sequence[FieldError]], Command]]] = {
    "ReserveInventory": _reserve,
    "ConfirmInventory": _confirm,
    "ExtendInventory": _extend,
    "FulfillInventory": _fulfill,
    "ReleaseInventory": _release,
}
"""How to read each type of message, given its order id, its JSON object and the errors found so far."""
