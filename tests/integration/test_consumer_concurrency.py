"""Many concurrent consumers and callers of the API on the same few SKUs, on the embedded AWS."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from chalicelib.consumer.consumer import Consumer
from chalicelib.domain.reservation import AnswerType, Reference
from chalicelib.domain.stock import Adjustment, IdempotencyKey
from chalicelib.domain.writes import OweAnswers
from chalicelib.errors import Conflict, Contended, NotFound
from chalicelib.services.stock_changes import StockChanges
from chalicelib.store.items import owed_to_item
from chalicelib.store.outbox_store import OutboxStore
from chalicelib.store.stock_store import StockStore
from local.stage import Stage
from tests.integration.consumers import (
    CheckingScript,
    consumer_on,
    hold_sweep_on,
    in_,
    later,
    message,
    put_stock,
    stock_of,
    sweep_on,
)
from tests.integration.deliveries import SECONDS, Deliveries, consume, deadline, run_concurrently
from tests.support.deadlines import after
from tests.support.engines import Crash
from tests.support.engines.faults import (
    Partial,
    crash_after,
    crash_before,
    reset_after_effect,
    throttled,
    timed_out_after_effect,
    timed_out_before_effect,
    unreachable,
)
from tests.support.engines.network import Call, Fault
from tests.support.invariants import check, check_at_rest, drain, read_state
from tests.support.messages import confirm, extend, fulfill, release, reserve, text

IN_AN_HOUR = timedelta(hours=1)


def adjust(stage: Stage, skus: Sequence[str], seed: int, changes: int) -> None:
    """Change stock as the API does, each change sent twice under its idempotency key."""
    rng = Random(seed)
    stock = StockChanges(StockStore(stage.dynamodb, stage.tables))
    for number in range(changes):
        sku, key = rng.choice(skus), IdempotencyKey(f"caller-{seed}", str(number))
        delta, quantity = rng.randint(-4, 6) or 1, rng.randint(0, 20)
        for _ in range(2):
            try:
                if number % 5:
                    stock.adjust(sku, Adjustment(delta, "CORRECTION"), after(SECONDS), key)
                else:
                    stock.set_quantity(sku, quantity, after(SECONDS), key=key)
            except (Conflict, Contended):
                pass


def remove_and_restore(stage: Stage, sku: str, stop: threading.Event) -> None:
    """Delete a SKU whenever it is gone and nothing of it is reserved, and create it again with no stock."""
    table, key = stage.tables.inventory_table, {"sku": {"S": sku}}
    none_reserved = "(attribute_not_exists(reserved) OR reserved = :none)"
    stock = StockChanges(StockStore(stage.dynamodb, stage.tables))
    number = 0
    while not stop.wait(0.02):
        number += 1
        try:
            stage.dynamodb.delete_item(
                TableName=table,
                Key=key,
                ConditionExpression=f"quantity = :none AND {none_reserved}",
                ExpressionAttributeValues={":none": {"N": "0"}},
            )
            stop.wait(0.05)
            item = {**key, "quantity": {"N": "0"}, "updated_at": {"S": "…"}}
            stage.dynamodb.put_item(
                TableName=table, Item=item, ConditionExpression="attribute_not_exists(sku)"
            )
            stock.adjust(sku, Adjustment(3, "RECEIVED"), after(SECONDS))
        except (stage.dynamodb.exceptions.ConditionalCheckFailedException, Conflict, Contended, NotFound):
            continue


def order_messages(rng: Random, skus: Sequence[str], count: int) -> list[str]:
    """Orders: some released (sometimes before or without a reserve), some invalid, some repeated.

    Of those that are reserved, some are holds, and some are confirmed, extended, shipped in parts.
    """
    bodies: list[Any] = []
    for number in range(count):
        order_id = f"o{number}"
        items = {sku: rng.randint(1, 3) for sku in rng.sample(skus, rng.randint(1, 3))}
        if rng.random() < 0.03:
            items["UNKNOWN"] = 1
        if rng.random() < 0.03:
            items = {"BAD SKU": 0}
        if rng.random() < 0.97:
            hold = {"expires_at": in_(minutes=30)} if rng.random() < 0.3 else {}
            bodies += [reserve(order_id, items, **hold), *order_changes(rng, order_id, items)]
        if rng.random() < 0.03:
            bodies.append(reserve(order_id, {rng.choice(skus): 1}))
        if rng.random() < 0.4:
            bodies.append(release(order_id))
    return [text(body) for body in bodies]


def order_changes(rng: Random, order_id: str, items: Mapping[str, int]) -> list[Any]:
    """Some changes of an order, none of which waits for another."""
    part = {rng.choice(list(items)): 1}
    possible = [
        confirm(order_id),
        extend(order_id, "e", in_(hours=rng.choice([1, 3]))),
        fulfill(order_id, "s", part),
        release(order_id, "r", part),
        fulfill(order_id),
        {**fulfill(order_id), "items": None},
    ]
    return [body for body in possible if rng.random() < 0.15]


def test_the_invariants_hold_with_concurrent_consumers_and_callers(stage: Stage) -> None:
    rng = Random(1)
    skus = [f"S{n}" for n in range(6)]
    initial = {sku: rng.randint(0, 120) for sku in skus} | {"FLEETING": 2}
    put_stock(stage, initial)
    bodies = order_messages(rng, [*skus, "FLEETING"], 500)
    deliveries = Deliveries(bodies, rng)
    scripts = [CheckingScript() for _ in range(10)]
    consumers = [consumer_on(stage, script) for script in scripts]
    stop = threading.Event()

    def work() -> None:
        try:
            run_concurrently(
                *(
                    lambda number=number, one=one: consume(one, deliveries, number)
                    for number, one in enumerate(consumers)
                ),
                *(lambda n=n: adjust(stage, skus, n, 25) for n in range(2)),
            )
        finally:
            stop.set()

    run_concurrently(work, lambda: remove_and_restore(stage, "FLEETING", stop))
    state = read_state(stage, bodies)
    check(state, initial)
    assert all(script.committed for script in scripts), "a consumer had nothing to do"
    answers = Counter(json.loads(body)["type"] for body in state.answers)
    assert set(answers) == set(AnswerType)


def test_the_invariants_hold_when_calls_also_fail(stage: Stage) -> None:
    kinds: list[Fault] = [
        throttled,
        timed_out_before_effect,
        timed_out_after_effect,
        reset_after_effect,
    ]

    def random_faults(seed: int) -> Callable[[Call], Fault | None]:
        rng = Random(seed)
        return lambda call: rng.choice(kinds) if rng.random() < 0.15 else None

    rng = Random(3)
    initial = {f"S{n}": rng.randint(0, 60) for n in range(4)}
    put_stock(stage, initial)
    bodies = order_messages(rng, list(initial), 250)
    deliveries = Deliveries(bodies, rng)
    consumers = [consumer_on(stage, CheckingScript(random_faults(seed))) for seed in range(8)]
    run_concurrently(
        *(
            lambda number=number, one=one: consume(one, deliveries, number)
            for number, one in enumerate(consumers)
        )
    )
    check(read_state(stage, bodies), initial)


def test_five_of_twenty_concurrent_orders_get_the_last_five_units(stage: Stage) -> None:
    put_stock(stage, {"A": 5})
    consumers = [consumer_on(stage) for _ in range(16)]
    orders = [reserve(f"o{n}", {"A": 1}) for n in range(20)]
    ready = threading.Barrier(len(orders))

    def race(number: int) -> set[str]:
        ready.wait()
        consumer = consumers[number % len(consumers)]
        return consumer.settle([message(orders[number])], deadline(Random(number)))

    with ThreadPoolExecutor(len(orders)) as pool:
        assert list(pool.map(race, range(len(orders)))) == [set()] * len(orders)
    assert stock_of(stage, "A") == 0
    state = read_state(stage, [text(order) for order in orders])
    check(state, {"A": 5})
    answers = [json.loads(body) for body in state.answers]
    assert Counter(answer["type"] for answer in answers) == {
        "InventoryReserved": 5,
        "InventoryReservationFailed": 15,
    }
    assert {answer["items"][0]["available"] for answer in answers if "reason" in answer} == {0}


def test_an_order_delivered_to_many_consumers_is_settled_once(stage: Stage) -> None:
    put_stock(stage, {"A": 100})
    consumers = [consumer_on(stage) for _ in range(12)]
    bodies = [text(reserve("o", {"A": 3})), text(release("o"))]
    for body, left in zip(bodies, (97, 100), strict=True):
        ready = threading.Barrier(len(consumers))

        def race(consumer: Consumer, body: str = body, ready: threading.Barrier = ready) -> set[str]:
            ready.wait()
            return consumer.settle([message(body)], deadline(Random(1)))

        with ThreadPoolExecutor(len(consumers)) as pool:
            assert list(pool.map(race, consumers)) == [set()] * len(consumers)
        assert stock_of(stage, "A") == left
    answers = drain(stage, stage.oms_queue_url)
    assert len(set(answers)) == 2, "each answer is the same however often it is sent"


def refusals_and_deaths(seed: int) -> Callable[[Call], Fault | None]:
    """An OMS queue that refuses at random, and senders that die before or after each step."""
    rng = Random(seed)
    refusals: list[Fault] = [throttled, unreachable, timed_out_after_effect, Partial(), Partial((0, -1))]
    steps = ("transact_write_items", "send_message_batch", "delete_item", "update_item")

    def faults(call: Call) -> Fault | None:
        if call.operation == "send_message_batch" and rng.random() < 0.5:
            return rng.choice(refusals)
        if call.operation in steps and rng.random() < 0.06:
            return rng.choice([crash_before, crash_after])
        return None

    return faults


def lives(seed: int, live: Callable[[CheckingScript], object]) -> int:
    """Run `live` in one process after another, until one does not die; returns how many died."""
    script = CheckingScript(refusals_and_deaths(seed))
    died = 0
    while True:
        try:
            live(script)
        except Crash:
            died += 1
        else:
            return died


def test_no_answer_is_lost_when_the_oms_queue_refuses_and_senders_die(stage: Stage) -> None:
    rng = Random(5)
    initial = {f"S{n}": rng.randint(0, 60) for n in range(4)}
    put_stock(stage, initial)
    bodies = order_messages(rng, list(initial), 200)
    deliveries = Deliveries(bodies, rng)
    over = threading.Event()
    died: list[int] = []

    def consume_until_all_is_done() -> None:
        run_concurrently(
            *(
                lambda n=n: died.append(
                    lives(n, lambda script: consume(consumer_on(stage, script), deliveries, n))
                )
                for n in range(5)
            )
        )
        over.set()

    def sweep(seed: int) -> None:
        while not over.is_set():
            died.append(lives(seed, lambda script: sweep_on(stage, script).run(later())))
            died.append(lives(seed, lambda script: hold_sweep_on(stage, script).run(later(IN_AN_HOUR))))
            seed += 100

    run_concurrently(consume_until_all_is_done, lambda: sweep(10), lambda: sweep(11))
    sweep_on(stage).run(later(2 * IN_AN_HOUR))

    state = read_state(stage, bodies)
    check_at_rest(state, initial)
    assert len(state.answers) > len(set(state.answers)), "no sender died after a send"
    assert sum(died) > 10


def test_senders_that_narrow_an_item_at_once_lose_no_answer(stage: Stage) -> None:
    names = [Reference(f"o{number}") for number in range(60)]
    item = owed_to_item(OweAnswers("change", names), datetime.now(UTC))
    stage.dynamodb.put_item(TableName=stage.tables.outbox_table, Item=item)
    outbox = OutboxStore(stage.dynamodb, stage.tables)
    kept = set(names[::5])
    ready = threading.Barrier(4)

    def narrow(seed: int) -> None:
        rng = Random(seed)
        sent = [name for name in names if name not in kept and rng.random() < 0.6]
        ready.wait()
        for start in range(0, len(sent), 3):
            outbox.narrow("change", sent[start : start + 3])

    run_concurrently(*(lambda seed=seed: narrow(seed) for seed in range(4)))
    ((left,),) = outbox.scan(after(SECONDS))
    assert kept <= set(left.references) < set(names)

    outbox.narrow("change", names)
    ((left,),) = outbox.scan(after(SECONDS))
    assert left.references == (), "an item that owes nothing is still found, and removed by the sweep"
    sweep_on(stage).run(later())
    assert list(outbox.scan(after(SECONDS))) == [[]]


def test_two_sweeps_of_which_each_meets_refusals_send_everything(stage: Stage) -> None:
    put_stock(stage, {"A": 100})
    bodies = [text(reserve(f"o{number}", {"A": 1})) for number in range(60)]
    away = CheckingScript(lambda call: unreachable if call.operation == "send_message_batch" else None)
    assert consumer_on(stage, away).settle([message(body) for body in bodies], after(SECONDS)) == set()
    assert drain(stage, stage.oms_queue_url) == []

    def sweep(seed: int) -> None:
        rng = Random(seed)

        def partly(call: Call) -> Fault | None:
            if call.operation != "send_message_batch":
                return None
            return Partial(tuple(rng.sample(range(10), 4)), sender_fault=True)

        for _ in range(3):
            sweep_on(stage, CheckingScript(partly)).run(later())

    run_concurrently(lambda: sweep(1), lambda: sweep(2))
    sweep_on(stage).run(later())
    state = read_state(stage, bodies)
    check(state, {"A": 100})
    assert state.outbox == []
    assert {json.loads(body)["order_id"] for body in state.answers} == {f"o{number}" for number in range(60)}
