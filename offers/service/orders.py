"""Coupons that come after a paid order, and go with it when it is cancelled."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from models.queries import claims as rows
from models.queries import orders_paid as orders
from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.claim_rules import Wish
from offers.held import HeldCouponView
from offers.refusals import OrderRedeemed
from offers.service.giving import give
from offers.states import Source
from themes.theme import RedeemIn


def order_paid(
    session: Session,
    *,
    product_line_id: int,
    order_number: str,
    customer: str,
    paid_minor: int,
    channel: RedeemIn,
    now: datetime,
) -> Sequence[HeldCouponView]:
    """Give what an order brings, once, however often it is told; within the limits of those offers.

    `customer` is her external id; `paid_minor` is for goods, after all discounts and without freight. Returns all that
    the order has brought so far, as it is now; nothing of one that was cancelled.

    Raises:
        ClaimRefused: the customer is not known.
    """
    customer_id = rows.customer_id(session, customer, product_line_id=product_line_id)
    if customer_id is None:
        raise ClaimRefused(why=ClaimRefusal.CUSTOMER_UNKNOWN)
    if orders.is_cancelled(session, product_line_id=product_line_id, order_number=order_number):
        return []
    names = orders.triggered_offers(session, product_line_id=product_line_id, paid_minor=paid_minor, now=now)
    asked = rows.asked_offers(session, names, product_line_id=product_line_id)
    terms = [asked.offers[name] for name in names]
    rows.lock(session, [one.id for one in terms])
    before = orders.brought_by(session, product_line_id=product_line_id, order_number=order_number)
    wishes = [
        Wish(
            offers=(one,),
            customer_id=customer_id,
            channel=channel.value,
            source=Source.ORDER,
            trigger_order=order_number,
        )
        for one in terms
        if one.name not in {held.offer for held in before}
    ]
    given = give(session, wishes, now=now)
    return [*before, *(held for one in given if not isinstance(one, ClaimRefused) for held in one)]


def order_cancelled(
    session: Session, *, product_line_id: int, order_number: str, now: datetime
) -> Sequence[HeldCouponView]:
    """Of an order that used no offers: take back what it brought, unless it was used. Returns all that it brought.

    Raises:
        OrderRedeemed: the order did use offers, and is not cancelled.
    """
    if orders.is_redeemed(session, product_line_id=product_line_id, order_number=order_number):
        raise OrderRedeemed(order=order_number)
    take_back_triggered(session, product_line_id=product_line_id, order_number=order_number, now=now)
    return orders.brought_by(session, product_line_id=product_line_id, order_number=order_number)


def take_back_triggered(session: Session, *, product_line_id: int, order_number: str, now: datetime) -> int:
    """Take back what a cancelled order brought, unless it was used. Returns how many coupons."""
    return orders.take_back(session, product_line_id=product_line_id, order_number=order_number, now=now)
