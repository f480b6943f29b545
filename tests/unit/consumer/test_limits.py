"""The limits of time and size, and what becomes of the orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chalicelib.core.records import LINE_BYTES, RECORD_BYTES
from tests.support.engines.faults import throttled
from tests.support.engines.network import Call
from tests.support.engines.values import size
from tests.support.messages import release, reserve
from tests.unit.consumer.shop import LIMIT_SECONDS, SEND, TRANSACT, Shop
from tests.unit.consumer.trouble import FOREVER, orders, refused


def in_time(shop: Shop, settle: Callable[[], Sequence[int]], seconds: float = LIMIT_SECONDS) -> Sequence[int]:
    begin = shop.stage.clock.now
    failed = settle()
    assert shop.stage.clock.now - begin <= seconds, "the time limit was passed"
    return failed


class TestTimeLimit:
    def test_what_is_throttled_to_the_end_is_given_back_in_time(self) -> None:
        shop = Shop({"A": 999})
        shop.fail(TRANSACT, None, *[throttled] * FOREVER)
        batch = orders(150, A=1)
        assert in_time(shop, lambda: shop.settle(*batch)) == list(range(99, 150))
        assert shop.stage.clock.now > 1_750_000_000 + LIMIT_SECONDS / 2, "it gave up early"
        shop.check()

    def test_nothing_is_begun_when_there_is_no_time(self) -> None:
        shop = Shop({"A": 9})
        messages = [shop.message(body) for body in (reserve("o", {"A": 1}), release("p"))]
        pace = shop.pace()
        shop.stage.clock.advance(LIMIT_SECONDS - 9)
        assert shop.consumer.settle(messages, pace) == {"m0", "m1"}
        assert shop.calls == []

    # With botocore's own retry, a call may take up to about 8 seconds (see chalicelib/clients.py).
    @pytest.mark.parametrize("seconds", [1.0, 3.0, 8.0])
    @pytest.mark.parametrize("count", [10, 99, 500])
    def test_slow_services_do_not_make_it_late(self, count: int, seconds: float) -> None:
        shop = Shop({"A": 9_999})
        shop.script.seconds = seconds
        failed = in_time(shop, lambda: shop.settle(*orders(count, A=1)))
        shop.script.seconds = 0
        shop.settle(*(reserve(f"o{n}", {"A": 1}) for n in failed), receives=2)
        assert set(shop.told()) == {f"o{n}" for n in range(count)}
        shop.check()

    @pytest.mark.parametrize("seconds", [3.0, 8.0])
    def test_slow_services_do_not_make_releases_late(self, seconds: float) -> None:
        shop = Shop({"A": 9_999})
        shop.fail(SEND, *[refused("AccessDenied")] * 50)
        shop.settle(*orders(99, A=1))
        shop.script.faults.clear()
        shop.script.seconds = seconds
        batch = [release(f"o{n}") for n in range(99)]
        failed = in_time(shop, lambda: shop.settle(*batch))
        shop.script.seconds = 0
        assert shop.settle(*(batch[n] for n in failed), receives=2) == []
        shop.check()

    def test_stock_that_changes_at_every_slow_try_does_not_make_it_late(self) -> None:
        shop = Shop({"A": 1})
        shop.script.seconds = 8.0

        def changing(call: Call) -> Any:
            shop.set_stock("A", 0 if shop.stock["A"] else 1)
            return call.proceed()

        shop.fail(TRANSACT, *[changing] * FOREVER)
        assert in_time(shop, lambda: shop.settle(reserve("a", {"A": 1}))) == [0]


class TestLargeBatches:
    def test_ten_thousand_orders(self) -> None:
        shop = Shop({f"S{n}": 10**6 for n in range(50)}, checked=False)
        batch = [reserve(f"o{n}", {f"S{n % 50}": 1, f"S{n % 7}": 2}) for n in range(10_000)]
        assert shop.settle(*batch) == []
        assert len(shop.told()) == 10_000
        shop.check()

    def test_orders_of_99_skus_take_a_transaction_each(self) -> None:
        shop = Shop({f"S{n}": 1_000 for n in range(120)})
        batch = [reserve(f"o{n}", {f"S{n + m}": 1 for m in range(99)}) for n in range(8)]
        assert shop.settle(*batch) == []
        assert shop.counts[TRANSACT] == 8
        shop.check()

    def test_the_largest_message_that_sqs_takes(self) -> None:
        shop = Shop({"A": 10**12})
        lines = [{"sku": "A", "quantity": 1}] * 30_000
        message = reserve("o", {}, items=lines)
        assert shop.settle(message, reserve("p", {"A": 1})) == []
        assert shop.stock == {"A": 10**12 - 30_001}
        assert shop.answer("o")["items"] == [{"sku": "A", "quantity": 30_000}]
        shop.check()

    def test_the_largest_records_stay_under_400_kb_and_within_what_packing_reckons_with(self) -> None:
        shop = Shop({f"{n:02}{'x' * 62}": 1 for n in range(99)})
        skus = [f"{n:02}{'x' * 62}" for n in range(99)]
        customer = "😀" * 256
        batch = [
            reserve(f"{'r' * 125}{n:03}", dict.fromkeys(skus[:lines], 10**9), customer_id=customer)
            for n, lines in enumerate((1, 50, 99))
        ]
        taken = reserve("t" * 128, dict.fromkeys(skus, 1), customer_id=customer)
        bad = reserve("i" * 128, {"!": 1}, items=[{"sku": "", "quantity": 0}] * 50, customer_id=customer)
        assert shop.settle(*batch, taken, bad, release("t" * 128)) == []
        assert shop.settle(reserve("u" * 128, dict.fromkeys(skus, 1), customer_id=customer)) == []
        assert shop.settle(release("u" * 128)) == []
        records = shop.stage.dynamodb.snapshot()[shop.stage.tables.processed_events_table]
        for record in records.values():
            lines = max(
                len(record["items"]["M"]), 20 if "errors" in record.get("event", {"S": ""})["S"] else 0
            )
            assert size(record) <= RECORD_BYTES + LINE_BYTES * lines
        shop.check()
