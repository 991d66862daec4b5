"""A cart as the catalogue completes it: what kind of goods its lines are, and how low they may be sold.

Money is integer minor units, shares are basis points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from offers.cart import Cart, CartLine
from offers.floor import floor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the catalogue knows of a product; `floor` and `cost` are of one unit."""

    category: str
    brand: str | None = None
    shop: str | None = None
    floor: int | None = None
    cost: int | None = None


#: By SKU.
Catalogue = Mapping[str, Facts]


def completed(cart: Cart, catalogue: Catalogue, *, least_margin_bp: int | None = None) -> Cart:
    """The cart with what the catalogue knows of its lines. Goods that it lacks stay as they were told.

    A line's own word counts for its price, and for the shop where it is sold; the catalogue's for category and brand.
    The floor is the highest of the line's, the product's, and what leaves the least margin; never above the price.
    """
    return replace(cart, lines=[_completed(line, catalogue, least_margin_bp) for line in cart.lines])


def _completed(line: CartLine, catalogue: Catalogue, least_margin_bp: int | None) -> CartLine:
    facts = _facts(line, catalogue)
    if facts is None:
        return replace(line, floor=min(line.floor, line.price))
    lowest = max(line.floor, facts.floor or 0)
    return replace(
        line,
        category=facts.category,
        brand=facts.brand or line.brand,
        shop=line.shop or facts.shop,
        floor=floor_of(price=line.price, lowest=lowest, cost=facts.cost, least_margin_bp=least_margin_bp),
    )


def cost_of(cart: Cart, catalogue: Catalogue) -> int | None:
    """What the goods cost to buy; None: not known of all of them."""
    costs = [_cost(line, _facts(line, catalogue)) for line in cart.lines]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _cost(line: CartLine, facts: Facts | None) -> int | None:
    return None if facts is None or facts.cost is None else facts.cost * line.qty


def _facts(line: CartLine, catalogue: Catalogue) -> Facts | None:
    return None if line.sku is None else catalogue.get(line.sku)


def told(cart: Cart, paid: Sequence[int]) -> dict[str, Any]:
    """A cart as plain JSON. `paid` is what each line came to in the end."""
    lines = [{**asdict(line), "paid": amount} for line, amount in zip(cart.lines, paid, strict=True)]
    return {"freight": cart.freight, "lines": lines}


def read(values: Mapping[str, Any]) -> tuple[Cart, Sequence[int]]:
    """A cart that was told, and what was paid for each line."""
    lines = [CartLine(**{name: value for name, value in line.items() if name != "paid"}) for line in values["lines"]]
    return Cart(lines=lines, freight=values["freight"]), [line["paid"] for line in values["lines"]]
