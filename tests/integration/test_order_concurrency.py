"""Messages, REST calls and sweeps of holds on the same orders at once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from local.stage import Stage
from tests.integration.consumers import (
    consumer_on,
    hold_sweep_on,
    in_,
    later,
    message,
    put_stock,
    stock_of,
)
from tests.integration.deliveries import Deliveries, consume, deadline, run_concurrently
from tests.support.deadlines import after
from tests.support.invariants import check_at_rest, drain, read_state
from tests.support.messages import confirm, extend, fulfill, lines, release, reserve, text
from tests.support.rest import Response, RestClient

IN_AN_HOUR = timedelta(hours=1)


def call(rest: RestClient, body: dict[str, Any]) -> Response:
    """Make the call that asks what a message asks."""
    asked = {name: value for name, value in body.items() if name not in ("type", "timestamp")}
    kind = body["type"].removesuffix("Inventory").lower()
    if kind == "reserve":
        return rest.post("/reservations", asked)
    return rest.post(f"/reservations/{asked.pop('order_id')}/{kind}", asked)


def patiently(rest: RestClient, body: dict[str, Any]) -> Response:
    """The same, again while there is too much traffic."""
    while (response := call(rest, body)).status == 503:
        assert response.code == "CONTENDED"
    return response


def send(stage: Stage, *bodies: dict[str, Any]) -> None:
    """Have messages settled by a consumer of its own; each has to be done."""
    assert consumer_on(stage).settle([message(body) for body in bodies], deadline(Random(1))) == set()


def at_once(jobs: Iterable[Callable[[], object]]) -> None:
    """Run `jobs` in threads that begin together."""
    jobs = list(jobs)
    ready = threading.Barrier(len(jobs))

    def start(job: Callable[[], object]) -> None:
        ready.wait()
        job()

    run_concurrently(*(lambda job=job: start(job) for job in jobs))


def operations(rest: RestClient, order_id: str) -> dict[str, dict[str, Any]]:
    """The answers to the operations on an order, by operation."""
    shown = rest.get(f"/reservations/{order_id}").json
    return {each["operation_id"]: each["answer"] for each in shown["operations"]}


def life_of(rng: Random, order_id: str, skus: list[str]) -> list[dict[str, Any]]:
    """What is asked for one order, in any order."""
    items = {sku: rng.randint(1, 4) for sku in rng.sample(skus, rng.randint(1, 3))}
    parts = [{rng.choice(list(items)): rng.randint(1, 3)} for _ in range(4)]
    # The sweeps run as if it were an hour later: they end only the shorter holds.
    hold = rng.choice([{}, {"expires_at": in_(minutes=30)}, {"expires_at": in_(hours=2)}])
    possible = [
        confirm(order_id),
        extend(order_id, "e-1", in_(hours=3)),
        fulfill(order_id, "s-1", parts[0]),
        fulfill(order_id, "s-2", parts[1]),
        release(order_id, "r-1", parts[2]),
        release(order_id, "r-2", parts[3]),
        fulfill(order_id) if rng.random() < 0.5 else release(order_id),
    ]
    return [reserve(order_id, items, **hold), *rng.sample(possible, rng.randint(1, 5))]


def test_each_operation_counts_once_whoever_asks_for_it(rest: RestClient, stage: Stage) -> None:
    rng = Random(11)
    skus = [f"S{number}" for number in range(5)]
    initial = {sku: rng.randint(20, 80) for sku in skus}
    put_stock(stage, initial)
    lives = [life_of(rng, f"o{number}", skus) for number in range(70)]
    everything = [body for life in lives for body in life]
    # What is asked only over REST, only by message, and both ways.
    ways = [rng.choice(["rest", "message", "both"]) for _ in everything]
    # A change that comes by message waits for its reservation, so each order is reserved by message, too.
    by_message = [
        body
        for body, way in zip(everything, ways, strict=True)
        if way != "rest" or body["type"] == "ReserveInventory"
    ]
    by_rest = [body for body, way in zip(everything, ways, strict=True) if way != "message"]
    bodies = [text(body) for body in by_message]
    deliveries, over = Deliveries(bodies, rng), threading.Event()
    responses: list[tuple[dict[str, Any], Response]] = []

    def client(seed: int) -> None:
        asked = Random(seed).sample(by_rest, len(by_rest) * 2 // 3)
        responses.extend((body, patiently(rest, body)) for body in asked)

    def sweep() -> None:
        while not over.is_set():
            hold_sweep_on(stage).run(later(IN_AN_HOUR))

    def work() -> None:
        try:
            consumers = [consumer_on(stage) for _ in range(4)]
            run_concurrently(
                *(lambda n=n, one=one: consume(one, deliveries, n) for n, one in enumerate(consumers)),
                *(lambda n=n: client(n) for n in range(3)),
            )
        finally:
            over.set()

    run_concurrently(work, sweep, sweep)
    state = read_state(stage, bodies)
    check_at_rest(state, initial)
    final = {life[0]["order_id"]: operations(rest, life[0]["order_id"]) for life in lives}
    for body, response in responses:
        check_response(body, response, final[body["order_id"]])
    assert {response.status for _, response in responses} == {200, 201, 404, 409}
    types = {answer["type"] for told in final.values() for answer in told.values()}
    assert len(types) == 5, "not every kind of answer was given"


def check_response(body: dict[str, Any], response: Response, final: dict[str, dict[str, Any]]) -> None:
    """Check that a call was told what is on record at the end."""
    operation_id = body.get("operation_id", body["type"])
    if response.status == 200:
        told = {each["operation_id"]: each["answer"] for each in response.json["operations"]}
        assert told[operation_id] == final[operation_id]
    elif response.status == 409 and body["type"] != "ReserveInventory":
        # Nothing is on record of what a rejected order was asked to give back.
        rejection = final.get(operation_id, {"reason": "NOT_RESERVED", "items": []})
        assert (response.code, response.json.get("items", [])) == (
            rejection["reason"],
            rejection.get("items", []),
        )


@pytest.mark.parametrize("by", ["rest", "message"])
def test_a_confirmation_or_the_end_of_the_hold_comes_first_and_never_both(
    rest: RestClient, stage: Stage, by: str
) -> None:
    names = [f"o{number}" for number in range(30)]
    put_stock(stage, {"A": 60})
    orders = [reserve(name, {"A": 2}, expires_at=in_(minutes=30)) for name in names]
    send(stage, *orders)

    def confirm_all() -> None:
        for name in names:
            if by == "rest":
                assert patiently(rest, confirm(name)).status == 200
            else:
                send(stage, confirm(name))

    at_once([confirm_all, *([lambda: hold_sweep_on(stage).run(later(IN_AN_HOUR))] * 2)])
    for name in names:
        told = operations(rest, name)
        again = told["ConfirmInventory"].get("reserved_again", False)
        assert list(told) == (["EXPIRED", "ConfirmInventory"] if again else ["ConfirmInventory"])
        assert rest.get(f"/reservations/{name}").json["outcome"] == "RESERVED"
    assert stock_of(stage, "A") == 0
    messages = [text(body) for body in orders]
    messages += [text(confirm(name)) for name in names] if by == "message" else []
    check_at_rest(read_state(stage, messages), {"A": 60})


def test_an_extension_or_the_end_of_the_hold_comes_first(rest: RestClient, stage: Stage) -> None:
    names = [f"o{number}" for number in range(20)]
    put_stock(stage, {"A": 20})
    for name in names:
        patiently(rest, reserve(name, {"A": 1}, expires_at=in_(minutes=30)))

    def extend_all() -> None:
        for name in names:
            assert patiently(rest, extend(name, "e", in_(hours=5))).status in (200, 409)

    at_once([extend_all, lambda: hold_sweep_on(stage).run(later(IN_AN_HOUR))])
    for name in names:
        told = operations(rest, name)
        if told["e"]["type"] == "InventoryExtended":
            assert list(told) == ["e"]
        else:
            assert (list(told), told["e"]["reason"]) == (["EXPIRED", "e"], "EXPIRED")
    check_at_rest(read_state(stage, []), {"A": 20})


def test_late_confirmations_and_reservations_share_the_last_units(rest: RestClient, stage: Stage) -> None:
    put_stock(stage, {"A": 40, "B": 100})
    late = [f"late-{number}" for number in range(12)]
    send(stage, *(reserve(name, {"A": 2, "B": 1}, expires_at=in_(minutes=30)) for name in late))
    hold_sweep_on(stage).run(later(IN_AN_HOUR))
    filler = reserve("filler", {"A": 29})
    send(stage, filler)
    assert stock_of(stage, "A") == 11
    new = [reserve(f"new-{number}", {"A": 2, "B": 1}) for number in range(8)]
    jobs: list[Callable[[], object]] = [
        lambda: send(stage, *(confirm(name) for name in late[:4])),
        *(lambda name=name: patiently(rest, confirm(name)) for name in late[4:]),
        lambda: send(stage, *new[:4]),
        *(lambda body=body: patiently(rest, body) for body in new[4:]),
    ]
    at_once(jobs)
    assert stock_of(stage, "A") == 1, "five of twenty get two units each"
    names = [*late, *(body["order_id"] for body in new)]
    outcomes = {name: rest.get(f"/reservations/{name}").json["outcome"] for name in names}
    assert Counter(outcomes.values())["RESERVED"] == 5
    for name in late:
        told = operations(rest, name)["ConfirmInventory"]
        if outcomes[name] == "RESERVED":
            assert told["reserved_again"] is True
        else:
            assert (told["reason"], told["items"][0]["sku"]) == ("EXPIRED", "A")
    sent = [text(reserve(name, {"A": 2, "B": 1}, expires_at=in_(minutes=30))) for name in late]
    sent += [text(confirm(name)) for name in late[:4]]
    sent += [text(body) for body in (filler, *new[:4])]
    check_at_rest(read_state(stage, sent), {"A": 40, "B": 100})


def test_parts_that_are_shipped_and_given_back_at_once_never_exceed_what_is_held(
    rest: RestClient, stage: Stage
) -> None:
    put_stock(stage, {"A": 10, "B": 10})
    whole = reserve("o", {"A": 10, "B": 10})
    send(stage, whole)
    parts = [
        (fulfill if number % 2 else release)("o", f"p-{number}", {"A": 3, "B": 2}) for number in range(10)
    ]
    # Each is asked for over REST and by message at the same time.
    at_once(
        [
            *(lambda part=part: patiently(rest, part) for part in parts),
            *(lambda part=part: send(stage, part) for part in parts),
        ]
    )
    told = operations(rest, "o")
    done = [name for name, answer in told.items() if answer["type"] != "InventoryChangeRejected"]
    assert (len(told), len(done)) == (10, 3)
    assert {answer["items"][0]["held"] for answer in told.values() if "reason" in answer} == {1}
    shown = rest.get("/reservations/o").json
    assert shown["items"] == lines({"A": 1, "B": 4})
    state = read_state(stage, [text(body) for body in (whole, *parts)])
    check_at_rest(state, {"A": 10, "B": 10})
    assert len({json.loads(body)["event_id"] for body in state.answers}) == 11


def test_one_call_made_by_many_at_once_is_done_once_and_told_to_all(rest: RestClient, stage: Stage) -> None:
    put_stock(stage, {"A": 100})
    for body, status in (
        (reserve("o", {"A": 5}, expires_at=in_(minutes=30)), 201),
        (fulfill("o", "s", {"A": 2}), 200),
        (confirm("o"), 200),
        (release("o"), 200),
    ):
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda body: patiently(rest, body), [body] * 8))
        assert {response.status for response in responses} == {status}
        assert len({json.dumps(response.json) for response in responses}) == 1
    assert stock_of(stage, "A") == 98
    check_at_rest(read_state(stage, []), {"A": 100})


def test_calls_for_the_last_units_reserve_exactly_those(rest: RestClient, stage: Stage) -> None:
    put_stock(stage, {"A": 5})
    bodies = [reserve(f"o{number}", {"A": 1}) for number in range(12)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        responses = list(pool.map(lambda body: patiently(rest, body), bodies))
    assert Counter(response.status for response in responses) == {201: 5, 409: 7}
    assert {response.json["items"][0]["available"] for response in responses if response.status == 409} == {0}
    check_at_rest(read_state(stage, []), {"A": 5})


def test_a_hold_of_a_sku_that_is_gone_ends_with_the_sku_missing(stage: Stage) -> None:
    put_stock(stage, {"A": 3, "GONE": 3})
    held = reserve("o", {"A": 1, "GONE": 1}, expires_at=in_(seconds=30))
    assert consumer_on(stage).settle([message(held)], after(50)) == set()
    stage.dynamodb.delete_item(TableName=stage.tables.inventory_table, Key={"sku": {"S": "GONE"}})
    drain(stage, stage.oms_queue_url)
    hold_sweep_on(stage).run(later(timedelta(minutes=1)))
    (answer,) = [json.loads(body) for body in drain(stage, stage.oms_queue_url)]
    assert (answer["reason"], answer["missing"]) == ("EXPIRED", ["GONE"])
    assert answer["items"] == [{"sku": "A", "quantity": 1}]
