"""The five invariants, checked against what the tables and queues hold at the end.

The numbers are those of the design. What was true only for a moment (a rejection, at its commit) is
checked in the transaction that was committed: `check_transaction`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib.consumer.inbox import read
from chalicelib.domain.commands import Reserve
from chalicelib.domain.reservation import order_of
from chalicelib.errors import Poison

if TYPE_CHECKING:
    from local.stage import Stage

Item = Mapping[str, Any]
_OUTCOMES = {
    "InventoryReserved": ("RESERVED", "RELEASED"),
    "InventoryReservationFailed": ("REJECTED",),
    "InventoryReleased": ("RELEASED",),
}


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
    for body in answers.values():
        _check_answer(body, orders)
    owed = {name for item in state.outbox for name in item.get("owed", {"SS": ()})["SS"]}
    for name in owed:
        assert name in _on_record(orders[order_of(name)]), f"4: {name!r} is owed, but on no record"
    for order_id in {order_id for order_id, _ in answers}:
        both = {(order_id, "InventoryReserved"), (order_id, "InventoryReservationFailed")}
        assert not both <= answers.keys(), f"2: {order_id} was both reserved and rejected"
    dead = Counter(state.dead)
    for body in state.sent:
        _check_settled(body, orders, answers, owed, dead)


def check_stock(state: State, initial: Mapping[str, int]) -> None:
    """Check invariant 1: stock set and adjusted, less what is reserved, is what there is."""
    expected = Counter(initial)
    for record in state.records:
        if "delta" in record:
            expected[record["sku"]["S"]] += int(record["delta"]["N"])
        elif record["outcome"]["S"] == "RESERVED":
            expected.subtract(_units(record))
        elif record["outcome"]["S"] == "RELEASED":
            # Units of SKUs that were deleted (at a stock of 0) could not be returned and are written off.
            missing = _release(record).get("missing", ())
            expected.subtract({sku: units for sku, units in _units(record).items() if sku in missing})
    actual = {item["sku"]["S"]: int(item["quantity"]["N"]) for item in state.inventory}
    for sku in expected.keys() | actual.keys():
        assert actual.get(sku, 0) == expected[sku] >= 0, (
            f"1: {sku} {actual.get(sku)}, {expected[sku]} expected"
        )


def _release(record: Item) -> dict[str, Any]:
    """The answer to the release of an order; {} if it has none."""
    releases = [json.loads(body) for body in _on_record(record).values()]
    return next((event for event in releases if event["type"] == "InventoryReleased"), {})


def _on_record(record: Item) -> dict[str, str]:
    """The bodies of the answers on a record, by their references."""
    order_id = record["order_id"]["S"]
    bodies = {order_id: record["event"]["S"]} if "event" in record else {}
    if "release_event" in record:  # by version 1.1
        bodies[f"{order_id}\nReleaseInventory"] = record["release_event"]["S"]
    for operation in record.get("operations", {"L": ()})["L"]:
        bodies[f"{order_id}\n{operation['M']['id']['S']}"] = operation["M"]["event"]["S"]
    return bodies


def _check_record(order_id: str, record: Item) -> None:
    outcome, bodies = record["outcome"]["S"], _on_record(record)
    if outcome == "RELEASED":
        assert f"{order_id}\nReleaseInventory" in bodies, f"2: {order_id} was released without an answer"
    else:
        assert bodies.keys() == {order_id}, f"2: {order_id} is {outcome} and has {bodies.keys()}"
    for body in bodies.values():
        event = json.loads(body)
        assert event["order_id"] == order_id, f"4: {order_id} holds an answer of another order"
        assert outcome in _OUTCOMES[event["type"]], f"4: {order_id} is {outcome} and holds {event['type']}"


def _answers(bodies: Iterable[str]) -> dict[tuple[str, str], str]:
    answers: dict[tuple[str, str], str] = {}
    ids: dict[str, str] = {}
    for body in bodies:
        event = json.loads(body)
        key = (event["order_id"], event["type"])
        assert answers.setdefault(key, body) == body, f"3: {key} has two different answers"
        assert ids.setdefault(event["event_id"], body) == body, f"3: two answers are {event['event_id']}"
    return answers


def _check_answer(body: str, orders: Mapping[str, Item]) -> None:
    event = json.loads(body)
    record = orders.get(event["order_id"])
    assert record is not None, f"4: {event['order_id']} has an answer but no record"
    assert record["outcome"]["S"] in _OUTCOMES[event["type"]], f"4: {event} and {record['outcome']}"
    assert body in _on_record(record).values(), f"4: {event['order_id']} has another answer than its record"


def _check_settled(
    body: str,
    orders: Mapping[str, Item],
    answers: Mapping[tuple[str, str], str],
    owed: Set[str],
    dead: Counter[str],
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
    if "event" not in record:  # a tombstone: the release's answer stands for both
        needed = "InventoryReleased"
    elif isinstance(command, Reserve) or record["outcome"]["S"] == "REJECTED":
        needed = json.loads(record["event"]["S"])["type"]
    else:
        needed = "InventoryReleased"
    name = f"{order_id}\nReleaseInventory" if needed == "InventoryReleased" else order_id
    assert (order_id, needed) in answers or name in owed, f"3: {order_id} has no {needed}"


def check_transaction(actions: Sequence[Mapping[str, Any]]) -> None:
    """Check, in one committed `TransactItems`, that takes equal admissions and rejections are proved (5).

    Every answer in a new record is owed by the transaction's outbox item (3). Transactions without the record
    of a new order are no reservations; they pass.
    """
    puts = [action["Put"] for action in actions if "Put" in action]
    new = [put["Item"] for put in puts if put.get("ConditionExpression") == "attribute_not_exists(order_id)"]
    owed = {name for put in puts if "owed" in put["Item"] for name in put["Item"]["owed"]["SS"]}
    for item in new:
        assert _on_record(item).keys() <= owed, f"3: nobody owes the answers of {item['order_id']['S']}"
    decided = [item for item in new if "event" in item]
    if not decided:
        return
    taken: Counter[str] = Counter()
    below: dict[str, int] = {}
    absent: set[str] = set()
    for action in actions:
        ((kind, request),) = action.items()
        if "sku" not in request.get("Key", ()):
            continue
        sku, values = request["Key"]["sku"]["S"], request.get("ExpressionAttributeValues", {})
        clauses = request["ConditionExpression"].split(" AND ")
        if kind == "Update":
            assert "quantity >= :units" in clauses, f"1: {sku} is taken without a condition"
            taken[sku] += int(values[":units"]["N"])
        if "quantity < :limit" in clauses:
            below[sku] = int(values[":limit"]["N"])
        if "attribute_not_exists(sku)" in clauses:
            absent.add(sku)
    admitted: Counter[str] = Counter()
    for item in decided:
        if item["outcome"]["S"] == "RESERVED":
            admitted.update(_units(item))
            continue
        event = json.loads(item["event"]["S"])
        proofs = {
            "SKU_NOT_FOUND": any(sku in absent for sku in _units(item)),
            "INSUFFICIENT_STOCK": any(
                sku in below and below[sku] - taken[sku] <= asked for sku, asked in _units(item).items()
            ),
            "INVALID_REQUEST": bool(event.get("errors")),
            "TOO_MANY_ITEMS": bool(event.get("counts")),
        }
        assert proofs[event["reason"]], f"5: {item['order_id']['S']} was rejected without a proof"
    assert +admitted == +taken, f"1: {taken} taken, {admitted} admitted"


def _units(record: Item) -> dict[str, int]:
    return {sku: int(units["N"]) for sku, units in record["items"]["M"].items()}
