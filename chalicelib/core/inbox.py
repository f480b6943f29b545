"""The inbox: a batch of messages, sorted into what is to be done."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.messages import Poison, Release, Reserve, read


@dataclass(frozen=True, slots=True)
class Message:
    """One SQS message: when it was first sent (Unix time in ms), and how often it has been received."""

    id: str
    body: str
    sent_at: int
    receives: int


@dataclass(slots=True)
class Task:
    """One command and the messages that carry it: several, where a batch holds one order twice."""

    command: Reserve | Release
    messages: list[Message]

    @property
    def redelivered(self) -> bool:
        return any(message.receives > 1 for message in self.messages)


@dataclass(slots=True)
class Inbox:
    """A batch by order id, in order of arrival; `poison` pairs a message with why it is none of these.

    `mismatched` are the orders that came with other items than the first time; the first stands.
    """

    reserves: dict[str, Task] = field(default_factory=dict)
    releases: dict[str, Task] = field(default_factory=dict)
    poison: list[tuple[Message, Poison]] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)


def sort(messages: Iterable[Message], oldest: datetime) -> Inbox:
    """Sort `messages`; those with a `timestamp` before `oldest` are poison."""
    inbox = Inbox()
    for message in messages:
        try:
            command = read(message.body, oldest)
        except Poison as poison:
            inbox.poison.append((message, poison))
            continue
        tasks = inbox.reserves if isinstance(command, Reserve) else inbox.releases
        task = tasks.setdefault(command.order_id, Task(command, []))
        task.messages.append(message)
        if task.command != command:
            inbox.mismatched.append(command.order_id)
    return inbox
