"""Products and stock as they are stored; low-level attribute values, since they are all that is needed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from chalicelib.core.catalogue import Product, Stock

Item = Mapping[str, Any]


def product_to_item(product: Product) -> dict[str, Any]:
    """The item that stores `product`; what it lacks is left out."""
    values: dict[str, str | Decimal | None] = {
        "sku": product.sku,
        "name": product.name,
        "price": product.price,
        "description": product.description,
        "image_url": product.image_url,
        "created_at": product.created_at,
        "updated_at": product.updated_at,
    }
    return {name: value_of(value) for name, value in values.items() if value is not None}


def product_from_item(item: Item) -> Product:
    """The product that `item` stores."""
    return Product(
        sku=item["sku"]["S"],
        name=item["name"]["S"],
        price=Decimal(item["price"]["N"]),
        description=item["description"]["S"] if "description" in item else None,
        image_url=item["image_url"]["S"] if "image_url" in item else None,
        created_at=item["created_at"]["S"],
        updated_at=item["updated_at"]["S"],
    )


def stock_to_item(stock: Stock) -> dict[str, Any]:
    """The item that stores `stock`."""
    return {
        "sku": value_of(stock.sku),
        "quantity": value_of(stock.quantity),
        "updated_at": value_of(stock.updated_at),
    }


def stock_from_item(item: Item) -> Stock:
    """The stock that `item` stores."""
    return Stock(item["sku"]["S"], int(item["quantity"]["N"]), item["updated_at"]["S"])


def sku_key(sku: str) -> dict[str, Any]:
    """The key of a SKU in ProductTable and in InventoryTable."""
    return {"sku": value_of(sku)}


def value_of(value: str | int | Decimal) -> dict[str, str]:
    """A text or an exact number as an attribute value."""
    return {"S": value} if isinstance(value, str) else {"N": str(value)}
