"""What somebody is about to buy. Money is integer minor units."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CartLine:
    """So many units of one thing. `price` and `floor`, below which no offer brings it, are of one unit."""

    qty: int
    price: int
    sku: str | None = None
    shop: str | None = None
    category: str | None = None
    brand: str | None = None
    floor: int = 0

    @property
    def amount(self) -> int:
        return self.qty * self.price


@dataclass(frozen=True, slots=True, kw_only=True)
class Cart:
    lines: Sequence[CartLine]
    freight: int = 0

    @property
    def list_total(self) -> int:
        """Of the goods, before any offer."""
        return sum(line.amount for line in self.lines)
