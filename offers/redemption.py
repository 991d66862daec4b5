"""An order whose offers were taken, as it is told. Amounts are minor units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from offers.cart import Cart
from offers.live_cart import read
from offers.pricing import Applied, Price
from offers.rule import Rule
from offers.states import RedemptionState
from themes.theme import RedeemIn


@dataclass(frozen=True, slots=True, kw_only=True)
class UseView:
    """What an offer (THEME/OFFER) took off the goods and off the freight; `held` is the coupon that was used for it."""

    offer_id: int
    offer: str
    held: int | None
    off: int
    freight_off: int
    given_back: bool = False

    @property
    def total(self) -> int:
        return self.off + self.freight_off


@dataclass(frozen=True, slots=True, kw_only=True)
class RedemptionView:
    """`customer` is her id in the shop, None a guest; `cart` as it was priced, in JSON; `new_customer`: her first."""

    id: int
    order: str
    state: RedemptionState
    channel: RedeemIn
    customer_id: int | None
    customer: str | None
    cart: Mapping[str, Any]
    list_total: int
    freight_list: int
    discount: int
    freight_discount: int
    payable: int
    refunded: int
    new_customer: bool
    redeemed_at: datetime
    cancelled_at: datetime | None
    uses: Sequence[UseView]

    @property
    def lines(self) -> Sequence[int]:
        """What was paid for each line."""
        return self._read()[1]

    def price(self, rules: Mapping[int, Rule]) -> Price:
        """What was paid, as refunds are worked out from it. `rules` are those of its uses, by the id of the offer."""
        cart, paid = self._read()
        return Price(
            cart=cart,
            lines=paid,
            freight=cart.freight - self.freight_discount,
            applied=[_applied(use, rules[use.offer_id]) for use in self.uses if use.offer_id in rules],
        )

    def _read(self) -> tuple[Cart, Sequence[int]]:
        return read(self.cart)


def _applied(use: UseView, rule: Rule) -> Applied:
    return Applied(rule_id=rule.id, stage=rule.stage, off=(), freight_off=use.freight_off)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundView:
    """What is paid back for units that came back."""

    policy: str
    goods: int
    freight: int
    redemption: RedemptionView

    @property
    def total(self) -> int:
        return self.goods + self.freight
