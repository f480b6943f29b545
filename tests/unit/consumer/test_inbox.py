from datetime import UTC, datetime
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.consumer.inbox import COMMANDS, Inbox, Message, read, sort
from chalicelib.consumer.settlers import SETTLERS
from chalicelib.domain.commands import Command, Release, Reserve
from tests.support.messages import release, reserve, text

OLDEST = datetime(2025, 3, 1, tzinfo=UTC)
NEWEST = datetime(2025, 6, 16, tzinfo=UTC)


def arrive(*bodies: str, receives: int = 1) -> Inbox:
    return sort(
        [Message(f"m{n}", body, 1_000 + n, receives) for n, body in enumerate(bodies)], OLDEST, NEWEST
    )


def ids(messages: list[Message]) -> list[str]:
    return [message.id for message in messages]


def test_an_empty_batch_is_an_empty_inbox() -> None:
    assert arrive() == Inbox()


def test_messages_are_sorted_by_type_in_order_of_arrival() -> None:
    inbox = arrive(
        text(reserve("b", {"A": 1})),
        text(release("d")),
        text(reserve("a", {"A": 2})),
        text(release("c")),
    )
    assert list(inbox.tasks) == [(Reserve, "b"), (Release, "d"), (Reserve, "a"), (Release, "c")]
    assert inbox.tasks[Reserve, "a"].command == Reserve("a", "customer of a", {"A": 2})
    assert inbox.tasks[Release, "c"].command == Release("c")
    assert not inbox.poison
    assert not inbox.mismatched


def test_poison_is_separated_with_its_reason() -> None:
    inbox = arrive("{", text(reserve("a", {"A": 1})), text(release(" ")))
    assert [(message.id, str(why)) for message, why in inbox.poison] == [
        ("m0", "the body is not JSON"),
        ("m2", "there is no usable order_id"),
    ]
    assert list(inbox.tasks) == [(Reserve, "a")]


def test_a_repeated_order_is_one_task_with_both_messages() -> None:
    body = text(reserve("a", {"A": 1}))
    inbox = arrive(body, text(reserve("b", {"A": 1})), body)
    assert ids(inbox.tasks[Reserve, "a"].messages) == ["m0", "m2"]
    assert not inbox.mismatched


def test_a_repeated_release_is_one_task_for_any_reasons() -> None:
    inbox = arrive(text(release("a", reason="x")), text(release("a", reason="y")))
    assert ids(inbox.tasks[Release, "a"].messages) == ["m0", "m1"]
    assert not inbox.mismatched


def test_the_first_of_two_orders_with_different_items_is_used() -> None:
    inbox = arrive(text(reserve("a", {"A": 1})), text(reserve("a", {"A": 2})), text(reserve("a", {"A": 1})))
    task = inbox.tasks[Reserve, "a"]
    assert isinstance(task.command, Reserve)
    assert task.command.items == {"A": 1}
    assert ids(task.messages) == ["m0", "m1", "m2"]
    assert inbox.mismatched == ["a"]


def test_the_same_items_in_another_order_or_split_are_equal() -> None:
    parts = [{"sku": "B", "quantity": 2}, {"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}]
    inbox = arrive(text(reserve("a", {"A": 1, "B": 3})), text(reserve("a", {}, items=parts)))
    assert not inbox.mismatched


def test_a_reserve_and_a_release_of_one_order_are_two_tasks() -> None:
    inbox = arrive(text(reserve("a", {"A": 1})), text(release("a")))
    assert ids(inbox.tasks[Reserve, "a"].messages) == ["m0"]
    assert ids(inbox.tasks[Release, "a"].messages) == ["m1"]


def test_a_task_counts_as_redelivered_if_any_of_its_messages_is() -> None:
    body = text(reserve("a", {"A": 1}))
    first, again = Message("m0", body, 0, 1), Message("m1", body, 0, 2)
    assert not sort([first], OLDEST, NEWEST).tasks[Reserve, "a"].redelivered
    assert sort([first, again], OLDEST, NEWEST).tasks[Reserve, "a"].redelivered


BODIES = st.sampled_from(
    [
        "{",
        "[]",
        text(release("a")),
        text(release("b")),
        text(reserve("a", {"A": 1})),
        text(reserve("a", {"A": 2})),
        text(reserve("b", {"A": 1})),
        text(reserve("b", {})),
    ]
)


@given(st.lists(BODIES, max_size=20))
def test_every_message_is_in_exactly_one_place(bodies: list[str]) -> None:
    inbox = arrive(*bodies)
    places = [*(m.id for task in inbox.tasks.values() for m in task.messages)]
    places += [m.id for m, _ in inbox.poison]
    assert sorted(places) == sorted(f"m{n}" for n in range(len(bodies)))


def test_each_kind_of_command_has_a_message_and_a_settler() -> None:
    assert set(SETTLERS) == set(get_args(Command))
    messages = {"ReserveInventory": reserve("a", {"A": 1}), "ReleaseInventory": release("a")}
    assert messages.keys() == COMMANDS.keys()
    assert {type(read(text(message), OLDEST, NEWEST)) for message in messages.values()} == set(
        get_args(Command)
    )


def test_the_commands_of_a_kind_are_in_order_of_arrival() -> None:
    inbox = arrive(text(release("b")), text(reserve("a", {"A": 1})), text(release("a")))
    assert [task.order_id for task in inbox.of(Release)] == ["b", "a"]
    assert [task.order_id for task in inbox.of(Reserve)] == ["a"]
