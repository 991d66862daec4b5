"""What quotes and redemptions are answered, as plain values. Amounts are minor units; offers are named THEME/OFFER."""

from typing import Any

from offers.quote_answer import LANGUAGES, told_price, told_reason
from offers.reason import Reason
from offers.redemption import RedemptionView, RefundView
from offers.refusals import NotUsable, UseRefusal
from offers.service.quotes import CartOffer, CartOffers, Quoted


def told_quote(quoted: Quoted) -> dict[str, Any]:
    price = told_price(quoted.choice.price)
    return {
        **price,
        "optimal": quoted.choice.optimal,
        "customer_known": quoted.customer_known,
        "offers": {
            name: {"title": offer.title, "kind": offer.kind, "held": offer.held, "code": offer.code}
            for name, offer in quoted.offers.items()
        },
        "not_usable": [told_unusable(one) for one in quoted.problems],
    }


def told_offers(found: CartOffers) -> dict[str, Any]:
    return {"quote": told_quote(found.quoted), "offers": [_offer(one) for one in found.offers]}


def told_unusable(one: NotUsable) -> dict[str, Any]:
    return {"offer": one.offer, "held": one.held, "code": one.code, **_use_refusal(one.why)}


def _offer(one: CartOffer) -> dict[str, Any]:
    return {
        "offer": one.name,
        "title": one.title,
        "kind": one.kind,
        "held": one.held,
        "applied": one.applied,
        "saves": one.saves,
        "alone": one.alone,
        "claimable": one.claimable,
        "why": None if one.why is None else _why(one.why),
    }


def _why(why: Reason | UseRefusal) -> dict[str, Any]:
    if isinstance(why, Reason):
        return told_reason(why)
    return {"reason": why, "needed": None, "found": None, "others": [], "words": _words(why)}


def _use_refusal(why: UseRefusal) -> dict[str, Any]:
    return {"why": why, "words": _words(why)}


def _words(why: UseRefusal) -> dict[str, str]:
    return {language: NotUsable(why=why).in_words(language) for language in LANGUAGES}


def told_redemption(found: RedemptionView) -> dict[str, Any]:
    return {
        "order": found.order,
        "state": found.state,
        "channel": found.channel,
        "customer": found.customer,
        "cart": found.cart,
        "list_total": found.list_total,
        "discount": found.discount,
        "freight": found.freight_list - found.freight_discount,
        "freight_discount": found.freight_discount,
        "payable": found.payable,
        "refunded": found.refunded,
        "new_customer": found.new_customer,
        "redeemed_at": found.redeemed_at,
        "cancelled_at": found.cancelled_at,
        "uses": [
            {
                "offer": use.offer,
                "held": use.held,
                "off": use.off,
                "freight_off": use.freight_off,
                "given_back": use.given_back,
            }
            for use in found.uses
        ],
    }


def told_refund(found: RefundView) -> dict[str, Any]:
    return {
        "policy": found.policy,
        "goods": found.goods,
        "freight": found.freight,
        "total": found.total,
        "redemption": told_redemption(found.redemption),
    }
