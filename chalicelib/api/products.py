"""Products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from chalicelib.api.routing import Call, Reply
from chalicelib.contracts import requests, responses
from chalicelib.contracts.fields import price_number
from chalicelib.domain.stock import Product, Stock
from chalicelib.domain.timestamps import iso

if TYPE_CHECKING:
    from chalicelib.store.product_store import ProductStore
    from chalicelib.store.stock_store import StockStore

_STOCK_FIELDS: Final = ("quantity", "reserved", "on_hand", "version")


def create(call: Call[requests.CreateProduct], products: ProductStore) -> Reply:
    """POST /products"""
    now = iso(call.deadline.now())
    product = Product(**call.takes.body.model_dump(), created_at=now, updated_at=now)
    stock = products.create(product, call.deadline)
    location = f"{call.path.rstrip('/')}/{quote(product.sku, safe='')}"
    return Reply(responses.Product(**_fields(product, stock)), {"Location": location})


def get(call: Call[requests.OneSku], products: ProductStore) -> responses.Product:
    """GET /products/{sku}"""
    product, stock = products.get(call.takes.sku, call.deadline)
    return responses.Product(**_fields(product, stock))


def list_page(
    call: Call[requests.ListProducts], products: ProductStore, stock: StockStore
) -> responses.ProductPage:
    """GET /products"""
    asked = call.takes
    page, last = products.page(asked.limit, asked.after, call.deadline)
    if asked.include_inventory == "true":
        levels = stock.levels((product.sku for product in page), call.deadline)
        if lacking := [product.sku for product in page if product.sku not in levels]:
            levels |= products.stocks(lacking, call.deadline)
        # A product that was deleted after the page was read has no stock any more, and is left out.
        items = [_fields(product, levels[product.sku]) for product in page if product.sku in levels]
    else:
        items = [_fields(product) for product in page]
    return responses.ProductPage.model_validate({"items": items, "next_token": asked.next_token(last)})


def change(
    call: Call[requests.ChangeProduct], products: ProductStore, stock: StockStore
) -> responses.Product:
    """PATCH /products/{sku}"""
    sku, changes = call.takes.sku, call.takes.body.given()
    product = products.change(sku, changes, call.deadline)
    held = stock.find(sku, call.deadline) or products.complete([sku], call.deadline).get(sku)
    # None if it was deleted after the change, so it had no stock.
    return responses.Product(**_fields(product, held or Stock(sku, 0, product.updated_at)))


def delete(call: Call[requests.OneSku], products: ProductStore) -> None:
    """DELETE /products/{sku}"""
    products.delete(call.takes.sku, call.deadline)


def _fields(product: Product, stock: Stock | None = None) -> dict[str, Any]:
    """The fields of `responses.Product`."""
    fields = {
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "price": price_number(product.price),
        "image_url": product.image_url,
        "created_at": product.created_at,
        "updated_at": product.updated_at,
    }
    if stock is not None:
        fields |= {name: getattr(stock, name) for name in _STOCK_FIELDS}
    return fields
