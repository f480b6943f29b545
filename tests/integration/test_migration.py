"""The migration of records of version 1.1, on the embedded AWS."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import AwsError, Refused, Unreachable
from chalicelib.services.settler import Hints
from chalicelib.store.order_store import OrderStore
from deploy.migrate import Migrator, Reader, Silent, Tally, migrate
from local.stage import Stage
from tests.integration.consumers import consumer_on, message, put_stock, stock_of
from tests.support.deadlines import after
from tests.support.messages import release, reserve, text

SECONDS = 60.0
CREATED = "2026-11-01T10:00:00.000Z"


def put_old_order(stage: Stage, order_id: str, items: dict[str, int], **more: Any) -> None:
    """A record as version 1.1 wrote it."""
    answer = {"type": "InventoryReserved", "event_id": order_id, "order_id": order_id, "timestamp": CREATED}
    item: dict[str, Any] = {
        "order_id": {"S": order_id},
        "outcome": {"S": "RESERVED"},
        "customer_id": {"S": "c"},
        "items": {"M": {sku: {"N": str(units)} for sku, units in items.items()}},
        "created_at": {"S": CREATED},
        "ttl": {"N": "1900000000"},
        "event": {"S": json.dumps(answer)},
        "published_at": {"S": CREATED},
    }
    item = {name: value for name, value in (item | more).items() if value is not None}
    stage.dynamodb.put_item(TableName=stage.tables.processed_events_table, Item=item)


def record_of(stage: Stage, order_id: str) -> Any:
    key = {"order_id": {"S": order_id}}
    table = stage.tables.processed_events_table
    return stage.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]


def stock_item(stage: Stage, sku: str) -> dict[str, int]:
    key = {"sku": {"S": sku}}
    table = stage.tables.inventory_table
    item = stage.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    return {name: int(item[name]["N"]) for name in ("quantity", "reserved", "version") if name in item}


def run(stage: Stage, folder: Path, *, dry_run: bool = False, client: Any = None) -> Tally:
    """Migrate the stage, as `make migrate` does."""
    migrator = Migrator(
        OrderStore(stage.dynamodb, stage.tables), Silent(), Hints(), after(SECONDS), Silent(), None
    )
    file = folder / "reached.json"
    reader = Reader(client or stage.dynamodb, stage.tables.processed_events_table, file)
    reader.load()
    migrate(reader, migrator, dry_run=dry_run, advance=lambda _: None)
    return migrator.tally


def test_open_orders_count_as_reserved_and_lose_their_ttl(stage: Stage, tmp_path: Path) -> None:
    put_stock(stage, {"A": 5, "B": 1})
    put_old_order(stage, "o1", {"A": 2, "B": 3})
    put_old_order(stage, "o2", {"A": 4})
    tally = run(stage, tmp_path)
    assert (tally.seen, tally.old, tally.migrated) == (2, 2, 2)
    level = stock_item(stage, "A")
    assert (level["quantity"], level["reserved"]) == (5, 6)
    assert stock_item(stage, "B") == {"quantity": 1, "reserved": 3, "version": 1}
    record = record_of(stage, "o1")
    assert record["held"] == {"M": {"A": {"N": "2"}, "B": {"N": "3"}}}
    assert "ttl" not in record


def test_a_second_run_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    put_stock(stage, {"A": 5})
    put_old_order(stage, "o1", {"A": 2})
    run(stage, tmp_path)
    before = stock_item(stage, "A"), record_of(stage, "o1")
    tally = run(stage, tmp_path)
    assert (tally.seen, tally.old, tally.migrated) == (1, 0, 0)
    assert (stock_item(stage, "A"), record_of(stage, "o1")) == before


def test_a_dry_run_only_counts(stage: Stage, tmp_path: Path) -> None:
    put_stock(stage, {"A": 5})
    put_old_order(stage, "o1", {"A": 2})
    before = stock_item(stage, "A"), record_of(stage, "o1")
    tally = run(stage, tmp_path, dry_run=True)
    assert (tally.old, tally.migrated) == (1, 0)
    assert (stock_item(stage, "A"), record_of(stage, "o1")) == before


def test_records_of_changes_of_stock_and_closed_orders_are_left_alone(stage: Stage, tmp_path: Path) -> None:
    put_old_order(stage, "rejected", {"A": 2}, outcome={"S": "REJECTED"})
    released = {"S": json.dumps({"timestamp": CREATED})}
    put_old_order(
        stage,
        "released",
        {"A": 2},
        outcome={"S": "RELEASED"},
        release_event=released,
        release_published_at={"S": CREATED},
    )
    adjustment = {"order_id": {"S": "adjustment#1"}, "sku": {"S": "A"}, "fingerprint": {"S": "f"}}
    stage.dynamodb.put_item(TableName=stage.tables.processed_events_table, Item=adjustment)
    tally = run(stage, tmp_path)
    assert (tally.seen, tally.old) == (2, 0)


def test_an_answer_that_version_1_1_still_owed_is_put_into_the_outbox(stage: Stage, tmp_path: Path) -> None:
    put_stock(stage, {"A": 5})
    put_old_order(stage, "o1", {"A": 2}, published_at=None)
    put_old_order(stage, "o2", {}, outcome={"S": "REJECTED"}, published_at=None)
    run(stage, tmp_path)
    items = stage.dynamodb.scan(TableName=stage.tables.outbox_table)["Items"]
    assert {name for item in items for name in item["owed"]["SS"]} == {"o1", "o2"}


def test_an_order_of_99_skus_is_migrated_though_its_answer_leaves_no_action(
    stage: Stage, tmp_path: Path
) -> None:
    items = {f"S{number:02}": 1 for number in range(99)}  # version 1.1 took as many
    put_stock(stage, dict.fromkeys(items, 5))
    put_old_order(stage, "o1", items, published_at=None)
    tally = run(stage, tmp_path)
    assert (tally.old, tally.migrated, tally.failed) == (1, 1, set())
    assert all(stock_item(stage, sku)["reserved"] == 1 for sku in items)
    assert "ttl" not in record_of(stage, "o1")
    (item,) = stage.dynamodb.scan(TableName=stage.tables.outbox_table)["Items"]
    assert item["owed"]["SS"] == ["o1"]


def test_an_order_that_version_1_1_released_no_longer_counts_as_reserved(
    stage: Stage, tmp_path: Path
) -> None:
    put_stock(stage, {"A": 5})
    consumer_on(stage).settle([message(text(reserve("o1", {"A": 2})))], after(SECONDS))
    # What version 1.1 does: it gives the units back, and knows nothing of `reserved`.
    stage.dynamodb.update_item(
        TableName=stage.tables.inventory_table,
        Key={"sku": {"S": "A"}},
        UpdateExpression="SET quantity = quantity + :units",
        ExpressionAttributeValues={":units": {"N": "2"}},
    )
    stage.dynamodb.update_item(
        TableName=stage.tables.processed_events_table,
        Key={"order_id": {"S": "o1"}},
        UpdateExpression="SET outcome = :released, release_event = :event, release_published_at = :now",
        ExpressionAttributeValues={
            ":released": {"S": "RELEASED"},
            ":event": {"S": json.dumps({"timestamp": CREATED})},
            ":now": {"S": CREATED},
        },
    )
    assert stock_item(stage, "A")["reserved"] == 2
    run(stage, tmp_path)
    assert (stock_item(stage, "A")["quantity"], stock_item(stage, "A")["reserved"]) == (5, 0)


def test_an_order_of_a_sku_that_is_gone_is_named_and_kept_but_not_counted(
    stage: Stage, tmp_path: Path
) -> None:
    put_stock(stage, {"A": 5})
    put_old_order(stage, "o1", {"A": 2, "GONE": 1})
    put_old_order(stage, "o2", {"A": 1})
    for _ in range(2):
        tally = run(stage, tmp_path)
        assert tally.left == {"o1"}
        record = record_of(stage, "o1")
        assert "held" not in record
        assert "ttl" not in record, "an open order must not be forgotten"
        assert stock_item(stage, "A")["reserved"] == 1
    assert consumer_on(stage).settle([message(text(release("o1")))], after(SECONDS)) == set()
    assert stock_item(stage, "A")["quantity"] == 7


def test_a_run_that_breaks_off_is_taken_up_where_it_ended(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_stock(stage, {"A": 1000})
    for number in range(40):
        put_old_order(stage, f"o{number}", {"A": 1})
    scan = stage.dynamodb.scan
    breaks_at = {0: 2, 1: 1, 2: 3, 3: 1}
    pages: Counter[int] = Counter()

    def page(**request: Any) -> Any:
        pages[request["Segment"]] += 1
        if pages[request["Segment"]] == breaks_at[request["Segment"]]:
            raise Unreachable("no response from AWS")
        return scan(**request, Limit=5)

    class Client:
        scan = staticmethod(page)

    with pytest.raises(AwsError):
        run(stage, tmp_path, client=Client())
    reached = json.loads((tmp_path / "reached.json").read_text())
    first = stock_item(stage, "A").get("reserved", 0)
    assert reached
    assert 0 < first < 40
    second = run(stage, tmp_path, client=Client())
    assert second.seen < 40
    assert second.migrated == 40 - first
    assert stock_item(stage, "A")["reserved"] == 40
    assert not (tmp_path / "reached.json").exists()


def test_a_run_that_breaks_off_does_not_forget_what_it_could_not_migrate(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_stock(stage, {"A": 1000})
    for number in range(40):
        put_old_order(stage, f"o{number}", {"A": 1})
    scan, commit = stage.dynamodb.scan, OrderStore.commit
    pages: Counter[int] = Counter()

    def page(**request: Any) -> Any:
        pages[request["Segment"]] += 1
        if pages[request["Segment"]] == 2:
            raise Unreachable("no response from AWS")
        return scan(**request, Limit=5)

    class Client:
        scan = staticmethod(page)

    def refused(*_: Any) -> bool:
        raise Refused("no", "ValidationException")

    monkeypatch.setattr(OrderStore, "commit", refused)
    with pytest.raises(AwsError):
        run(stage, tmp_path, client=Client())
    monkeypatch.setattr(OrderStore, "commit", commit)
    assert run(stage, tmp_path).migrated == 40


def test_a_reader_without_a_file_as_of_a_dry_run_begins_anew_each_time(stage: Stage) -> None:
    put_stock(stage, {"A": 5})
    put_old_order(stage, "o1", {"A": 2})
    reader = Reader(stage.dynamodb, stage.tables.processed_events_table, None)
    for _ in range(2):
        reader.load()
        migrator = Migrator(
            OrderStore(stage.dynamodb, stage.tables), Silent(), Hints(), after(SECONDS), Silent(), None
        )
        migrate(reader, migrator, dry_run=True, advance=lambda _: None)
        assert migrator.tally.old == 1


def test_a_migration_under_traffic_counts_each_order_once(stage: Stage, tmp_path: Path) -> None:
    put_stock(stage, {"A": 1000, "B": 1000})
    for number in range(60):
        put_old_order(stage, f"old{number}", {"A": 2, "B": 1})
    bodies = [text(release(f"old{number}")) for number in range(0, 60, 2)]
    bodies += [text(reserve(f"new{number}", {"A": 1, "B": 1})) for number in range(30)]

    def consume(part: list[str]) -> None:
        for start in range(0, len(part), 5):
            consumer_on(stage).settle([message(body) for body in part[start : start + 5]], after(SECONDS))

    threads = [threading.Thread(target=consume, args=(bodies[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    run(stage, tmp_path)
    for thread in threads:
        thread.join()
    run(stage, tmp_path)
    # 30 old orders are left, and 30 new ones; the released ones have given back what version 1.1 took.
    assert stock_item(stage, "A")["reserved"] == 30 * 2 + 30
    assert stock_item(stage, "B")["reserved"] == 30 * 1 + 30
    assert stock_of(stage, "A") == 1000 + 30 * 2 - 30
    held: Counter[str] = Counter()
    for item in stage.dynamodb.scan(TableName=stage.tables.processed_events_table)["Items"]:
        held.update({sku: int(units["N"]) for sku, units in item.get("held", {"M": {}})["M"].items()})
    assert held == {"A": stock_item(stage, "A")["reserved"], "B": stock_item(stage, "B")["reserved"]}
