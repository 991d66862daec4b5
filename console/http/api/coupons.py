"""Coupons that customers hold: which they are, and locking them while an order is placed."""

from datetime import datetime, timedelta
from http import HTTPMethod, HTTPStatus

from sqlalchemy.orm import Session

from console.http.api.answers import HeldCoupons
from console.http.api.asked import CustomerId, LockAsk, OrderNumber, distinct
from console.http.api.endpoint import Call, Endpoint, Parameter, Place, with_key
from console.http.api.once import answered_once
from console.http.api.problems import Json
from offers.service.quotes import coupons_of
from offers.service.redemptions import lock_coupons, unlock_coupons
from offers.states import HeldState


async def list_coupons(call: Call) -> Json:
    """The coupons that a customer holds, what ends first coming first.

    With `state`, given once or more, only those in one of these.
    """
    customer, states = call.values["customer"], call.values["state"]
    return await call.in_transaction(
        lambda session, _: Json(
            {"coupons": coupons_of(session, product_line_id=call.line_id, customer=customer, states=states or None)}
        )
    )


async def lock(call: Call) -> Json:
    """Keep coupons for an order that is being placed: all of them, or none.

    Until `seconds` have passed, the order is redeemed, or they are unlocked. Asked again, it keeps them for longer.
    """
    asked: LockAsk = call.body

    def work(session: Session, now: datetime) -> object:
        locked = lock_coupons(
            session,
            product_line_id=call.line_id,
            customer=asked.customer,
            order=asked.order,
            coupons=distinct(asked.coupons),
            until=now + timedelta(seconds=asked.seconds),
            now=now,
        )
        return {"coupons": locked}

    return await answered_once(call, "lock", work)


async def unlock(call: Call) -> Json:
    """Let go of whatever is locked for an order. Where nothing is, nothing happens."""
    order = call.values["order"]
    return await call.in_transaction(
        lambda session, now: Json(
            {"coupons": unlock_coupons(session, product_line_id=call.line_id, order=order, now=now)}
        )
    )


ENDPOINTS = (
    Endpoint(
        method=HTTPMethod.GET,
        path="/customers/{customer}/coupons",
        do=list_coupons,
        tag="coupons",
        parameters=(
            Parameter(name="customer", place=Place.PATH, type=CustomerId),
            Parameter(name="state", place=Place.QUERY, type=list[HeldState]),
        ),
        answer=HeldCoupons,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        method=HTTPMethod.POST,
        path="/locks",
        do=lock,
        tag="coupons",
        body=LockAsk,
        parameters=with_key(),
        answer=HeldCoupons,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        method=HTTPMethod.DELETE,
        path="/locks/{order}",
        do=unlock,
        tag="coupons",
        parameters=(Parameter(name="order", place=Place.PATH, type=OrderNumber),),
        answer=HeldCoupons,
    ),
)
