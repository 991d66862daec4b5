"""Imports every mapping, so that `Base.metadata` is whole."""

from models import approval, customer, delivery, order, person, product, product_line, theme
from models.base import Base

__all__ = ["Base", "approval", "customer", "delivery", "order", "person", "product", "product_line", "theme"]
