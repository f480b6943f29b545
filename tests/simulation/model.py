"""What a change of an order must do, and what its answer must say: the design's rules, written once more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation.records import Done, Record, held, is_open, items, outcome, text, units

Units = Mapping[str, int]


class Wrong(Exception):
    """The record, or the answer, is not what the rules say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A change of an order that a message or a call over REST asks for.

    id: the operation's; None: the message has none that can be used, or it is invalid.
    items: the part of the order that it is about; None: the whole.
    """

    order_id: str
    type: str
    id: str | None
    items: Units | None = None
    expires_at: str | None = None
    valid: bool = True

    @property
    def whole_release(self) -> bool:
        """Whether it gives back all that the order holds."""
        return self.valid and self.type == "ReleaseInventory" and self.items is None

    def __str__(self) -> str:
        told = " ".join(f"{n} {sku}" for sku, n in self.items.items()) if self.items is not None else "all"
        until = f" until {self.expires_at}" if self.expires_at else ""
        return f"{self.type} {self.order_id} ({self.id}): {told}{until}{'' if self.valid else ' INVALID'}"


@dataclass(frozen=True, slots=True)
class State:
    """What an order holds, and what it has shipped; `expired` is what a late confirmation may take again."""

    open: bool
    held: Units = field(default_factory=dict)
    fulfilled: Units = field(default_factory=dict)
    expired: Units = field(default_factory=dict)
    expires_at: str | None = None
    uncounted: bool = field(default=False, compare=False)
    """Whether version 1.1 wrote the record, so that what it holds is not in `reserved` yet."""

    @classmethod
    def of(cls, record: Record | None) -> State:
        """The state that is on record."""
        return cls(
            is_open(record),
            held(record),
            units(record, "fulfilled"),
            units(record, "expired"),
            text(record, "expires_at") if is_open(record) else None,
            uncounted=record is not None and "held" not in record,
        )

    @classmethod
    def new(cls, record: Record) -> State:
        """The state of an order that was just recorded, before any operation."""
        if outcome(record) == "REJECTED":
            return cls(open=False)
        # A tombstone, too, had nothing to release before its release.
        return cls(True, items(record), expires_at=text(record, "expires_at"))

    def without(self, gone: Units, *, shipped: bool, lost: Collection[str] = ()) -> State:
        """The state once units are shipped, or given back, and all of the SKUs `lost` written off."""
        left = {
            sku: n - gone.get(sku, 0)
            for sku, n in self.held.items()
            if n != gone.get(sku, 0) and sku not in lost
        }
        all_shipped = dict(self.fulfilled)
        for sku, n in gone.items() if shipped else ():
            all_shipped[sku] = all_shipped.get(sku, 0) + n
        if left:
            return replace(self, held=left, fulfilled=all_shipped, uncounted=False)
        return State(open=False, fulfilled=all_shipped, expired=self.expired)


def apply(state: State, done: Done, asked: Sequence[Asked], stock: Mapping[str, int | None]) -> State:
    """The state after an operation; raises `Wrong` unless its answer is right.

    It must do what one of `asked` asks. `stock` is what there is after the commit.
    """
    if done.id == "AGED":
        if not state.open or state.expires_at is not None or done.body is not None:
            raise Wrong("closed for its age, though it is a hold, or closed, or with an answer")
        return state.without(state.held, shipped=True)
    event = done.event
    if event is None:
        raise Wrong(f"the operation {done.id} has no answer")
    if done.id == "EXPIRED":
        return _expired(state, event, stock)
    problems = []
    for one in asked:
        try:
            return _asked(state, event, one, stock)
        except Wrong as wrong:
            problems.append(str(wrong))
    raise Wrong(f"{done.id}: " + ("; ".join(dict.fromkeys(problems)) or "nobody asked for it"))


def _expired(state: State, event: Mapping[str, Any], stock: Mapping[str, int | None]) -> State:
    if not state.open or state.expires_at is None:
        raise Wrong("an order expired that is no hold")
    told = {"type": "InventoryReleased", "reason": "EXPIRED", "expired_at": state.expires_at}
    _tells(event, told | _given(event, state.held, {}, stock))
    return replace(state.without(state.held, shipped=False), expired=state.held)


def _asked(state: State, event: Mapping[str, Any], asked: Asked, stock: Mapping[str, int | None]) -> State:
    if not asked.valid:
        _refused(event, asked, "INVALID_REQUEST", errors=True)
        return state
    match asked.type:
        case "ConfirmInventory":
            return _confirmed(state, event, asked, stock)
        case "ExtendInventory":
            return _extended(state, event, asked)
    return _part(state, event, asked, stock)


def _confirmed(
    state: State, event: Mapping[str, Any], asked: Asked, stock: Mapping[str, int | None]
) -> State:
    if state.open:
        _tells(event, {"type": "InventoryConfirmed", "items": _lines(state.held), "reserved_again": None})
        return replace(state, expires_at=None)
    if not state.expired:
        _refused(event, asked, "NOT_RESERVED")
        return state
    if event["type"] == "InventoryConfirmed":
        _tells(event, {"items": _lines(state.expired), "reserved_again": True})
        return State(True, state.expired, state.fulfilled)
    _refused(event, asked, "EXPIRED", lines=False)
    check_short(event["items"], state.expired, stock)
    return state


def _extended(state: State, event: Mapping[str, Any], asked: Asked) -> State:
    if not state.open:
        _refused(event, asked, "EXPIRED" if state.expired else "NOT_RESERVED")
        return state
    if state.expires_at is None:
        _refused(event, asked, "NOT_A_HOLD")
        return state
    _tells(event, {"type": "InventoryExtended", "expires_at": asked.expires_at, **_named(asked)})
    return replace(state, expires_at=asked.expires_at)


def _part(state: State, event: Mapping[str, Any], asked: Asked, stock: Mapping[str, int | None]) -> State:
    if not state.open:
        _refused(event, asked, "EXPIRED" if state.expired else "NOT_RESERVED")
        return replace(state, expired={}) if asked.whole_release else state
    wanted = state.held if asked.items is None else asked.items
    more = {sku: n for sku, n in wanted.items() if n > state.held.get(sku, 0)}
    if more:
        lines = [{"sku": sku, "requested": n, "held": state.held.get(sku, 0)} for sku, n in more.items()]
        _refused(event, asked, "MORE_THAN_HELD", lines=False)
        _tells(event, {"items": lines})
        return state
    shipped = asked.type == "FulfillInventory"
    # What is left counts as reserved from now on, which takes a SKU that exists.
    lost = [sku for sku in state.held if state.uncounted and stock.get(sku) is None]
    after = state.without(wanted, shipped=shipped, lost=lost)
    if shipped:
        told = {"type": "InventoryFulfilled", "items": _lines(wanted), "remaining": _lines(after.held)}
    else:
        told = {"type": "InventoryReleased", **_given(event, wanted, after.held, stock)}
    _tells(event, told | _named(asked))
    return after


def check_short(lines: Sequence[Mapping[str, Any]], wanted: Units, stock: Mapping[str, int | None]) -> None:
    """Raise `Wrong` unless the lines tell of what was `wanted`, and one of them why it could not be."""
    missing = any(line["reason"] == "SKU_NOT_FOUND" for line in lines)
    true = False
    for line in lines:
        sku, asked = line["sku"], line["requested"]
        if wanted.get(sku) != asked or line["available"] >= asked:
            raise Wrong(f"it does not reject what was asked: {line}")
        there = stock.get(sku)
        if missing and line["reason"] == "SKU_NOT_FOUND":
            true = true or there is None
        elif not missing:
            true = true or (there is not None and there < asked)
    if not true:
        there_are = {sku: stock.get(sku) for sku in wanted}
        raise Wrong(f"{wanted} was wanted, there were {there_are}, and it was told {lines}")


def _given(
    event: Mapping[str, Any], back: Units, left: Units, stock: Mapping[str, int | None]
) -> dict[str, Any]:
    """What an answer must say of units that were given back; those of SKUs that are gone are written off."""
    missing = event.get("missing", [])
    if any(stock.get(sku) is not None for sku in missing):
        raise Wrong(f"units of {missing} were written off, though there is such a SKU")
    kept = {sku: n for sku, n in back.items() if sku not in missing}
    if not set(missing) <= back.keys():
        raise Wrong(f"it says that {missing} are missing, which it does not give back")
    return {"items": _lines(kept), "remaining": _lines(left)}


def _refused(
    event: Mapping[str, Any], asked: Asked, reason: str, *, errors: bool = False, lines: bool = True
) -> None:
    told: dict[str, Any] = {"type": "InventoryChangeRejected", "operation": asked.type, "reason": reason}
    if lines:
        told["items"] = []
    _tells(event, told | _named(asked))
    if bool(event.get("errors")) is not errors:
        raise Wrong(f"its errors are {event.get('errors')}")


def _named(asked: Asked) -> dict[str, Any]:
    return {"operation_id": None if asked.id == asked.type else asked.id}


def _tells(event: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    for name, value in told.items():
        is_ = event.get(name, [] if value == [] else None)
        if _sorted(is_) != _sorted(value):
            raise Wrong(f"its answer says {name} {is_}, and should say {value}")


def _sorted(value: Any) -> Any:
    return sorted(value, key=lambda line: str(line["sku"])) if isinstance(value, list) else value


def _lines(given: Units) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": n} for sku, n in given.items()]
