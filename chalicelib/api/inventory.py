"""Stock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.api.routing import Call
from chalicelib.contracts import requests, responses
from chalicelib.domain.stock import Adjustment, Count, IdempotencyKey, Stock
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from chalicelib.services.stock_changes import StockChanges
    from chalicelib.store.product_store import ProductStore
    from chalicelib.store.stock_store import StockStore

_T = TypeVar("_T")


def get(call: Call[requests.OneSku], stock: StockStore, products: ProductStore) -> responses.Stock:
    """GET /inventory/{sku}"""
    sku = call.takes.sku
    found = _whole(call, sku, products, lambda: stock.get(sku, call.deadline))
    return responses.Stock.model_validate(found)


def list_page(call: Call[requests.ListStock], stock: StockStore) -> responses.StockPage:
    """GET /inventory"""
    levels, last = stock.page(call.takes.limit, call.takes.after, call.deadline)
    return responses.StockPage.model_validate({"items": levels, "next_token": call.takes.next_token(last)})


def set_quantity(
    call: Call[requests.SetStock], changes: StockChanges, products: ProductStore
) -> responses.Stock:
    """PUT /inventory/{sku}"""
    asked = call.takes
    key = _key(call, asked.idempotency_key)
    body = asked.body
    result = _whole(
        call,
        asked.sku,
        products,
        lambda: changes.set_quantity(asked.sku, body.quantity, call.deadline, body.expected_quantity, key),
    )
    return responses.Stock.model_validate(result)


def set_reorder_point(
    call: Call[requests.SetReorderPoint], stock: StockStore, products: ProductStore
) -> responses.Stock:
    """PATCH /inventory/{sku}"""
    sku, point = call.takes.sku, call.takes.body.reorder_point
    result = _whole(call, sku, products, lambda: stock.set_reorder_point(sku, point, call.deadline))
    return responses.Stock.model_validate(result)


def adjust(
    call: Call[requests.AdjustStock], changes: StockChanges, products: ProductStore
) -> responses.Stock:
    """POST /inventory/{sku}/adjustments"""
    asked = call.takes
    adjustment = Adjustment(asked.body.delta, asked.body.reason, asked.body.reference)
    key = _key(call, asked.idempotency_key)
    result = _whole(
        call, asked.sku, products, lambda: changes.adjust(asked.sku, adjustment, call.deadline, key)
    )
    return responses.Stock.model_validate(result)


def count(call: Call[requests.CountStock], changes: StockChanges, products: ProductStore) -> responses.Count:
    """POST /inventory/{sku}/counts"""
    asked = call.takes
    counted = Count(asked.body.counted, asked.body.expected_version, asked.body.reference)
    key = _key(call, asked.idempotency_key)
    result = _whole(call, asked.sku, products, lambda: changes.count(asked.sku, counted, call.deadline, key))
    level = responses.Stock.model_validate(result.stock)
    return responses.Count(**level.model_dump(), difference=result.delta)


def check(call: Call[requests.CheckAvailability], stock: StockStore) -> responses.Availability:
    """POST /inventory/check"""
    wanted: Counter[str] = Counter()
    for entry in call.takes.body.items:
        wanted[entry.sku] += entry.quantity
    levels = stock.levels(wanted, call.deadline)
    items = {sku: _availability(units, levels.get(sku)) for sku, units in wanted.items()}
    everything = all(item["reason"] is None for item in items.values())
    status = "AVAILABLE" if everything else "UNAVAILABLE"
    # The items as dicts: pydantic makes 100 of them faster than we do.
    return responses.Availability.model_validate({"status": status, "items": items})


def _availability(requested: int, stock: Stock | None) -> dict[str, Any]:
    """The fields of `responses.ItemAvailability`."""
    quantity = stock.quantity if stock else 0
    reason = None
    if requested > quantity:
        reason = "INSUFFICIENT_STOCK" if stock else "SKU_NOT_FOUND"
    status = "UNAVAILABLE" if reason else "AVAILABLE"
    return {"status": status, "requested": requested, "quantity": quantity, "reason": reason}


def _whole(call: Call[Any], sku: str, products: ProductStore, act: Callable[[], _T]) -> _T:
    """What `act` returns. If there is no stock, `act` is called again once the product is whole."""
    try:
        return act()
    except NotFound:
        products.get(sku, call.deadline)  # gives a product that has lost its stock a new one
        return act()


def _key(call: Call[Any], text: str | None) -> IdempotencyKey | None:
    return None if text is None else IdempotencyKey(call.principal, text)
