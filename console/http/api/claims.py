"""Customers ask for coupons."""

from http import HTTPMethod, HTTPStatus

from console.http.api.answers import HeldCoupons
from console.http.api.asked import ClaimAsk
from console.http.api.endpoint import IDEMPOTENCY_KEY, Call, Endpoint, with_key
from console.http.api.once import hash_of
from console.http.api.problems import Json
from offers.service.claims import Claim


async def claim(call: Call) -> Json:
    """Give a coupon to a customer, or of a package one of each of its coupons.

    Claims that wait are settled together, and no limit is ever overrun.
    """
    asked: ClaimAsk = call.body
    settled = await call.desk.claims.settled(
        call.line_id,
        Claim(
            key=call.values[IDEMPOTENCY_KEY],
            request_hash=hash_of(call, "claim"),
            customer=asked.customer,
            offer=asked.offer,
            code=asked.code,
            channel=call.caller.channel,
            points_receipt=asked.points_receipt,
        ),
    )
    if settled.refusal is not None:
        raise settled.refusal
    return Json({"coupons": settled.coupons}, status_code=HTTPStatus.CREATED)


ENDPOINTS = (
    Endpoint(
        method=HTTPMethod.POST,
        path="/claims",
        do=claim,
        tag="claims",
        body=ClaimAsk,
        parameters=with_key(),
        status=HTTPStatus.CREATED,
        answer=HeldCoupons,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
