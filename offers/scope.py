"""What an offer is for: which goods, in which shops, and what is excluded from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

NOTHING: frozenset[str] = frozenset()


class Goods(Protocol):
    """A product of the catalogue, or a line of a cart."""

    @property
    def sku(self) -> str | None: ...
    @property
    def shop(self) -> str | None: ...
    @property
    def category(self) -> str | None: ...
    @property
    def brand(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Goods by one of `sku`, `category` and `brand`, and in one of `shop` where shops are named."""

    sku: frozenset[str] = NOTHING
    shop: frozenset[str] = NOTHING
    category: frozenset[str] = NOTHING
    brand: frozenset[str] = NOTHING

    def __bool__(self) -> bool:
        return bool(self.sku or self.shop or self.category or self.brand)

    def name(self, goods: Goods) -> bool:
        if self.shop and goods.shop not in self.shop:
            return False
        if not (self.sku or self.category or self.brand):
            return bool(self.shop)
        return goods.sku in self.sku or goods.category in self.category or goods.brand in self.brand


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whatever `named` names, everything where it names nothing; less what `excluded` names."""

    named: Items = field(default_factory=Items)
    excluded: Items = field(default_factory=Items)

    def covers(self, goods: Goods) -> bool:
        return (not self.named or self.named.name(goods)) and not self.excluded.name(goods)

    def places(self, lines: Sequence[Goods]) -> tuple[int, ...]:
        """Where in a list those stand that it covers."""
        found: Sequence[int] = range(len(lines))
        if self.named:
            name = self.named.name
            found = [at for at in found if name(lines[at])]
        if self.excluded:
            name = self.excluded.name
            found = [at for at in found if not name(lines[at])]
        return tuple(found)


EVERYTHING = Scope()


def shared(one: Scope, other: Scope, catalogue: Iterable[Goods]) -> Goods | None:
    """The first product of the catalogue that both cover; None: they do not meet, whatever their lists say."""
    return next((goods for goods in catalogue if one.covers(goods) and other.covers(goods)), None)
