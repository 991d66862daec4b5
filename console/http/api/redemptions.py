"""Orders: their offers are taken, given back, refunded; and what a paid one brings."""

from datetime import datetime
from http import HTTPMethod, HTTPStatus
from typing import Any

from sqlalchemy.orm import Session

from console.http.api.answers import HeldCoupons, RedemptionTold, RefundTold
from console.http.api.asked import OrderNumber, PaymentAsk, RedemptionAsk, RefundAsk, distinct
from console.http.api.endpoint import Call, Endpoint, Parameter, Place, with_key
from console.http.api.once import answered_once
from console.http.api.problems import Json
from console.http.api.told import told_redemption, told_refund
from offers.service.orders import order_cancelled, order_paid
from offers.service.redemptions import Redeem, cancel, redeem, redemption_of, refund

_ORDER = Parameter(name="order", place=Place.PATH, type=OrderNumber)
_BOTH = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


async def redeem_order(call: Call) -> Json:
    """Take the offers of an order, all of them at the price that was shown, or none.

    Ask before the order is kept. An order redeems once.
    """
    asked: RedemptionAsk = call.body
    order = Redeem(
        order=asked.order,
        channel=call.caller.channel,
        cart=asked.cart.cart(),
        payable=asked.payable,
        customer=asked.customer,
        coupons=distinct(asked.coupons),
        codes=asked.codes,
        activities=tuple(dict.fromkeys(asked.activities)),
    )

    def work(session: Session, now: datetime) -> dict[str, Any]:
        return told_redemption(redeem(session, call.desk.book, order, product_line_id=call.line_id, now=now))

    return await answered_once(call, "redeem", work, status=HTTPStatus.CREATED)


async def show_redemption(call: Call) -> Json:
    """What an order took off by its offers, and what became of it."""
    order = call.values["order"]
    return await call.in_transaction(
        lambda session, _: Json(told_redemption(redemption_of(session, product_line_id=call.line_id, order=order)))
    )


async def cancel_order(call: Call) -> Json:
    """Give back what a whole order used, unless an offer says not, and take back what it brought."""
    order = call.values["order"]

    def work(session: Session, now: datetime) -> dict[str, Any]:
        return told_redemption(cancel(session, call.desk.book, product_line_id=call.line_id, order=order, now=now))

    return await answered_once(call, "cancel", work)


async def refund_units(call: Call) -> Json:
    """Work out and write down what is paid back for units of an order that come back."""
    order, asked = call.values["order"], call.body

    def work(session: Session, now: datetime) -> dict[str, Any]:
        units = asked.units()
        found = refund(session, call.desk.book, product_line_id=call.line_id, order=order, units=units, now=now)
        return told_refund(found)

    return await answered_once(call, "refund", work, status=HTTPStatus.CREATED)


async def tell_payment(call: Call) -> Json:
    """Give the coupons that a paid order brings. Told again it gives no more, and tells what it has brought."""
    order, asked = call.values["order"], call.body

    def work(session: Session, now: datetime) -> dict[str, Any]:
        brought = order_paid(
            session,
            product_line_id=call.line_id,
            order_number=order,
            customer=asked.customer,
            paid_minor=asked.paid,
            channel=call.caller.channel,
            now=now,
        )
        return {"coupons": brought}

    return await answered_once(call, "pay", work)


async def cancel_paid(call: Call) -> Json:
    """Of an order that used no offers: take back the coupons that it brought, but for those that were used."""
    order = call.values["order"]

    def work(session: Session, now: datetime) -> dict[str, Any]:
        return {"coupons": order_cancelled(session, product_line_id=call.line_id, order_number=order, now=now)}

    return await answered_once(call, "cancel-paid", work)


ENDPOINTS = (
    Endpoint(
        method=HTTPMethod.POST,
        path="/redemptions",
        do=redeem_order,
        tag="redemptions",
        body=RedemptionAsk,
        parameters=with_key(),
        status=HTTPStatus.CREATED,
        answer=RedemptionTold,
        refusals=_BOTH,
    ),
    Endpoint(
        method=HTTPMethod.GET,
        path="/redemptions/{order}",
        do=show_redemption,
        tag="redemptions",
        parameters=(_ORDER,),
        answer=RedemptionTold,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        method=HTTPMethod.POST,
        path="/redemptions/{order}/cancellation",
        do=cancel_order,
        tag="redemptions",
        parameters=with_key(_ORDER),
        answer=RedemptionTold,
        refusals=_BOTH,
    ),
    Endpoint(
        method=HTTPMethod.POST,
        path="/redemptions/{order}/refunds",
        do=refund_units,
        tag="redemptions",
        body=RefundAsk,
        parameters=with_key(_ORDER),
        status=HTTPStatus.CREATED,
        answer=RefundTold,
        refusals=_BOTH,
    ),
    Endpoint(
        method=HTTPMethod.POST,
        path="/orders/{order}/payment",
        do=tell_payment,
        tag="orders",
        body=PaymentAsk,
        parameters=with_key(_ORDER),
        answer=HeldCoupons,
        refusals=_BOTH,
    ),
    Endpoint(
        method=HTTPMethod.POST,
        path="/orders/{order}/cancellation",
        do=cancel_paid,
        tag="orders",
        parameters=with_key(_ORDER),
        answer=HeldCoupons,
        refusals=(HTTPStatus.CONFLICT,),
    ),
)
