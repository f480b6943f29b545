from chalicelib.services.settler import MAX_HINTS, Hints
from tests.support.messages import reserve
from tests.unit.consumer.consumer_harness import READ, REMOVE, SEND, TRANSACT, ConsumerHarness


class TestHints:
    def test_hints_hold_the_last_known_stock(self) -> None:
        hints = Hints()
        hints.learn({"A": 1, "B": None})
        hints.learn({"A": 2})
        assert hints.of(["A", "B", "C"]) == {"A": 2, "B": None}

    def test_hints_forget_the_oldest_skus(self) -> None:
        hints = Hints()
        hints.learn({f"S{n}": n for n in range(MAX_HINTS)})
        hints.learn({"S0": 7, "new": 1})
        assert hints.of(["S0", "S1", "S2", "new"]) == {"S0": 7, "S2": 2, "new": 1}


class TestHintsInUse:
    def test_the_stock_of_a_recently_sold_out_sku_is_read_first(self) -> None:
        harness = ConsumerHarness({"A": 1})
        harness.settle(reserve("a", {"A": 1}), reserve("b", {"A": 1}))
        assert harness.settle(reserve("c", {"A": 1})) == []
        assert harness.calls == [READ, TRANSACT, SEND, REMOVE]
        assert harness.answer_types()["c"] == ["ReservationFailed"]
        harness.check()

    def test_the_stock_of_a_recently_unknown_sku_is_read_first(self) -> None:
        harness = ConsumerHarness({})
        harness.settle(reserve("a", {"X": 1}))
        assert harness.settle(reserve("b", {"X": 1})) == []
        assert harness.calls == [READ, TRANSACT, SEND, REMOVE]

    def test_an_outdated_hint_rejects_no_order(self) -> None:
        harness = ConsumerHarness({"A": 0})
        harness.settle(reserve("a", {"A": 1}), reserve("x", {"X": 1}))
        harness.initial |= {"A": 5, "X": 5}
        harness.set_stock("A", 5)
        harness.set_stock("X", 5)
        assert harness.settle(reserve("b", {"A": 1, "X": 1})) == []
        assert harness.answer_types()["b"] == ["Reserved"]
        assert harness.settle(reserve("c", {"A": 1, "X": 1})) == []
        assert harness.calls == [TRANSACT, SEND, REMOVE]
        harness.check()

    def test_an_outdated_hint_never_oversells(self) -> None:
        harness = ConsumerHarness({"A": 5, "B": 0})
        harness.settle(reserve("a", {"A": 1, "B": 1}))
        harness.set_stock("A", 0)
        harness.initial["A"] = 0
        assert harness.settle(reserve("b", {"A": 1})) == []
        assert harness.answer_types()["b"] == ["ReservationFailed"]
        harness.check()

    def test_stock_that_nobody_has_seen_is_read_first_after_such_stock_was_short(self) -> None:
        harness = ConsumerHarness({"A": 0, "B": 0, "C": 5, "D": 5})
        harness.settle(reserve("a", {"A": 1}))
        assert harness.settle(reserve("b", {"B": 1})) == []
        assert harness.calls == [READ, TRANSACT, SEND, REMOVE]
        assert harness.settle(reserve("c", {"C": 1})) == []
        assert harness.calls == [READ, TRANSACT, SEND, REMOVE]
        assert harness.settle(reserve("d", {"D": 1})) == []
        assert harness.calls == [TRANSACT, SEND, REMOVE], "the last such stock was not short"
        harness.check()

    def test_stock_that_is_not_known_to_be_short_is_not_read(self) -> None:
        harness = ConsumerHarness({"A": 5, "B": 0})
        harness.settle(reserve("a", {"A": 1, "B": 1}))
        assert harness.settle(reserve("b", {"A": 1})) == []
        assert harness.calls == [TRANSACT, SEND, REMOVE]
