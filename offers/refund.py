"""What is paid back for units that are returned. Amounts are minor units; lines are named by their place in the cart.

Two policies: `prorated` pays back what each unit actually cost; `repriced` keeps what the rest would have cost alone,
for orders that fall under a threshold. Freight is paid back only with the last unit of all: the goods had to travel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from offers.cart import Cart
from offers.errors import LineUnknown, ReturnTooLarge
from offers.pricing import Price, Pricer, Threshold
from offers.rule import Rule

Units = Mapping[int, int]  # how many of each line
NONE: Units = {}


class RefundPolicy(StrEnum):
    PRORATED = "prorated"
    REPRICED = "repriced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    goods: int
    freight: int = 0

    @property
    def total(self) -> int:
        return self.goods + self.freight


def prorated(price: Price, returned: Units, *, already: Units = NONE) -> Refund:
    """What the returned units actually cost; freight only where nothing is left of the order.

    Units are taken from the end of a line, after those that came back `already`: so all refunds of an order sum to what
    was paid for it, to the last minor unit.

    Raises:
        LineUnknown: the cart has no such line.
        ReturnTooLarge: so many units are not left of it.
    """
    left = _left(price, returned, already)
    goods = sum(sum(_unit_costs(price, at)[left[at] : left[at] + many]) for at, many in returned.items())
    return Refund(goods=goods, freight=_freight(price, left))


def repriced(
    price: Price,
    rules: Sequence[Rule],
    returned: Units,
    *,
    already: Units = NONE,
    refunded: int = 0,
    threshold: Threshold = Threshold.RUNNING,
    sequence: Sequence[str] = (),
) -> Refund:
    """What was paid for the goods, less what the rest costs under the same offers that were applied; never negative.

    Freight is paid back, as it was paid, only where nothing is left of the order; what is left is charged none anew.

    Args:
        price: what was paid.
        rules: the offers of that price; those that it did not apply do not apply to the rest.
        returned: units, of each line.
        already: those that came back before.
        refunded: what was paid back for those.
        threshold: as the price was found.
        sequence: the same.

    Raises:
        LineUnknown: the cart has no such line.
        ReturnTooLarge: so many units are not left of it.
    """
    left = _left(price, returned, already)
    lines = [replace(line, qty=qty) for line, qty in zip(price.cart.lines, left, strict=True)]
    pricer = Pricer(Cart(lines=lines, freight=price.cart.freight), rules, threshold=threshold, sequence=sequence)
    applied = {step.rule_id for step in price.applied}
    rest = pricer.price(number for number, rule in enumerate(pricer.rules) if rule.id in applied)
    return Refund(goods=max(0, price.goods - rest.goods - refunded), freight=_freight(price, left))


def _left(price: Price, returned: Units, already: Units) -> Sequence[int]:
    """How many units of each line stay with the customer."""
    left = [line.qty for line in price.cart.lines]
    for units in (already, returned):
        for at, many in units.items():
            if not 0 <= at < len(left):
                raise LineUnknown(line=at, lines=len(left))
            if not 1 <= many <= left[at]:
                raise ReturnTooLarge(line=at, returned=many, left=left[at])
            left[at] -= many
    return left


def _unit_costs(price: Price, at: int) -> Sequence[int]:
    each = price.cart.lines[at].price
    return [each - off for off in price.unit_discounts(at)]


def _freight(price: Price, left: Sequence[int]) -> int:
    return 0 if any(left) else price.freight
