from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.consumer.inbox import COMMANDS, Inbox, Message, Task, read, sort
from chalicelib.domain.commands import ChangeOrder, ChangeType, Reserve
from chalicelib.domain.reservation import Reference
from tests.support.messages import confirm, extend, fulfill, release, reserve, text

OLDEST = datetime(2025, 3, 1, tzinfo=UTC)
NEWEST = datetime(2025, 6, 16, tzinfo=UTC)


def arrive(*bodies: str, receives: int = 1) -> Inbox:
    return sort(
        [Message(f"m{n}", body, 1_000 + n, receives) for n, body in enumerate(bodies)], OLDEST, NEWEST
    )


def released(order_id: str) -> Reference:
    return Reference(order_id, "ReleaseInventory")


def ids(messages: list[Message]) -> list[str]:
    return [message.id for message in messages]


def by_reference(inbox: Inbox) -> dict[Reference, Task]:
    return {task.reference: task for task in inbox.tasks}


def test_an_empty_batch_is_an_empty_inbox() -> None:
    assert arrive() == Inbox()


def test_messages_are_read_in_order_of_arrival() -> None:
    inbox = arrive(
        text(reserve("b", {"A": 1})),
        text(release("d")),
        text(reserve("a", {"A": 2})),
        text(release("c")),
    )
    assert list(by_reference(inbox)) == [Reference("b"), released("d"), Reference("a"), released("c")]
    assert by_reference(inbox)[Reference("a")].command == Reserve("a", "customer of a", {"A": 2})
    assert by_reference(inbox)[released("c")].command == ChangeOrder(
        "c", ChangeType.RELEASE, "ReleaseInventory"
    )
    assert not inbox.poison
    assert not inbox.mismatched


def test_poison_is_separated_with_its_reason() -> None:
    inbox = arrive("{", text(reserve("a", {"A": 1})), text(release(" ")))
    assert [(message.id, str(why)) for message, why in inbox.poison] == [
        ("m0", "the body is not JSON"),
        ("m2", "there is no usable order_id"),
    ]
    assert list(by_reference(inbox)) == [Reference("a")]


def test_a_repeated_order_is_one_task_with_both_messages() -> None:
    body = text(reserve("a", {"A": 1}))
    inbox = arrive(body, text(reserve("b", {"A": 1})), body)
    assert ids(by_reference(inbox)[Reference("a")].messages) == ["m0", "m2"]
    assert not inbox.mismatched


def test_a_repeated_release_is_one_task_for_any_reasons() -> None:
    inbox = arrive(text(release("a", reason="x")), text(release("a", reason="y")))
    assert ids(by_reference(inbox)[released("a")].messages) == ["m0", "m1"]
    assert not inbox.mismatched


def test_the_first_of_two_orders_with_different_items_is_used() -> None:
    inbox = arrive(text(reserve("a", {"A": 1})), text(reserve("a", {"A": 2})), text(reserve("a", {"A": 1})))
    task = by_reference(inbox)[Reference("a")]
    assert isinstance(task.command, Reserve)
    assert task.command.items == {"A": 1}
    assert ids(task.messages) == ["m0", "m1", "m2"]
    assert inbox.mismatched == ["a"]


def test_another_change_under_the_same_id_is_a_task_of_its_own() -> None:
    whole, part = release("a", "r"), release("a", "r", {"A": 1})
    inbox = arrive(text(whole), text(part), text(whole))
    assert [ids(task.messages) for task in inbox.tasks] == [["m0", "m2"], ["m1"]]
    assert inbox.mismatched == ["a"]


def test_the_same_items_in_another_order_or_split_are_equal() -> None:
    parts = [{"sku": "B", "quantity": 2}, {"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}]
    inbox = arrive(text(reserve("a", {"A": 1, "B": 3})), text(reserve("a", {}, items=parts)))
    assert not inbox.mismatched


def test_a_reserve_and_a_release_of_one_order_are_two_tasks() -> None:
    inbox = arrive(text(reserve("a", {"A": 1})), text(release("a")))
    assert ids(by_reference(inbox)[Reference("a")].messages) == ["m0"]
    assert ids(by_reference(inbox)[released("a")].messages) == ["m1"]


def test_a_task_counts_as_redelivered_if_any_of_its_messages_is() -> None:
    body = text(reserve("a", {"A": 1}))
    first, again = Message("m0", body, 0, 1), Message("m1", body, 0, 2)
    assert not by_reference(sort([first], OLDEST, NEWEST))[Reference("a")].redelivered
    assert by_reference(sort([first, again], OLDEST, NEWEST))[Reference("a")].redelivered


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
    places = [*(m.id for task in inbox.tasks for m in task.messages)]
    places += [m.id for m, _ in inbox.poison]
    assert sorted(places) == sorted(f"m{n}" for n in range(len(bodies)))


def test_each_type_of_message_has_a_command() -> None:
    messages = [
        reserve("a", {"A": 1}),
        confirm("a"),
        extend("a", "e", "2025-06-16T00:00:00Z"),
        fulfill("a"),
        release("a"),
    ]
    assert {message["type"] for message in messages} == COMMANDS.keys()
    commands = [read(text(message), OLDEST, NEWEST) for message in messages]
    types = [command.type for command in commands if isinstance(command, ChangeOrder)]
    assert types == list(ChangeType)


def test_the_commands_of_an_order_are_in_order_of_arrival() -> None:
    inbox = arrive(
        text(release("b")),
        text(confirm("a")),
        text(reserve("a", {"A": 1})),
        text(release("a", "R", {"A": 1})),
    )
    by_order = {
        order_id: [task.reference.operation_id for task in tasks]
        for order_id, tasks in inbox.by_order().items()
    }
    assert by_order == {"b": ["ReleaseInventory"], "a": ["ConfirmInventory", None, "R"]}


def test_operations_with_another_id_are_other_tasks() -> None:
    inbox = arrive(*(text(release("a", name, {"A": 1})) for name in ("R1", "R2", "R1")))
    assert [ids(task.messages) for task in inbox.tasks] == [["m0", "m2"], ["m1"]]
    assert not inbox.mismatched


def test_an_operation_under_one_id_with_other_content_is_a_mismatch() -> None:
    for other in (release("a", "R", {"A": 2}), fulfill("a", "R", {"A": 1}), release("a", "R", {"A": 0})):
        inbox = arrive(text(release("a", "R", {"A": 1})), text(other))
        assert inbox.mismatched == ["a"]
        assert len(inbox.tasks) == 2
