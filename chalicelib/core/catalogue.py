"""Products and their stock."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Product:
    """What is sold under a SKU; times are ISO 8601 in UTC."""

    sku: str
    name: str
    price: Decimal
    description: str | None
    image_url: str | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Stock:
    """How many units of a SKU there are, since `updated_at` (ISO 8601 in UTC)."""

    sku: str
    quantity: int
    updated_at: str
