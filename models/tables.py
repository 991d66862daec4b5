"""Imports every mapping, so that `Base.metadata` is whole."""

from models import approval, customer, delivery, notice, order, person, product, product_line, takedown, theme
from models.base import Base

__all__ = [
    "Base",
    "approval",
    "customer",
    "delivery",
    "notice",
    "order",
    "person",
    "product",
    "product_line",
    "takedown",
    "theme",
]
