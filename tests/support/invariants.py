"""The invariants, checked against what the tables and queues hold at the end.

The numbers are those of the design. What was true only for a moment (a rejection, at its commit) is
checked in the transaction that was committed: `check_transaction`. Stored items and answers are parsed here
without the code that wrote them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.consumer.inbox import read
from chalicelib.domain.commands import Reserve
from chalicelib.errors import Poison

if TYPE_CHECKING:
    from local.stage import Stage

Item = Mapping[str, Any]
_TAKEN = ("RESERVED", "RELEASED", "FULFILLED")
_OUTCOMES = {
    "InventoryReserved": _TAKEN,
    "InventoryReservationFailed": ("REJECTED",),
    "InventoryConfirmed": _TAKEN,
    "InventoryExtended": _TAKEN,
    "InventoryFulfilled": ("RESERVED", "FULFILLED"),
    "InventoryReleased": _TAKEN,
    "InventoryChangeRejected": (*_TAKEN, "REJECTED"),
}
_RELEASE = "ReleaseInventory"


@dataclass(frozen=True, slots=True)
class State:
    """All that is left at the end, as DynamoDB and SQS return it.

    `answers` are the bodies in the OMS's queue, repeats included; `sent` and `dead` those of the messages
    that went into the inventory queue and that ended in the dead-letter queue; `outbox` are the items that
    are still in OutboxTable.
    """

    inventory: Sequence[Item]
    records: Sequence[Item]
    answers: Sequence[str]
    sent: Sequence[str]
    dead: Sequence[str] = ()
    outbox: Sequence[Item] = ()


def read_state(stage: Stage, sent: Sequence[str]) -> State:
    """Read the tables, and empty both the OMS's queue and the dead-letter queue."""
    return State(
        inventory=_scan(stage, stage.tables.inventory_table),
        records=_scan(stage, stage.tables.processed_events_table),
        answers=drain(stage, stage.oms_queue_url),
        sent=sent,
        dead=drain(stage, stage.dlq_url),
        outbox=_scan(stage, stage.tables.outbox_table),
    )


def drain(stage: Stage, queue_url: str) -> list[str]:
    """Receive and delete all messages of a queue; returns their bodies."""
    bodies = []
    while messages := stage.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in messages]
        entries: Any = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages)
        ]
        stage.sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
    return bodies


def _scan(stage: Stage, table: str) -> list[Item]:
    pages = stage.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def check(state: State, initial: Mapping[str, int]) -> None:
    """Check invariants 1 to 4; `initial` is the stock of each SKU before the first message and adjustment."""
    orders = {key: item for item in state.records if "#" not in (key := item["order_id"]["S"])}
    answers = _answers(state.answers)
    check_stock(state, initial)
    for order_id, record in orders.items():
        _check_record(order_id, record)
    for body in answers:
        _check_answer(body, orders)
    owed = {name for item in state.outbox for name in item.get("owed", {"SS": ()})["SS"]}
    for name in owed:
        record = orders[name.split("\n")[0]]
        assert name in _on_record(record) or _is_beyond(name, record), (
            f"4: {name!r} is owed, but on no record"
        )
    dead = Counter(state.dead)
    for body in state.sent:
        _check_settled(body, orders, answers, owed, dead)


def check_at_rest(state: State, initial: Mapping[str, int]) -> None:
    """Check also that nothing is owed any more, and that the OMS's queue got what it should, and only that.

    What was the response to a call is not sent, unless a message asked for it too.
    """
    check(state, initial)
    assert state.outbox == [], "3: the outbox is not empty"
    wanted = set()
    for record in state.records:
        if "outcome" in record:
            bodies = _on_record(record)
            wanted |= {bodies[name] for name in _queued(record)}
    beyond = {body for body in state.answers if json.loads(body).get("reason") == "TOO_MANY_OPERATIONS"}
    assert set(state.answers) - beyond == wanted, "3: the answers are not those that the records say"


def check_ends(state: State, calm: datetime, within: timedelta) -> timedelta:
    """Check invariant 6: no hold is released before its end, none outlives it for longer than `within`.

    That counts from when the hold could be ended: since `calm` everything works. Returns for how long the
    slowest has outlived its end since then.
    """
    longest = timedelta()
    for record in state.records:
        if "outcome" not in record:
            continue
        order_id, seen = record["order_id"]["S"], [_time(record["created_at"]), calm]
        for operation in _operations(record):
            at = _time(operation["at"])
            if operation["id"]["S"] == "EXPIRED":
                end = datetime.fromisoformat(json.loads(operation["event"]["S"])["expired_at"])
                assert at >= end, f"6: {order_id} was to end at {end}, and was ended at {at}"
                longest = max(longest, at - max(end, *seen))
            seen.append(at)
        if record["outcome"]["S"] == "RESERVED" and "expires_at" in record:
            longest = max(longest, datetime.now(UTC) - max(_time(record["expires_at"]), *seen))
        assert longest <= within, f"6: {order_id} outlived its end by {longest}"
    return longest


