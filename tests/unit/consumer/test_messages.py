import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.consumer.body import read_body
from chalicelib.consumer.inbox import COMMANDS, read
from chalicelib.domain.commands import ChangeOrder, ChangeType, Command, Invalid, Reserve, TooMany
from chalicelib.errors import FieldError, Poison
from tests.support.messages import confirm, extend, fulfill, release, reserve, text, without

OLDEST = datetime(2025, 3, 1, tzinfo=UTC)
NEWEST = datetime(2025, 6, 16, tzinfo=UTC)
ORDER = reserve("order-1", {"A": 2, "B": 1})
RELEASE = ChangeOrder("order-1", ChangeType.RELEASE, "ReleaseInventory")


def read_text(body: str) -> Command:
    return read(body, OLDEST, NEWEST)


def read_json(message: Any) -> Command:
    return read_text(text(message))


def refused(message: Any) -> dict[str, str]:
    command = read_json(message)
    assert isinstance(command, Reserve)
    assert isinstance(command.refusal, Invalid)
    assert not command.items
    return {error.field: error.message for error in command.refusal.errors}


def accepted(message: Any) -> Reserve:
    return accepted_text(text(message))


def accepted_text(body: str) -> Reserve:
    command = read_text(body)
    assert isinstance(command, Reserve)
    assert command.refusal is None
    return command


def changed(message: Any) -> ChangeOrder:
    command = read_json(message)
    assert isinstance(command, ChangeOrder)
    return command


def with_line(**line: Any) -> dict[str, Any]:
    return reserve("order-1", {}, items=[{"sku": "A", "quantity": 1, **line}])


def nested(levels: int) -> str:
    return "[" * levels + '{"x": "]"}' + "]" * levels


UNREADABLE = {
    "an escaped lone surrogate": '"\\ud800"',
    "a lone surrogate": '"\ud800"',
    "too many digits": "9" * 5_000,
    "too many digits below zero": "-" + "9" * 5_000,
    "too large for a float": "1e999",
    "too small for a float": "-1E400",
    "no number": "NaN",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "a line break in a text": '"a\nb"',
    "a tab in a text": '"a\tb"',
    "a NUL in a text": '"a\x00b"',
    "an escape character in a text": '"\x1b[1m"',
    "too many digits and a point": "9" * 5_000 + ".5",
    "nested": nested(150),
    "nested deeply": nested(5_000),
    "nested too deeply for any parser": nested(100_000),
    "nested objects": '{"a":' * 5_000 + "1" + "}" * 5_000,
}


