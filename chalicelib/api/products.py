"""Products: what their calls take and answer."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chalice.app import Request, Response

from chalicelib import clients
from chalicelib.api import tokens
from chalicelib.api.bodies import json_body
from chalicelib.api.http import json_response, no_content, query
from chalicelib.api.wire import ChangeProduct, CreateProduct, ListProducts, OneSku, parse
from chalicelib.core.catalogue import Product
from chalicelib.core.moments import iso


def create(request: Request) -> Response:
    """POST /products"""
    asked = parse(CreateProduct, {"body": json_body(request)}).body
    now = iso(datetime.now(UTC))
    product = Product(**asked.model_dump(), created_at=now, updated_at=now)
    stock = clients.products().create(product)
    # Behind a stage or a base path, the path that was called is longer than the route.
    called = request.context.get("path") or request.path
    location = f"{called.rstrip('/')}/{product.sku}"
    return json_response(_answer(product, stock.quantity), 201, {"Location": location})


def get(sku: str) -> Response:
    """GET /products/{sku}"""
    product, stock = clients.products().get(parse(OneSku, {"sku": sku}).sku)
    return json_response(_answer(product, stock.quantity))


def list_page(request: Request) -> Response:
    """GET /products"""
    asked = parse(ListProducts, query(request))
    products, last = clients.products().page(asked.limit, asked.after)
    if asked.include_inventory == "true":
        stock = clients.inventory().levels(product.sku for product in products)
        # A product that was deleted after the page was read has no stock any more, and is left out.
        items = [_answer(p, stock[p.sku].quantity) for p in products if p.sku in stock]
    else:
        items = [_answer(product) for product in products]
    return json_response({"items": items, "next_token": last and tokens.encode(asked.listing, last)})


def change(request: Request, sku: str) -> Response:
    """PATCH /products/{sku}"""
    asked = parse(ChangeProduct, {"sku": sku, "body": json_body(request)})
    product = clients.products().change(asked.sku, asked.body.given(), datetime.now(UTC))
    return json_response(_answer(product, clients.inventory().get(product.sku).quantity))


def delete(sku: str) -> Response:
    """DELETE /products/{sku}"""
    clients.products().delete(parse(OneSku, {"sku": sku}).sku)
    return no_content()


def _answer(product: Product, quantity: int | None = None) -> dict[str, Any]:
    answer = {
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "price": _number(product.price),
        "image_url": product.image_url,
        "created_at": product.created_at,
        "updated_at": product.updated_at,
    }
    return answer if quantity is None else answer | {"quantity": quantity}


def _number(price: Decimal) -> int | float:
    # Exact: a float keeps 15 digits and is written with as few as lead back to it; a price has 12 at most.
    return int(price) if price == price.to_integral_value() else float(price)
