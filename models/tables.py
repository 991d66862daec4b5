"""Imports every mapping, so that `Base.metadata` is whole."""

from models import (
    account,
    approval,
    customer,
    delivery,
    exclusion,
    inquiry,
    limits,
    notice,
    order,
    person,
    plan,
    preset,
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
    "exclusion",
    "inquiry",
    "limits",
    "notice",
    "order",
    "person",
    "plan",
    "preset",
    "product",
    "product_line",
    "receipt",
    "takedown",
    "theme",
]