def _time(value: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(value["S"])


def check_stock(state: State, initial: Mapping[str, int]) -> None:
    """Check invariant 1: each SKU has what was set and adjusted, less what orders hold or have shipped.

    What open orders hold is reserved. Version 1.1 did not count that.
    """
    expected, reserved = Counter(initial), Counter[str]()
    for record in state.records:
        if "delta" in record:
            expected[record["sku"]["S"]] += int(record["delta"]["N"])
        elif record["outcome"]["S"] != "REJECTED":
            expected.subtract(_holding(record))
            expected.subtract(_units(record, "fulfilled"))
            reserved.update(_units(record, "held"))
            # Units of SKUs that were deleted (at a stock of 0) could not be returned and are written off.
            missing = {sku for event in _events(record) for sku in event.get("missing", ())}
            gone = _released(record)
            expected.subtract({sku: units for sku, units in gone.items() if sku in missing})
    actual = {item["sku"]["S"]: int(item["quantity"]["N"]) for item in state.inventory}
    held = {item["sku"]["S"]: int(item["reserved"]["N"]) for item in state.inventory if "reserved" in item}
    for sku in expected.keys() | actual.keys():
        assert actual.get(sku, 0) == expected[sku] >= 0, (
            f"1: {sku} {actual.get(sku)}, {expected[sku]} expected"
        )
    for sku in reserved.keys() | held.keys():
        assert held.get(sku, 0) == reserved[sku], (
            f"1: {sku} {held.get(sku)} reserved, {reserved[sku]} expected"
        )


def _holding(record: Item) -> Mapping[str, int]:
    """What an order holds: all that it asked for, if version 1.1 wrote its record."""
    if record["outcome"]["S"] != "RESERVED":
        return {}
    return _units(record, "held" if "held" in record else "items")


def _released(record: Item) -> dict[str, int]:
    """What was taken for an order and is neither held nor shipped."""
    left = Counter(_units(record))
    left.subtract(_holding(record))
    left.subtract(_units(record, "fulfilled"))
    return dict(left)


def _events(record: Item) -> list[dict[str, Any]]:
    return [json.loads(body) for body in _on_record(record).values()]


def _on_record(record: Item) -> dict[str, str]:
    """The bodies of the answers on a record, by their references."""
    order_id = record["order_id"]["S"]
    bodies = {order_id: record["event"]["S"]} if "event" in record else {}
    if "release_event" in record:  # by version 1.1
        bodies[f"{order_id}\n{_RELEASE}"] = record["release_event"]["S"]
    for operation in _operations(record):
        if "event" in operation:
            bodies[f"{order_id}\n{operation['id']['S']}"] = operation["event"]["S"]
    return bodies


def _operations(record: Item) -> list[Item]:
    return [operation["M"] for operation in record.get("operations", {"L": ()})["L"]]


def _is_beyond(name: str, record: Item) -> bool:
    """Whether `name` refers to an answer that is on no record, since the order takes no more operations."""
    return "full_at" in record and name.count("\n") == 2


def _check_record(order_id: str, record: Item) -> None:
    outcome = record["outcome"]["S"]
    for event in _events(record):
        assert event["order_id"] == order_id, f"4: {order_id} holds an answer of another order"
        assert outcome in _OUTCOMES[event["type"]], f"4: {order_id} is {outcome} and holds {event['type']}"
    if "event" in record:
        first = json.loads(record["event"]["S"])["type"]
        assert first == ("InventoryReservationFailed" if outcome == "REJECTED" else "InventoryReserved"), (
            f"4: {order_id} is {outcome}, and its first answer is {first}"
        )
    ids = [operation["id"]["S"] for operation in _operations(record)]
    assert len(set(ids)) == len(ids), f"2: {order_id} has an operation twice"
    if outcome in ("RELEASED", "FULFILLED"):
        ended = {event["type"] for event in _events(record)} & {"InventoryReleased", "InventoryFulfilled"}
        assert ended or "AGED" in ids, f"2: {order_id} was released without an answer"
    if "change" not in record or "release_event" in record:
        return  # version 1.1 wrote it
    is_open = outcome == "RESERVED"
    assert ("ttl" in record) is not is_open, f"2: {order_id} is {outcome}, with a lifetime or without"
    assert ("hold_shard" in record) is ("due_at" in record), f"6: {order_id} is due and in no index"
    if is_open:
        assert record.get("due_at") or "expires_at" not in record, f"6: {order_id} is a hold that never ends"
    else:
        assert not record.keys() & {"held", "due_at"}, f"2: {order_id} is {outcome} and holds something"
    assert all(units > 0 for units in _holding(record).values()), f"2: {order_id} holds nothing of a SKU"
    _check_sums(order_id, record)


def _check_sums(order_id: str, record: Item) -> None:
    """Check that what was taken is held, was shipped or was given back, and that the answers say so."""
    if record["outcome"]["S"] == "REJECTED":
        return
    told: dict[str, Counter[str]] = {"InventoryFulfilled": Counter(), "InventoryReleased": Counter()}
    for event in _events(record):
        units = {line["sku"]: line["quantity"] for line in event.get("items", ()) if "quantity" in line}
        if event["type"] in told:
            told[event["type"]].update(units)
        elif event.get("reserved_again"):
            told["InventoryReleased"].subtract(units)
    missing = {sku for event in _events(record) for sku in event.get("missing", ())}
    released = {sku: units for sku, units in _released(record).items() if units and sku not in missing}
    back = {sku: units for sku, units in told["InventoryReleased"].items() if units}
    assert back == released, f"2: {order_id} gave back {released}, and told {back}"
    shipped = _units(record, "fulfilled")
    if all(operation["id"]["S"] != "AGED" for operation in _operations(record)):
        assert dict(told["InventoryFulfilled"]) == shipped, f"2: {order_id} has shipped {shipped}"


def _answers(bodies: Iterable[str]) -> set[str]:
    answers: dict[tuple[Any, ...], str] = {}
    ids: dict[str, str] = {}
    first: dict[str, str] = {}
    for body in bodies:
        event = json.loads(body)
        # Invalid operations have no id that the answer could name, but each has its own event_id.
        more = event["event_id"] if event["type"] == "InventoryChangeRejected" else event.get("expired_at")
        key = (event["order_id"], event["type"], event.get("operation_id"), more)
        assert answers.setdefault(key, body) == body, f"3: {key} has two different answers"
        assert ids.setdefault(event["event_id"], body) == body, f"3: two answers are {event['event_id']}"
        if event["type"] in ("InventoryReserved", "InventoryReservationFailed"):
            assert first.setdefault(event["order_id"], event["type"]) == event["type"], (
                f"2: {event['order_id']} was both reserved and rejected"
            )
    return set(answers.values())


def _check_answer(body: str, orders: Mapping[str, Item]) -> None:
    event = json.loads(body)
    record = orders.get(event["order_id"])
    assert record is not None, f"4: {event['order_id']} has an answer but no record"
    assert record["outcome"]["S"] in _OUTCOMES[event["type"]], f"4: {event} and {record['outcome']}"
    if event.get("reason") == "TOO_MANY_OPERATIONS":
        assert event["timestamp"] == record["full_at"]["S"], f"4: {event} is not what {record} says"
        return
    assert body in _on_record(record).values(), f"4: {event['order_id']} has another answer than its record"


def _check_settled(
    body: str, orders: Mapping[str, Item], answers: Set[str], owed: Set[str], dead: Counter[str]
) -> None:
    try:
        command = read(body, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    except Poison:
        assert dead[body], f"3: poison is not in the DLQ: {body[:200]}"
        return
    if dead[body]:
        return
    order_id = command.order_id
    assert order_id in orders, f"3: {order_id} is neither recorded nor in the DLQ"
    record = orders[order_id]
    on_record = _on_record(record)
    if isinstance(command, Reserve):
        # A tombstone: the release's answer stands for both.
        name = next(iter(on_record), order_id)
    else:
        name = f"{order_id}\n{command.operation_id}"
        if name not in on_record and "full_at" in record:
            beyond = [json.loads(answer) for answer in answers]
            assert f"{name}\n{command.type}" in owed or any(
                event.get("operation_id") == command.operation_id and event["order_id"] == order_id
                for event in beyond
            ), f"3: {order_id} has no answer to {command.operation_id}"
            return
        if command.whole_release and record["outcome"]["S"] == "REJECTED":
            # What answers it is the rejection, unless its id was used before.
            told = on_record[order_id] in answers or order_id in owed
            name = order_id if told or name not in on_record else name
    assert name in on_record, f"3: {order_id} has no answer on record for {name!r}"
    assert on_record[name] in answers or name in owed, f"3: {order_id} has no {name!r}"


def check_transaction(actions: Sequence[Mapping[str, Any]]) -> None:
    """Check, in one committed `TransactItems`, that takes equal admissions and rejections are proved (5).

    Every answer in a new record is owed by the transaction's outbox item (3), unless it was the response to a
    call. Transactions in which no order takes stock pass, and those of callers of REST who change stock.
    """
    puts = [action["Put"] for action in actions if "Put" in action]
    new = [put["Item"] for put in puts if put.get("ConditionExpression") == "attribute_not_exists(order_id)"]
    outbox = [put["Item"] for put in puts if "owed" in put["Item"]]
    owed = {name for item in outbox for name in item["owed"]["SS"]}
    for item in new:
        assert _queued(item) <= owed, f"3: nobody owes the answers of {item['order_id']['S']}"
    adjusted = any("delta" in put["Item"] for put in puts)
    late = [put for put in puts if _takes_again(put) or _refused_late(put["Item"], outbox)]
    decided = [item for item in new if "event" in item]
    taken: Counter[str] = Counter()
    below: dict[str, int] = {}
    absent: set[str] = set()
    for action in actions:
        ((kind, request),) = action.items()
        if "sku" not in request.get("Key", ()):
            continue
        sku, values = request["Key"]["sku"]["S"], request.get("ExpressionAttributeValues", {})
        clauses = request["ConditionExpression"].split(" AND ")
        if kind == "Update" and not adjusted:
            units = -int(values[":units"]["N"])
            guarded = "quantity >= :taken" in clauses and int(values[":taken"]["N"]) == units
            assert units <= 0 or guarded, f"1: {sku} is taken without a condition"
            taken[sku] += units
        if "quantity < :limit" in clauses:
            below[sku] = int(values[":limit"]["N"])
        if "attribute_not_exists(sku)" in clauses:
            absent.add(sku)
    if not decided and not late:
        return

    def proved(asked: Mapping[str, int]) -> Set[str]:
        """The reasons for which it is proved that an order cannot have what it asks."""
        short = any(sku in below and below[sku] - taken[sku] <= units for sku, units in asked.items())
        gone = any(sku in absent for sku in asked)
        return ({"INSUFFICIENT_STOCK"} if short else set()) | ({"SKU_NOT_FOUND"} if gone else set())

    admitted: Counter[str] = Counter()
    for put in late:
        item = put["Item"]
        if _takes_again(put):
            admitted.update(_units(item, "held"))
        else:
            assert proved(_units(item, "expired")), f"5: {item['order_id']['S']} was refused without a proof"
    for item in decided:
        if item["outcome"]["S"] == "RESERVED":
            admitted.update(_units(item))
            continue
        event = json.loads(item["event"]["S"])
        proofs = {
            "INVALID_REQUEST": bool(event.get("errors")),
            "TOO_MANY_ITEMS": bool(event.get("counts")),
            "EXPIRED": item.get("expires_at", {"S": "never"})["S"] <= event["timestamp"],
        }
        assert proofs.get(event["reason"], event["reason"] in proved(_units(item))), (
            f"5: {item['order_id']['S']} was rejected without a proof"
        )
    assert +admitted == +taken, f"1: {taken} taken, {admitted} admitted"


def _queued(item: Item) -> Set[str]:
    """The references of the answers on a record that go to the OMS's queue."""
    asked = {f"{item['order_id']['S']}\n{o['id']['S']}" for o in _operations(item) if "queued" in o}
    return _on_record(item).keys() - asked - ({item["order_id"]["S"]} if "queued" in item else set())


def _takes_again(put: Item) -> bool:
    """Whether a record is opened again, by a late confirmation."""
    before = put.get("ExpressionAttributeValues", {}).get(":outcome", {"S": None})["S"]
    return before in ("RELEASED", "FULFILLED") and put["Item"]["outcome"]["S"] == "RESERVED"


def _refused_late(item: Item, outbox: Sequence[Item]) -> bool:
    """Whether the last operation on a record is a late confirmation that was refused right now."""
    operations = _operations(item)
    if not operations or "event" not in operations[-1]:
        return False
    name = f"{item['order_id']['S']}\n{operations[-1]['id']['S']}"
    now = any(name in owed["owed"]["SS"] and owed["created_at"] == operations[-1]["at"] for owed in outbox)
    event = json.loads(operations[-1]["event"]["S"])
    refused = event["type"] == "InventoryChangeRejected" and event["reason"] == "EXPIRED"
    return now and refused and bool(event.get("items"))


def _units(record: Item, name: str = "items") -> dict[str, int]:
    return {sku: int(units["N"]) for sku, units in record.get(name, {"M": {}})["M"].items()}
