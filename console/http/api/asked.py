"""What requests may hold. Amounts are integer minor units of the product line's currency.

Everything that is refused here stands in the JSON Schema as well, so that `/v1/openapi.json` tells the truth.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from console.http.api.problems import Invalid
from documents.shape import refuse
from offers.cart import Cart, CartLine
from offers.combination import Mode
from offers.quote_notation import MOST_LINES, MOST_UNITS, Part
from offers.quote_notation import Money as Amount
from offers.quote_notation import Qty as Units

MOST_COUPONS = 200
MOST_SECONDS = 86_400  # that a coupon is locked
_LARGEST_ID = 2**63 - 1  # of a BIGINT
_PLAIN = r"^[^\x00-\x1f\x7f]+$"
_NO_SLASH = r"^[^\x00-\x1f\x7f/]+$"


def _whole(value: object) -> object:
    """To JSON Schema 5.0 is the whole number 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Whole = BeforeValidator(_whole)
Money = Annotated[Amount, _Whole]
Qty = Annotated[Units, _Whole]
Word = Annotated[str, Field(strict=True, max_length=200, pattern=_PLAIN)]
#: The shop's own, such as `A-1001`. It is part of addresses, so it holds no slash.
OrderNumber = Annotated[str, Field(strict=True, max_length=100, pattern=_NO_SLASH)]
CustomerId = Annotated[str, Field(strict=True, max_length=200, pattern=_NO_SLASH)]
OfferName = Annotated[
    str,
    Field(
        strict=True,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f/]+/[^\x00-\x1f\x7f/]+$",
        description="THEME/OFFER",
        examples=["womens-day-2027/women-20-off-100"],
    ),
]
HeldId = Annotated[int, Field(strict=True, ge=1, le=_LARGEST_ID), _Whole]
HeldIds = Annotated[tuple[HeldId, ...], Field(max_length=MOST_COUPONS)]
CodeText = Annotated[str, Field(strict=True, max_length=100, pattern=_PLAIN)]
Codes = Annotated[tuple[CodeText, ...], Field(max_length=20)]


class AskedLine(Part):
    """What it is told of the line counts for price and shop; the catalogue's word on category and brand comes first."""

    qty: Qty
    price: Money = Field(description="Of one unit.")
    sku: Word | None = None
    shop: Word | None = None
    category: Word | None = None
    brand: Word | None = None
    floor: Money = Field(default=0, description="No offer brings a unit below it.")


class AskedCart(Part):
    """At most 100,000 units in all lines together."""

    lines: Annotated[tuple[AskedLine, ...], Field(min_length=1, max_length=MOST_LINES)]
    freight: Money = 0

    def cart(self) -> Cart:
        """Raises Invalid: it has too many units."""
        units = sum(line.qty for line in self.lines)
        if units > MOST_UNITS:
            raise Invalid([("cart.lines", f"{units} units are more than {MOST_UNITS} in all lines")])
        lines = [
            CartLine(
                qty=line.qty,
                price=line.price,
                sku=line.sku,
                shop=line.shop,
                category=line.category,
                brand=line.brand,
                floor=line.floor,
            )
            for line in self.lines
        ]
        return Cart(lines=lines, freight=self.freight)


class QuoteAsk(Part):
    """A guest has no `customer`. Without `coupons` all that she holds are tried; with an empty list none is."""

    cart: AskedCart
    customer: CustomerId | None = None
    coupons: HeldIds | None = None
    codes: Codes = ()
    mode: Mode = Mode.BEST
    forced: HeldIds = Field(default=(), description="Coupons that she ticked: they take effect as far as they can.")


def _either_offer_or_code(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("offer", "code")]


class ClaimAsk(Part):
    """A coupon is claimed by its offer, by a code, or by both."""

    model_config = ConfigDict(json_schema_extra=_either_offer_or_code)

    customer: CustomerId
    offer: OfferName | None = None
    code: CodeText | None = None
    points_receipt: Word | None = Field(
        default=None, description="Of a coupon for points: what proves to their keeper that they were taken."
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.offer is None and self.code is None:
            raise refuse("has neither an offer nor a code: one of them is needed")
        return self


class LockAsk(Part):
    """Coupons that nobody else may use while an order is placed."""

    order: OrderNumber
    customer: CustomerId
    coupons: Annotated[tuple[HeldId, ...], Field(min_length=1, max_length=MOST_COUPONS)]
    seconds: Annotated[int, Field(strict=True, ge=1, le=MOST_SECONDS), _Whole] = 900


class RedemptionAsk(Part):
    """An order with the offers that the customer was shown, and what she was shown to pay."""

    order: OrderNumber
    cart: AskedCart
    payable: Money
    customer: CustomerId | None = None
    coupons: HeldIds = ()
    codes: Codes = ()
    activities: Annotated[tuple[OfferName, ...], Field(max_length=MOST_COUPONS)] = ()


class ReturnedLine(Part):
    line: Annotated[
        int, Field(strict=True, ge=0, lt=MOST_LINES, description="The first line of the cart is 0."), _Whole
    ]
    qty: Qty


class RefundAsk(Part):
    lines: Annotated[tuple[ReturnedLine, ...], Field(min_length=1, max_length=MOST_LINES)]

    def units(self) -> dict[int, int]:
        """By line. A line that is named twice comes back with both."""
        found: dict[int, int] = {}
        for one in self.lines:
            found[one.line] = found.get(one.line, 0) + one.qty
        return found


class PaymentAsk(Part):
    """What was paid for the goods of an order."""

    customer: CustomerId
    paid: Money


def distinct(ids: Sequence[int]) -> tuple[int, ...]:
    """A coupon that is named twice is named once."""
    return tuple(dict.fromkeys(ids))
