"""What a cart costs, and which offers there are for it. Nothing is taken by asking."""

from http import HTTPMethod, HTTPStatus

from console.http.api.answers import CartOffersTold, QuoteTold
from console.http.api.asked import QuoteAsk, distinct
from console.http.api.endpoint import Call, Endpoint
from console.http.api.problems import Json
from console.http.api.told import told_offers, told_quote
from offers.service.quotes import QuoteAsked, offers_for_cart, quote


async def price_cart(call: Call) -> Json:
    """What the best legal combination makes of a cart.

    Line by line: which offer takes what off, and why each other one does not apply.
    """
    asked = _asked(call)
    return await call.looking(
        lambda session, now: Json(
            told_quote(quote(session, call.desk.book, asked, product_line_id=call.line_id, now=now))
        )
    )


async def list_offers_for_cart(call: Call) -> Json:
    """The same, and of every offer what it does for this cart, or what is missing for it."""
    asked = _asked(call)
    return await call.looking(
        lambda session, now: Json(
            told_offers(offers_for_cart(session, call.desk.book, asked, product_line_id=call.line_id, now=now))
        )
    )


def _asked(call: Call) -> QuoteAsked:
    asked: QuoteAsk = call.body
    return QuoteAsked(
        cart=asked.cart.cart(),
        channel=call.caller.channel,
        customer=asked.customer,
        coupons=None if asked.coupons is None else distinct(asked.coupons),
        codes=asked.codes,
        mode=asked.mode,
        forced=distinct(asked.forced),
    )


ENDPOINTS = (
    Endpoint(
        method=HTTPMethod.POST,
        path="/quotes",
        do=price_cart,
        tag="quotes",
        body=QuoteAsk,
        answer=QuoteTold,
        refusals=(HTTPStatus.CONFLICT,),
    ),
    Endpoint(
        method=HTTPMethod.POST,
        path="/offers-for-cart",
        do=list_offers_for_cart,
        tag="quotes",
        body=QuoteAsk,
        answer=CartOffersTold,
        refusals=(HTTPStatus.CONFLICT,),
    ),
)
