"""The Inventory Management System: products and stock for an order system."""

__version__ = "1.1.0"
