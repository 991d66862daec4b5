"""What customers do while the theme is live: claim its coupons, buy what they bought before, change their mind."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from console.demo.shop import Bought, Refused, Shop
from console.refusals import DemoFailed
from models.database import Database
from models.queries import carts
from models.queries.carts import RealCart
from offers.service.api_keys import create_key
from offers.service.figures import Figures, figures_of
from themes import money
from themes.service.finding import require_theme
from themes.theme import RedeemIn

COUPON, PARCEL = "women-20-off-100", "first-parcel-free"
CUSTOMERS = 6
WORTH = 12_000  # minor units, at least: enough for the coupon

T = TypeVar("T")
Say = Callable[[str], None]
Table = Callable[[str, Sequence[str], Sequence[Sequence[object]]], None]


class SaleFailed(DemoFailed):
    """The API would not do what a customer asked for, and should have."""

    def __init__(self, *, what: str, refused: Refused) -> None:
        self.what, self.refused = what, refused
        super().__init__(f"{what}: {refused.status} {refused.detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sales:
    """What the shop was told, order by order; money in minor units."""

    claimed: int
    bought: Sequence[Bought]
    cancelled: Bought
    refunded: int

    @property
    def kept(self) -> Sequence[Bought]:
        return [one for one in self.bought if one is not self.cancelled]


def open_shop(database: Database, *, origin: str, product_line: str) -> Shop:
    with database.begin() as session:
        secret = create_key(
            session,
            product_line=product_line,
            name="demo",
            channel=RedeemIn.APP,
            per_second=100,
            by="console:demo",
            now=datetime.now(UTC),
        )
    return Shop(origin=origin, secret=secret)


def sell(shop: Shop, database: Database, *, theme: str, say: Say) -> Sales:
    """Claims, orders, a cancellation and a return, all by the HTTP API.

    Raises:
        SaleFailed
    """
    found = _customers(database, theme)
    claimed = sum(_claim(shop, one.customer, f"{theme}/{COUPON}") for one in found)
    claimed += sum(_claim(shop, one.customer, f"{theme}/{PARCEL}") for one in found[:2])
    say(f"{len(found)} customers claim {claimed} coupons in the app")
    again = shop.claim(found[0].customer, f"{theme}/{COUPON}")
    if not isinstance(again, Refused):
        raise SaleFailed(what="a second coupon", refused=Refused(status=200, detail="given, though one is the limit"))
    say(f"one asks for another: {again.detail}")
    bought = [_done(f"the order of {one.customer}", shop.buy(one.customer, one.lines)) for one in found]
    cancelled, returned = bought[-1], bought[0]
    _done("the cancellation", shop.cancel(cancelled.order))
    refund = _done("the return", shop.send_back(returned.order, line=0, qty=1))
    say(f"{cancelled.order} is cancelled and gives its coupon back; a piece of {returned.order} is sent back")
    return Sales(claimed=claimed, bought=bought, cancelled=cancelled, refunded=refund["goods"] + refund["freight"])


def show_sales(sales: Sales, *, currency: str, table: Table) -> None:
    def amount(minor: int) -> str:
        return money.in_words(minor, currency)

    rows = [
        (
            one.order,
            one.customer,
            amount(one.price["list_total"]),
            amount(one.price["discount"]),
            amount(one.price["freight_discount"]),
            amount(one.price["payable"]),
            ", ".join(name.partition("/")[2] for name in one.price["applied"]),
            "cancelled" if one is sales.cancelled else "",
        )
        for one in sales.bought
    ]
    columns = ["order", "customer", "list price", "off the goods", "off the freight", "paid", "by", ""]
    table("What was sold with it", columns, rows)


def problems_of(sales: Sales, database: Database, *, theme: str) -> Sequence[str]:
    """Where our figures are not what the shop was told, order by order."""
    with database.begin() as session:
        found = figures_of(session, require_theme(session, theme))
    return [f"{what}: we count {ours}, the shop {its}" for what, ours, its in _compared(found, sales) if ours != its]


def _compared(found: Figures, sales: Sales) -> Iterator[tuple[str, object, object]]:
    goals = {goal.name: goal.reached for goal in found.goals}
    off = sum(one.price["discount"] + one.price["freight_discount"] for one in sales.kept)
    paid = sum(one.price["payable"] for one in sales.kept)
    yield "coupons claimed", goals["claims"], str(sales.claimed)
    yield "uses", goals["uses"], str(sum(len(one.price["applied"]) for one in sales.kept))
    yield "orders", goals["orders"], str(len(sales.kept))
    yield "taken off", goals["discount"], money.in_words(off, found.currency)
    yield "paid", goals["gmv"], money.in_words(paid, found.currency)
    yield "refunded", found.orders.refunded, sales.refunded


def _customers(database: Database, theme: str) -> Sequence[RealCart]:
    with database.begin() as session:
        theme_id = require_theme(session, theme).id
        return carts.of_addressed(session, theme_id=theme_id, at_least=WORTH, most=CUSTOMERS)


def _claim(shop: Shop, customer: str, offer: str) -> int:
    return len(_done(f"the claim of {customer}", shop.claim(customer, offer)))


def _done(what: str, told: T | Refused) -> T:
    if isinstance(told, Refused):
        raise SaleFailed(what=what, refused=told)
    return told
