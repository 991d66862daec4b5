"""What requests are answered, for the document: the answers themselves are made of the domain's values as they are."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from offers.preset import OfferKind
from offers.refusals import UseRefusal
from offers.states import HeldState, RedemptionState, Source
from themes.theme import RedeemIn


class Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class HeldCoupon(Told):
    """It may be used from `valid_from`, and before `valid_to`."""

    id: int
    offer: str = Field(description="THEME/OFFER")
    state: HeldState
    source: Source
    claimed_at: datetime
    valid_from: datetime
    valid_to: datetime
    package: str | None = Field(description="THEME/OFFER of the package that it came in.")
    locked_for: str | None = Field(description="The order that it is locked for.")


class HeldCoupons(Told):
    coupons: list[HeldCoupon]


class Words(Told):
    en: str
    zh: str


class ReasonTold(Told):
    """`needed` and `found` are minor units, or pieces."""

    reason: str
    needed: int | None
    found: int | None
    others: list[str] = Field(description="The offers that stand against it.")
    words: Words


class GiftTold(Told):
    sku: str
    qty: int
    price: int = Field(description="What it is worth; it costs nothing.")
    instead: list[str] = Field(description="One of these may be taken in its place.")


class StepTold(Told):
    """What one offer did."""

    offer: str
    stage: str
    off: list[int] = Field(description="Of each line.")
    freight_off: int
    gift: GiftTold | None
    withheld: int = Field(description="What it would have taken off and nobody could take.")


class OnOfferTold(Told):
    title: str
    kind: OfferKind
    held: int | None = Field(description="The coupon that stands for it.")
    code: int | None = Field(description="The place of its code among those that were typed in, from 0.")


class NotUsableTold(Told):
    """A coupon, a code or an offer that was not even priced."""

    offer: str | None
    held: int | None
    code: int | None
    why: UseRefusal
    words: Words


class PriceTold(Told):
    """The last amount of each line, and of the cart, is what the customer pays."""

    list_total: int
    goods: int
    discount: int = Field(description="Off the goods.")
    freight: int
    freight_discount: int
    payable: int
    lines: list[int]
    line_discounts: list[int]
    units: dict[str, list[int]] = Field(description="What came off each unit of the lines that have several.")
    applied: list[str]
    steps: list[StepTold]
    gifts: list[GiftTold]
    gift_value: int
    withheld: int
    left_out: dict[str, ReasonTold]


class QuoteTold(PriceTold):
    optimal: bool = Field(description="False where the search for the best combination was cut short.")
    customer_known: bool = Field(description="False for a guest, and where the id is nobody's.")
    offers: dict[str, OnOfferTold] = Field(description="Those that were priced, by THEME/OFFER.")
    not_usable: list[NotUsableTold]


class CartOfferTold(Told):
    offer: str
    title: str
    kind: OfferKind
    held: int | None
    applied: bool
    saves: int = Field(description="Beside the others that apply.")
    alone: int = Field(description="With nothing else.")
    claimable: bool = Field(description="The customer does not hold it, and could claim it.")
    why: ReasonTold | None = Field(description="Why it does not apply, and what is missing.")


class CartOffersTold(Told):
    quote: QuoteTold
    offers: list[CartOfferTold]


class PaidLine(Told):
    """A line as it was priced, with what the catalogue knew of it; `paid` is what all its units cost."""

    qty: int
    price: int
    sku: str | None
    shop: str | None
    category: str | None
    brand: str | None
    floor: int
    paid: int


class PaidCart(Told):
    freight: int
    lines: list[PaidLine]


class UseTold(Told):
    """What one offer took off."""

    offer: str = Field(description="THEME/OFFER")
    held: int | None = Field(description="The coupon that was used for it.")
    off: int = Field(description="Of the goods.")
    freight_off: int
    given_back: bool


class RedemptionTold(Told):
    order: str
    state: RedemptionState
    channel: RedeemIn
    customer: str | None
    cart: PaidCart
    list_total: int
    discount: int
    freight: int
    freight_discount: int
    payable: int
    refunded: int
    new_customer: bool = Field(description="It is her first order.")
    redeemed_at: datetime
    cancelled_at: datetime | None
    uses: list[UseTold]


class RefundTold(Told):
    """What is paid back now; `redemption.refunded` is the sum of all that was."""

    policy: str
    goods: int
    freight: int
    total: int
    redemption: RedemptionTold