@pytest.fixture(params=list(UNREADABLE.values()), ids=list(UNREADABLE))
def unreadable(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestPoison:
    @pytest.mark.parametrize(
        "body",
        [
            "",
            " ",
            "{",
            "hello",
            "{'type': 'ReserveInventory'}",
            text(ORDER) + "x",
            text(ORDER)[:-1],
            "\ufeff" * 2 + text(ORDER),
            " \ufeff" + text(ORDER),
            "\ud800",
            "\x00",
            text(ORDER)[:-1] + ', "x": nan}',
            text(ORDER)[:-1] + ', "x": +Infinity}',
            text(ORDER)[:-1] + ', "x": -NaN}',
            text(ORDER)[:-1] + ', "x": 01}',
            text(ORDER)[:-1] + ', "x": .5}',
            text(ORDER)[:-1] + ', "x": "\\x41"}',
            text(ORDER)[:-1] + ', "x": "\\u12"}',
            text(ORDER)[:-1] + ', "x": [1,]}',
            text(ORDER)[:-1] + ", }",
            text(ORDER)[:-1] + ', "x": undefined}',
            text(ORDER) + " // a comment",
            text(ORDER).replace(" ", "\u00a0"),
            "[" * 500_000,
            '{"type":' * 100_000,
            text(ORDER)[:-1] + ', "x": ' + "[" * 500 + "]" * 499 + "}",
            text(ORDER)[:-1] + ', "x": ' + "[" * 500 + '"]' + "]" * 500 + "}",
            text(ORDER)[:-1] + ', "x": "' + '\\"' * 500_000,
        ],
        ids=lambda body: ascii(body[:20]),
    )
    def test_a_message_that_is_not_json_is_poison(self, body: str) -> None:
        with pytest.raises(Poison, match="not JSON"):
            read_text(body)

    @pytest.mark.parametrize(
        "message",
        [None, 1, 1.5, True, "text", "\ud800", 10**2_000, float("nan"), float("-inf"), [], [ORDER]],
    )
    def test_json_that_is_no_object_is_poison(self, message: Any) -> None:
        with pytest.raises(Poison, match="not a JSON object"):
            read_json(message)

    @pytest.mark.parametrize(
        "kind", ["", "reserveinventory", "InventoryReserved", None, 1, True, ["ReserveInventory"], {"a": 1}]
    )
    def test_an_unknown_type_is_poison(self, kind: Any) -> None:
        with pytest.raises(Poison, match="type"):
            read_json({**ORDER, "type": kind})

    def test_a_missing_type_is_poison(self) -> None:
        with pytest.raises(Poison, match="type"):
            read_json(without(ORDER, "type"))

    @pytest.mark.parametrize("message", [ORDER, release("order-1")])
    @pytest.mark.parametrize(
        "order_id",
        [
            "",
            "x" * 129,
            " a",
            "a  b",
            "a\n",
            "e\u0301",
            "\u200b",
            "a\x00",
            "adjustment#1",
            None,
            1,
            True,
            ["a"],
            {},
        ],
    )
    def test_an_invalid_order_id_is_poison(self, message: dict[str, Any], order_id: Any) -> None:
        with pytest.raises(Poison, match="order_id"):
            read_json({**message, "order_id": order_id})

    @pytest.mark.parametrize("message", [ORDER, release("order-1")])
    def test_a_missing_order_id_is_poison(self, message: dict[str, Any]) -> None:
        with pytest.raises(Poison, match="order_id"):
            read_json(without(message, "order_id"))

    @pytest.mark.parametrize("message", [ORDER, release("order-1"), reserve("order-1", {})])
    @pytest.mark.parametrize(
        "timestamp",
        [
            "2025-02-28T23:59:59.999999Z",
            "2025-03-01T00:59:59+01:00",
            "2025-02-28T18:59:59-05:00",
            "0001-01-01T00:00:00Z",
        ],
    )
    def test_a_message_older_than_the_records_is_poison(
        self, message: dict[str, Any], timestamp: str
    ) -> None:
        with pytest.raises(Poison, match="older"):
            read_json({**message, "timestamp": timestamp})

    def test_the_reason_does_not_echo_the_message(self) -> None:
        for message in (
            release("a secret "),
            release("order-1", timestamp="2025-02-28T00:00:00Z", reason="a secret"),
            {"type": "a secret", "order_id": "order-1"},
            {**ORDER, "order_id": "a secret "},
        ):
            with pytest.raises(Poison) as caught:
                read_json(message)
            assert "a secret" not in str(caught.value)


class TestRelease:
    @pytest.mark.parametrize(
        "message",
        [
            release("order-1"),
            release("order-1", reason=None),
            release("order-1", reason=""),
            release("order-1", customer_id=5, nested={"unknown": [1]}),
            release("order-1", reason=["none"]),
            release("order-1", reason="\ud800"),
            release("order-1", timestamp="yesterday"),
            release("order-1", timestamp="2025-06-01"),
            release("order-1", timestamp="2099-01-01T00:00:00Z"),
            release("order-1", timestamp=1),
            release("order-1", timestamp=None),
            without(release("order-1"), "timestamp"),
        ],
    )
    def test_a_release_is_read(self, message: dict[str, Any]) -> None:
        assert read_json(message) == RELEASE

    def test_the_reason_of_a_release_is_kept(self) -> None:
        reason = "the customer changed their mind"
        assert read_json(release("order-1", reason=reason)) == replace(RELEASE, reason=reason)

    @pytest.mark.parametrize("field", ["timestamp", "reason", "nobody reads"])
    def test_a_release_is_read_whatever_its_other_fields_are(self, unreadable: str, field: str) -> None:
        message = text(without(release("order-1"), field))[:-1]
        assert read_text(f'{message}, "{field}": {unreadable}}}') == RELEASE
        assert read_text(f'{message}, "{field}": 1, "{field}": 2}}') == RELEASE


class TestWholeAndPart:
    """Releases and shipments: of all that is held, or of a part under an id of its own."""

    @pytest.fixture(params=[ChangeType.FULFILL, ChangeType.RELEASE])
    def kind(self, request: pytest.FixtureRequest) -> ChangeType:
        return ChangeType(request.param)

    def message(self, kind: ChangeType, *part: Any, **changes: Any) -> dict[str, Any]:
        make = fulfill if kind is ChangeType.FULFILL else release
        return make("order-1", *part, **changes)

    def test_all_is_meant_without_items(self, kind: ChangeType) -> None:
        assert read_json(self.message(kind)) == ChangeOrder("order-1", kind, kind.value)

    def test_all_may_have_an_id_of_its_own(self, kind: ChangeType) -> None:
        assert read_json(self.message(kind, "X1")) == ChangeOrder("order-1", kind, "X1")

    def test_null_as_an_id_is_none(self, kind: ChangeType) -> None:
        assert read_json(self.message(kind, operation_id=None)) == ChangeOrder("order-1", kind, kind.value)

    def test_the_lines_of_a_part_are_added_up(self, kind: ChangeType) -> None:
        message = self.message(kind, "X1", {"A": 2}, gift=True)
        message["items"] += [{"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 3, "x": None}]
        assert read_json(message) == ChangeOrder("order-1", kind, "X1", {"A": 5, "B": 1})

    def test_a_part_needs_an_id(self, kind: ChangeType) -> None:
        assert changed(self.message(kind, None, {"A": 1})).errors == (
            FieldError("operation_id", "is required with items"),
        )

    @pytest.mark.parametrize("items", [[], {}, None, "A", 5, True, [[]], [{"sku": "A"}]])
    def test_invalid_items_never_mean_all(self, kind: ChangeType, items: Any) -> None:
        command = changed(self.message(kind, "X1", items=items))
        assert command.errors[0].field.startswith("items")
        assert command.items is None
        assert command.operation_id == "X1"
        assert not command.whole_release

    def test_a_part_names_at_most_98_skus(self, kind: ChangeType) -> None:
        assert not changed(self.message(kind, "X1", {f"S{n}": 1 for n in range(98)})).errors
        command = changed(self.message(kind, "X1", {f"S{n}": 1 for n in range(99)}))
        assert command.errors == (FieldError("items", "must name at most 98 SKUs"),)


CHANGES: dict[str, dict[str, Any]] = {
    "ConfirmInventory": confirm("order-1"),
    "ExtendInventory": extend("order-1", "X1", "2025-06-20T12:00:00+02:00"),
    "FulfillInventory": fulfill("order-1", "X1", {"A": 1}),
    "ReleaseInventory": release("order-1", "X1", {"A": 1}),
}


class TestChanges:
    def test_a_confirmation_is_read(self) -> None:
        expected = ChangeOrder("order-1", ChangeType.CONFIRM, "ConfirmInventory")
        assert read_json(confirm("order-1")) == expected
        assert read_json(confirm("order-1", operation_id="nobody reads", items=[])) == expected

    def test_an_extension_is_read_and_its_end_is_put_into_utc(self) -> None:
        assert read_json(CHANGES["ExtendInventory"]) == ChangeOrder(
            "order-1", ChangeType.EXTEND, "X1", expires_at="2025-06-20T10:00:00.000Z"
        )

    @pytest.mark.parametrize(
        ("kind", "field"),
        [
            ("ConfirmInventory", "timestamp"),
            ("ExtendInventory", "timestamp"),
            ("ExtendInventory", "expires_at"),
            ("ExtendInventory", "operation_id"),
            ("FulfillInventory", "timestamp"),
            ("FulfillInventory", "operation_id"),
            ("ReleaseInventory", "operation_id"),
        ],
    )
    @pytest.mark.parametrize("value", ["is missing", None, "", 5, ["x"], {"a": 1}, "e\u0301", "\ud800"])
    def test_a_field_that_is_needed_and_invalid_is_named(self, kind: str, field: str, value: Any) -> None:
        message = {**CHANGES[kind], field: value}
        if value == "is missing":
            message = without(message, field)
        command = changed(message)
        assert [error.field for error in command.errors] == [field]
        assert command.type == kind

    @pytest.mark.parametrize("kind", ["ExtendInventory", "FulfillInventory", "ReleaseInventory"])
    @pytest.mark.parametrize(
        "operation_id",
        ["ReleaseInventory", "ConfirmInventory", "EXPIRED", "AGED", "invalid#1", "x" * 129, " "],
    )
    def test_an_id_that_is_ours_is_refused(self, kind: str, operation_id: str) -> None:
        command = changed({**CHANGES[kind], "operation_id": operation_id})
        assert [error.field for error in command.errors] == ["operation_id"]
        assert command.operation_id != operation_id

    @pytest.mark.parametrize(
        "operation_id", ["x", "x" * 128, "shipment 7", "SO/2026", "invalid", "aged", "é"]
    )
    def test_ids_of_operations_at_their_limits_are_accepted(self, operation_id: str) -> None:
        assert changed(release("order-1", operation_id, {"A": 1})).operation_id == operation_id

    @pytest.mark.parametrize("kind", CHANGES)
    def test_a_repeated_key_is_refused(self, kind: str) -> None:
        member = "order-1" if kind == "ConfirmInventory" else "X1"
        field = "timestamp" if kind == "ConfirmInventory" else "operation_id"
        body = text(CHANGES[kind])[:-1] + f', "{field}": "{member}"}}'
        command = read_text(body)
        assert isinstance(command, ChangeOrder)
        assert [error.field for error in command.errors] == [field]

    @pytest.mark.parametrize("kind", ["ConfirmInventory", "ExtendInventory", "FulfillInventory"])
    def test_a_timestamp_too_far_ahead_is_named(self, kind: str) -> None:
        for expires_at in ("2099-01-02T00:00:00Z", "9999-12-31T23:59:59-14:00"):
            command = changed(
                {**CHANGES[kind], "timestamp": "2099-01-01T00:00:00Z"}
                | ({"expires_at": expires_at} if kind == "ExtendInventory" else {})
            )
            assert "timestamp" in [error.field for error in command.errors]

    @pytest.mark.parametrize("kind", CHANGES)
    def test_a_change_older_than_the_records_is_poison(self, kind: str) -> None:
        with pytest.raises(Poison, match="older"):
            read_json({**CHANGES[kind], "timestamp": "2025-02-28T00:00:00Z"})

    @pytest.mark.parametrize("kind", CHANGES)
    @pytest.mark.parametrize("order_id", ["", None, "adjustment#1", 5])
    def test_a_change_without_a_usable_order_id_is_poison(self, kind: str, order_id: Any) -> None:
        with pytest.raises(Poison, match="order_id"):
            read_json({**CHANGES[kind], "order_id": order_id})

    def test_at_most_twenty_errors_are_listed(self) -> None:
        message = release("order-1", "X1", items=[{"sku": "A", "quantity": 0}] * 50)
        assert len(changed(message).errors) == 20


class TestInvalidIds:
    """An invalid change without a usable id gets one that each delivery of it has, and no other message."""

    def ids(self, *messages: Any) -> list[str]:
        return [changed(message).operation_id for message in messages]

    def test_each_delivery_has_the_same_id(self) -> None:
        message = extend("order-1", "", "2025-06-20T00:00:00Z")
        one, other = self.ids(message, dict(reversed(message.items())))
        assert one == other
        assert one.startswith("invalid#")

    def test_another_message_has_another_id(self) -> None:
        timestamps: list[Any] = ["", "x", None, 1, 1.5, float("nan"), []]
        found = self.ids(*(confirm("order-1", timestamp=timestamp) for timestamp in timestamps))
        assert len(set(found)) == len(found) - 1, "what JSON lacks is read as null"

    def test_a_usable_id_is_kept(self) -> None:
        assert self.ids(fulfill("order-1", "X1", {"A": 0})) == ["X1"]

    def test_an_id_is_made_of_any_unreadable_part(self, unreadable: str) -> None:
        body = text(without(confirm("order-1"), "timestamp"))[:-1] + f', "timestamp": {unreadable}}}'
        command, again = read_text(body), read_text(body)
        assert command == again
        assert isinstance(command, ChangeOrder)
        assert command.operation_id.startswith("invalid#")


class TestEndOfAHold:
    def test_the_end_of_a_hold_is_put_into_utc(self) -> None:
        order = accepted(reserve("order-1", {"A": 1}, expires_at="2025-06-20T12:00:00.5+02:00"))
        assert order.expires_at == "2025-06-20T10:00:00.500Z"

    def test_an_order_without_an_end_is_firm(self) -> None:
        assert accepted(ORDER).expires_at is None
        assert accepted({**ORDER, "expires_at": None}).expires_at is None

    @pytest.mark.parametrize(
        "expires_at", ["2025-07-16T15:06:40Z", "2025-06-15T15:06:41Z", "2025-01-01T00:00:00Z"]
    )
    def test_an_end_within_31_days_or_past_is_accepted(self, expires_at: str) -> None:
        assert accepted({**ORDER, "expires_at": expires_at}).expires_at
        assert not changed(extend("order-1", "X1", expires_at)).errors

    @pytest.mark.parametrize(
        "expires_at",
        [
            "2025-07-16T15:06:40.000001Z",
            "2025-07-16",
            "2025-06-20T12:00:00",
            "tomorrow",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "",
            1_750_000_000,
            True,
            [],
        ],
    )
    def test_another_end_is_named(self, expires_at: Any) -> None:
        assert refused({**ORDER, "expires_at": expires_at}).keys() == {"expires_at"}
        assert changed(extend("order-1", "X1", expires_at)).errors[0].field == "expires_at"


class TestReserve:
    def test_a_reserve_is_read(self) -> None:
        assert read_json(ORDER) == Reserve("order-1", "customer of order-1", {"A": 2, "B": 1})

    def test_entries_of_one_sku_are_added_up_in_the_order_of_their_first(self) -> None:
        lines = [("B", 1), ("A", 2), ("B", 3), ("A", 1_000_000_000)]
        command = accepted(
            reserve("order-1", {}, items=[{"sku": sku, "quantity": units} for sku, units in lines])
        )
        assert list(command.items.items()) == [("B", 4), ("A", 1_000_000_002)]

    def test_unknown_fields_are_ignored(self) -> None:
        message = {**ORDER, "loyalty": {"points": 3}, "": None, "refusal": "x"}
        message["items"] = [{"sku": "A", "quantity": 2, "gift": True}, {"sku": "B", "quantity": 1, "x": []}]
        assert read_json(message) == read_json(ORDER)

    @pytest.mark.parametrize(
        "order_id",
        ["o", "x" * 128, "😀" * 128, "a.b_c:d-e", "-", ".", "0", "#1001", "SO/2026/0007", "order 12", "é"],
    )
    def test_order_ids_at_their_limits_are_accepted(self, order_id: str) -> None:
        assert accepted(reserve(order_id, {"A": 1})).order_id == order_id

    @pytest.mark.parametrize(
        "sku",
        [
            "a",
            "0",
            "A" * 64,
            "a.b_c-d",
            "Check",
            "check.",
            "adjustment",
            "TS 100 XL",
            "ABC/12",
            "#42",
            "Größe-3",
            "-a",
        ],
    )
    def test_skus_at_their_limits_are_accepted(self, sku: str) -> None:
        assert accepted(with_line(sku=sku)).items == {sku: 1}

    @pytest.mark.parametrize(
        "sku",
        ["", "A" * 65, " a", "a  b", "a\n", "\u00ad", "e\u0301", ".", "check", "adjustments", None, 1, ["A"]],
    )
    def test_an_invalid_sku_is_named(self, sku: Any) -> None:
        assert refused(with_line(sku=sku)).keys() == {"items.0.sku"}

    @pytest.mark.parametrize("quantity", [1, 1_000_000_000])
    def test_quantities_at_their_limits_are_accepted(self, quantity: int) -> None:
        assert accepted(with_line(quantity=quantity)).items == {"A": quantity}

    @pytest.mark.parametrize(
        "quantity",
        [0, -1, 1_000_000_001, 10**100, 1.0, 1.5, 1e300, True, False, "1", "", None, [1], {"value": 1}],
    )
    def test_an_invalid_quantity_is_named(self, quantity: Any) -> None:
        assert refused(with_line(quantity=quantity)).keys() == {"items.0.quantity"}

    @pytest.mark.parametrize("literal", ["1.0", "1e0", "-0", "0.0", "1E2", "1E400", "NaN", "Infinity"])
    def test_a_number_that_is_not_written_as_a_positive_integer_is_named(self, literal: str) -> None:
        body = text(with_line()).replace('"quantity": 1', f'"quantity": {literal}')
        command = read_text(body)
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        assert [error.field for error in command.refusal.errors] == ["items.0.quantity"]

    @pytest.mark.parametrize("customer_id", ["c", "x" * 256, "😀" * 256, "Ω≈ç", "Größe & Söhne, 2. OG"])
    def test_customers_at_their_limits_are_accepted(self, customer_id: str) -> None:
        assert accepted(reserve("order-1", {"A": 1}, customer_id=customer_id)).customer_id == customer_id

    @pytest.mark.parametrize(
        "customer_id", ["", " ", "x" * 257, "\u0000", "\uffff", None, 5, True, ["c"], {"id": "c"}]
    )
    def test_an_invalid_customer_is_named_and_not_kept(self, customer_id: Any) -> None:
        message = reserve("order-1", {"A": 1}, customer_id=customer_id)
        assert refused(message).keys() == {"customer_id"}
        command = read_json(message)
        assert isinstance(command, Reserve)
        assert command.customer_id is None

    def test_a_valid_customer_is_kept_when_another_field_is_invalid(self) -> None:
        command = read_json(reserve("order-1", {}))
        assert isinstance(command, Reserve)
        assert command.customer_id == "customer of order-1"

    @pytest.mark.parametrize("items", [[], {}, None, "A", 5, True, {"A": 1}])
    def test_items_must_be_a_list_that_is_not_empty(self, items: Any) -> None:
        assert refused(reserve("order-1", {}, items=items)).keys() == {"items"}

    @pytest.mark.parametrize("line", [None, 1, "A", [], ["A", 1], True])
    def test_a_line_must_be_a_json_object(self, line: Any) -> None:
        errors = refused(reserve("order-1", {}, items=[{"sku": "A", "quantity": 1}, line]))
        assert errors == {"items.1": "must be an object"}

    @pytest.mark.parametrize("field", ["customer_id", "items", "timestamp"])
    def test_a_missing_field_is_named(self, field: str) -> None:
        assert refused(without(ORDER, field)).keys() == {field}

    def test_every_invalid_field_is_listed(self) -> None:
        lines = [{"sku": "A", "quantity": 0}, {"quantity": 1}, {"sku": " ", "quantity": "1"}]
        message = reserve("order-1", {}, items=lines, customer_id="", timestamp="yesterday")
        assert refused(message).keys() == {
            "customer_id",
            "items.0.quantity",
            "items.1.sku",
            "items.2.sku",
            "items.2.quantity",
            "timestamp",
        }

    def test_at_most_twenty_errors_are_listed(self) -> None:
        errors = refused(reserve("order-1", {}, items=[{"sku": "A", "quantity": 0}] * 5_000))
        assert list(errors) == [f"items.{n}.quantity" for n in range(20)]

    def test_an_error_does_not_echo_the_message(self) -> None:
        message = reserve(
            "order-1", {}, items=[{"sku": " a secret", "quantity": "a secret"}], customer_id=["a secret"]
        )
        assert "a secret" not in str(refused(message))

    def test_98_skus_are_accepted(self) -> None:
        assert len(accepted(reserve("order-1", {f"S{n}": 1 for n in range(98)})).items) == 98

    def test_100_skus_are_too_many_and_none_is_kept(self) -> None:
        command = read_json(reserve("order-1", {f"S{n}": 1 for n in range(100)}))
        assert command == Reserve("order-1", "customer of order-1", {}, TooMany(100))

    def test_a_hundred_lines_of_98_skus_are_not_too_many(self) -> None:
        lines = [{"sku": f"S{n % 98}", "quantity": 1} for n in range(100)]
        assert len(accepted(reserve("order-1", {}, items=lines)).items) == 98

    def test_an_invalid_field_takes_precedence_over_too_many_skus(self) -> None:
        message = reserve("order-1", {f"S{n}": 1 for n in range(100)}, customer_id="")
        assert refused(message).keys() == {"customer_id"}

    def test_the_largest_message_with_one_sku_is_added_up(self) -> None:
        message = reserve("order-1", {}, items=[{"sku": "A", "quantity": 1_000_000_000}] * 20_000)
        body = json.dumps(message, separators=(",", ":"))
        body += " " * (1024 * 1024 - len(body))
        command = read_text(body)
        assert isinstance(command, Reserve)
        assert command.items == {"A": 20_000 * 1_000_000_000}

    def test_the_largest_message_with_many_skus_is_too_many(self) -> None:
        message = reserve("order-1", {f"S{n}": 1 for n in range(30_000)})
        assert read_json(message) == Reserve("order-1", "customer of order-1", {}, TooMany(30_000))

    def test_an_unknown_field_may_be_nested(self) -> None:
        assert accepted({**ORDER, "unknown": json.loads("[" * 100 + "]" * 100)})


class TestUnreadableParts:
    def test_a_part_that_nobody_reads_does_not_matter(self, unreadable: str) -> None:
        body = text(ORDER)
        for changed in (
            body.replace('"type"', f'"note": {unreadable}, "type"', 1),
            body[:-1] + f', "note": [1, {{"a": {unreadable}}}, 2]}}',
            body.replace('"sku"', f'"note": {unreadable}, "sku"'),
        ):
            assert read_text(changed) == read_json(ORDER)

    @pytest.mark.parametrize("key", ["\\ud800", "a\nb", "\x00"])
    def test_a_key_that_nobody_reads_may_have_any_character(self, key: str) -> None:
        assert read_text(text(ORDER)[:-1] + f', "{key}": 1}}') == read_json(ORDER)

    @pytest.mark.parametrize("zero", ["-0", "-0.0", "-0e5", "1e-999"])
    def test_a_zero_that_nobody_reads_may_be_written_in_any_way(self, zero: str) -> None:
        assert read_text(text(ORDER)[:-1] + f', "x": {zero}}}') == read_json(ORDER)

    def test_the_repeated_key_with_a_lone_surrogate_is_named_in_valid_text(self) -> None:
        command = read_text(text(ORDER)[:-1] + ', "\\ud800": 1, "\\ud800": 2}')
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        assert [error.field for error in command.refusal.errors] == ["\\ud800"]

    @pytest.mark.parametrize(
        ("member", "field"),
        [
            ('"customer_id": "customer of order-1"', "customer_id"),
            ('"items": [{"sku": "A", "quantity": 1}]', "items"),
            ('"items": [{"sku": "A", "quantity": 1}]', "items.0"),
            ('"sku": "A"', "items.0.sku"),
            ('"quantity": 1', "items.0.quantity"),
            ('"timestamp": "2025-06-15T15:06:40Z"', "timestamp"),
        ],
    )
    def test_an_order_with_an_unreadable_field_is_refused(
        self, unreadable: str, member: str, field: str
    ) -> None:
        name = member[: member.index(":")]
        value = f"[{unreadable}]" if field == "items.0" else unreadable
        command = read_text(text(with_line()).replace(member, f"{name}: {value}"))
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        # The innermost object of a nesting that is shallow enough is read as lines.
        assert command.refusal.errors[0].field.startswith(field)

    @pytest.mark.parametrize("field", ["type", "order_id"])
    def test_a_message_with_an_unreadable_type_or_order_id_is_poison(
        self, unreadable: str, field: str
    ) -> None:
        body = text(ORDER).replace(f'"{field}": {text(ORDER[field])}', f'"{field}": {unreadable}')
        with pytest.raises(Poison, match=field):
            read_text(body)

    @given(st.integers(1, 300), st.integers(1, 300), st.text('[]{}\\"', max_size=5))
    def test_any_depth_is_read(self, levels: int, more: int, inner: str) -> None:
        parts = [("[" * depth + text(inner) + "]" * depth) for depth in (levels, more)]
        body = text(ORDER)[:-1] + f', "x": {parts[0]}, "y": [{parts[1]}], "z": "\\ud800"}}'
        assert read_text(body) == read_json(ORDER)


def twice(message: dict[str, Any], member: str) -> str:
    """The text of `message`, with this member of it given twice."""
    assert text(message).count(member) == 1
    return text(message).replace(member, f"{member}, {member}")


class TestRepeatedKeys:
    def test_an_order_with_a_repeated_key_is_refused_and_the_field_is_named(self) -> None:
        body = text(with_line()).replace('"quantity": 1', '"quantity": 1, "quantity": 50')
        command = read_text(body)
        assert isinstance(command, Reserve)
        assert command.refusal == Invalid((FieldError("items.0.quantity", "must not be given twice"),))
        assert not command.items

    @pytest.mark.parametrize(
        ("member", "field"),
        [
            ('"customer_id": "customer of order-1"', "customer_id"),
            ('"items": [{"sku": "A", "quantity": 1}]', "items"),
            ('"sku": "A"', "items.0.sku"),
            ('"timestamp": "2025-06-15T15:06:40Z"', "timestamp"),
            ('"nobody reads": {"x": [1]}', "nobody reads"),
        ],
    )
    def test_each_field_of_an_order_is_refused_if_it_is_given_twice(self, member: str, field: str) -> None:
        message = {**with_line(), "nobody reads": {"x": [1]}}
        command = read_text(twice(message, member))
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        assert [error.field for error in command.refusal.errors] == [field]

    @pytest.mark.parametrize("member", ['"type": "ReserveInventory"', '"order_id": "order-1"'])
    def test_a_message_that_names_its_type_or_its_order_twice_is_poison(self, member: str) -> None:
        with pytest.raises(Poison, match=r"type|order_id"):
            read_text(twice(ORDER, member))

    @pytest.mark.parametrize("key", ['"quantity"', '"quantity" ', '"\\u0071uantity"', '"quantity"\t\n'])
    def test_the_spelling_of_a_repeated_key_does_not_matter(self, key: str) -> None:
        command = read_text(text(with_line()).replace('"quantity": 1', f'"quantity": 1, {key}: 1'))
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        assert [error.field for error in command.refusal.errors] == ["items.0.quantity"]

    @pytest.mark.parametrize("colon", ["\\u003a", "\\u003A"])
    def test_an_escaped_colon_hides_no_repeated_key(self, colon: str) -> None:
        body = text(with_line()).replace("customer of", f"customer{colon}")
        assert accepted_text(body).customer_id == "customer: order-1"
        command = read_text(body.replace('"quantity": 1', '"quantity": 1, "quantity": 50'))
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)

    @pytest.mark.parametrize("levels", [1, 90, 190])
    def test_a_repeated_key_is_found_in_a_deep_nesting(self, levels: int) -> None:
        nesting = "[" * levels + '{"a": 1, "a": 1}' + "]" * levels
        command = read_text(text(ORDER)[:-1] + f', "x": {nesting}}}')
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        assert command.refusal.errors[0].field.startswith("x.0")

    def test_other_errors_are_listed_as_well(self) -> None:
        body = twice(reserve("order-1", {"A": 0}, customer_id=""), '"quantity": 0')
        command = read_text(body)
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        assert [error.field for error in command.refusal.errors] == ["items.0.quantity", "customer_id"]

    def test_at_most_twenty_repeated_keys_are_listed_and_their_names_are_cut(self) -> None:
        name = "\u00e9" * 1_000
        repeated = ", ".join(f'"{number}{name}": 1, "{number}{name}": 2' for number in range(25))
        command = read_text(text(ORDER)[:-1] + f", {repeated}}}")
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        assert [len(error.field) for error in command.refusal.errors] == [64] * 20

    @given(st.data())
    def test_a_repeated_key_is_found_wherever_it_is(self, data: st.DataObject) -> None:
        strings = st.text('":\\,{}é1', max_size=4)
        trees = st.recursive(
            strings | st.integers(0, 9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
            max_leaves=8,
        )
        message = data.draw(st.dictionaries(strings.filter(lambda key: key != "x"), trees, max_size=4))
        members = [f"{json.dumps(key, ensure_ascii=False)}: {text(value)}" for key, value in message.items()]
        again = data.draw(st.lists(st.sampled_from(members), max_size=2)) if members else []
        body = f'{{"x": [{{{", ".join(data.draw(st.permutations([*members, *again])))}}}]}}'
        assert bool(read_body(body)[1]) is bool(again)


def sns(body: str, **changes: Any) -> str:
    """The body of an SNS notification, as SQS gets it without raw message delivery.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html
    """
    notification = {
        "Type": "Notification",
        "MessageId": "63a3f6b6-d533-4a47-aef9-fcf5cf758c76",
        "TopicArn": "arn:aws:sns:us-west-2:123456789012:orders",
        "Subject": "an order",
        "Message": body,
        "Timestamp": "2012-03-29T05:12:16.901Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLEnTrFPa3==",
        "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb72.pem",
        "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns",
        "MessageAttributes": {"type": {"Type": "String", "Value": "ReserveInventory"}},
    }
    return text({**notification, **changes})


def event_bridge(body: str) -> str:
    """The body of an EventBridge event.

    Source: https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
    """
    event = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "order",
        "source": "oms",
        "account": "111122223333",
        "time": "2017-12-22T18:43:48Z",
        "region": "us-west-1",
        "resources": [],
    }
    return text(event)[:-1] + f', "detail": {body}}}'


ENVELOPES = {"SNS": sns, "EventBridge": event_bridge}


@pytest.fixture(params=list(ENVELOPES))
def wrap(request: pytest.FixtureRequest) -> Callable[[str], str]:
    return ENVELOPES[request.param]


class TestEnvelopes:
    @pytest.mark.parametrize("message", [ORDER, release("order-1"), reserve("order-1", {})])
    @pytest.mark.parametrize("bom", ["", "\ufeff"])
    def test_an_envelope_is_taken_off(self, wrap: Callable[[str], str], message: Any, bom: str) -> None:
        assert read_text(bom + wrap(text(message))) == read_json(message)

    def test_an_envelope_may_have_a_part_that_cannot_be_read(
        self, wrap: Callable[[str], str], unreadable: str
    ) -> None:
        body = wrap(text(ORDER)).replace("{", f'{{"note": {unreadable}, ', 1)
        assert read_text(body) == read_json(ORDER)

    def test_a_bom_is_taken_off(self) -> None:
        assert read_text("\ufeff" + text(ORDER)) == read_json(ORDER)

    def test_a_bom_in_an_sns_notification_is_taken_off(self) -> None:
        assert read_text(sns("\ufeff" + text(ORDER))) == read_json(ORDER)

    @pytest.mark.parametrize("kind", ["Invalid", "Unreadable"])
    def test_the_fields_in_an_envelope_are_named_without_it(
        self, wrap: Callable[[str], str], kind: str
    ) -> None:
        value = "1.5" if kind == "Invalid" else '1, "quantity": 50'
        body = wrap(text(with_line()).replace('"quantity": 1', f'"quantity": {value}'))
        command = read_text(body)
        assert isinstance(command, Reserve)
        assert isinstance(command.refusal, Invalid)
        assert [error.field for error in command.refusal.errors] == ["items.0.quantity"]

    def test_what_nobody_reads_of_an_envelope_does_not_matter(self, unreadable: str) -> None:
        for body in (
            f'{{"Subject": {unreadable}, {sns(text(ORDER))[1:]}',
            f'{{"id": 1, "id": {unreadable}, {event_bridge(text(ORDER))[1:]}',
        ):
            assert read_text(body) == read_json(ORDER)

    def test_an_sns_notification_needs_no_more_than_type_and_message(self) -> None:
        assert read_text(text({"Type": "Notification", "Message": text(ORDER)})) == read_json(ORDER)

    def test_one_envelope_is_taken_off(self, wrap: Callable[[str], str]) -> None:
        with pytest.raises(Poison, match="type"):
            read_text(wrap(wrap(text(ORDER))))

    @pytest.mark.parametrize(
        "body",
        [
            sns("hello"),
            sns(""),
            sns("[]"),
            sns("{}"),
            sns(text(ORDER), Type="SubscriptionConfirmation"),
            sns(text(ORDER))[:-1] + ', "Message": "{}"}',
            event_bridge("{}"),
            event_bridge("[]"),
            event_bridge(text(text(ORDER))),
            event_bridge(text(ORDER)).replace('"source"', '"sauce"'),
            event_bridge(text(ORDER))[:-1] + ', "detail": {}}',
        ],
    )
    def test_an_envelope_without_a_message_of_ours_is_poison(self, body: str) -> None:
        with pytest.raises(Poison):
            read_text(body)

    def test_a_message_of_ours_with_fields_of_an_envelope_is_none(self) -> None:
        other = text(reserve("order-2", {"B": 1}))
        message = {**ORDER, "Type": "Notification", "Message": other, "source": "oms", "detail-type": "x"}
        assert read_json({**message, "detail": {"order_id": "order-2"}}) == read_json(ORDER)


class TestTimestamp:
    @pytest.mark.parametrize(
        "timestamp",
        [
            "2025-03-01T00:00:00Z",
            "2025-03-01T00:00:00.000000Z",
            "2025-06-01T12:00:00+00:00",
            "2025-06-01T12:00:00-11:30",
            "2025-06-01T12:00:00.123456789Z",
            "2025-06-01T12:00Z",
            "2025-06-01 12:00:00Z",
            "20250601T120000Z",
            "2025-W23-1T12:00Z",
            "2025-06-16T00:00:00Z",
            "2025-06-16T14:00:00+14:00",
        ],
    )
    def test_iso_8601_with_an_offset_is_accepted(self, timestamp: str) -> None:
        assert accepted(reserve("order-1", {"A": 1}, timestamp=timestamp))

    @pytest.mark.parametrize(
        "timestamp",
        [
            "2025-06-01T12:00:00",
            "2025-06-01",
            "2025-06-01T12:00:00+25:00",
            "2025-13-01T12:00:00Z",
            "2025-02-30T12:00:00Z",
            "1780315200",
            "yesterday",
            "",
            " 2025-06-01T12:00:00Z",
            "2025-06-01T12:00:00\x00Z",
            "2025-06-01\n12:00:00Z",
            "2025-06-01\ud80012:00:00Z",
            "2025-06-01\u202812:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59.999999-23:59",
            1780315200,
            1780315200.5,
            None,
            True,
            {"at": "2025-06-01T12:00:00Z"},
        ],
    )
    def test_another_timestamp_is_named(self, timestamp: Any) -> None:
        assert refused(reserve("order-1", {"A": 1}, timestamp=timestamp)).keys() == {"timestamp"}

    @pytest.mark.parametrize(
        "timestamp",
        [
            "2025-06-16T00:00:00.000001Z",
            "2025-06-15T13:00:00-11:01",
            "2099-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ],
    )
    def test_a_timestamp_too_far_ahead_is_named(self, timestamp: str) -> None:
        assert refused(reserve("order-1", {"A": 1}, timestamp=timestamp)) == {
            "timestamp": "must not be more than a day ahead"
        }


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(list(COMMANDS)) | values,
        "order_id": st.sampled_from(["o-1"]) | values,
        "customer_id": st.just("c") | values,
        "items": st.lists(
            st.fixed_dictionaries(
                {}, optional={"sku": st.just("A") | values, "quantity": st.just(1) | values}
            )
            | values,
            max_size=4,
        )
        | values,
        "timestamp": st.just("2025-06-01T12:00:00Z") | st.datetimes().map(str) | values,
        "reason": values,
        "operation_id": st.just("x") | values,
        "expires_at": st.datetimes().map("{}Z".format) | values,
    },
)


class TestArbitraryInput:
    @given(st.text(st.characters(codec=None)))
    def test_arbitrary_text_is_poison(self, body: str) -> None:
        with pytest.raises(Poison):
            read_text(body)

    @given(fields, st.booleans())
    def test_an_arbitrary_object_is_a_command_or_poison(
        self, message: dict[str, Any], ascii_only: bool
    ) -> None:
        try:
            command = read_text(json.dumps(message, ensure_ascii=ascii_only))
        except Poison:
            return
        assert command.order_id == message["order_id"]
        if isinstance(command, Reserve):
            assert bool(command.items) is (command.refusal is None)
            assert all(units >= 1 for units in command.items.values())
