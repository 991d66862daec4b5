"""Imports every mapping, so that `Base.metadata` is whole."""

from models import (
    account,
    approval,
    customer,
    delivery,
    inquiry,
    limits,
    notice,
    order,
    person,
    plan,
    product,
    product_line,
    receipt,
    takedown,
    theme,
)
from models.base import Base

__all__ = [
    "Base",
    "account",
    "approval",
    "customer",
    "delivery",
    "inquiry",
    "limits",
    "notice",
    "order",
    "person",
    "plan",
    "product",
    "product_line",
    "receipt",
    "takedown",
    "theme",
]
