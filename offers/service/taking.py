"""The offers of one order, taken under their locks: budgets, totals and limits count, coupons are used.

Whoever changes several rows locks them in one order: live offers by id, coupons by id, codes, counts, the customer.
What each may still give is part of the statement that counts it; a second look tells why it gave nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy.orm import Session

from models.queries import claims as claim_rows
from models.queries import held_coupons, redemptions
from models.queries.redemptions import NewRedemption
from offers.candidate import Candidate
from offers.claim_rules import Standing
from offers.live_cart import cost_of, told
from offers.live_rule import REFUSED_WHEN, LiveRule
from offers.preset import OfferKind
from offers.pricing import Price
from offers.redemption import UseView
from offers.refusals import NotUsable, OfferUnusable, OrderTaken, UseRefusal
from offers.service.claims import Claim, settle
from offers.service.seeing import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be taken: each offer once, at a price that was worked out for just these."""

    product_line_id: int
    number: str
    customer: str | None
    codes: Sequence[str]
    wanted: Sequence[Candidate]
    price: Price
    now: datetime


def take(session: Session, seen: Seen, order: Order) -> None:
    """Write the order down with all that it uses.

    Raises:
        OfferUnusable, ClaimRefused, OrderTaken
    """
    standing = claim_rows.lock(session, [one.live.id for one in order.wanted])
    try:
        held = _claim_by_codes(session, seen, order)
        uses = _uses(order, held)
        _count_uses(session, order, uses, standing)
        _use_coupons(session, seen, order, held)
        _count_limits(session, seen, order)
        _write(session, seen, order, uses)
    except OfferUnusable:
        # Of two requests for one order the later one finds its coupons used: that is not what it has to hear.
        if redemptions.is_taken(session, product_line_id=order.product_line_id, order=order.number):
            raise OrderTaken(order=order.number) from None
        raise


def _claim_by_codes(session: Session, seen: Seen, order: Order) -> Mapping[int, int]:
    """The coupon that stands for each offer, by its id; those that only a code brings are claimed now."""
    held = {one.live.id: one.held for one in order.wanted if one.held is not None}
    coded = [(one.live.id, one.code) for one in order.wanted if one.code is not None and one.held is None]
    if not coded or order.customer is None:
        return held
    claims = [
        Claim(
            key=_key(order, at),
            request_hash=sha256(order.codes[at].encode()).hexdigest(),
            customer=order.customer,
            channel=seen.buyer.channel,
            code=order.codes[at],
        )
        for _, at in coded
    ]
    settled = settle(session, claims, product_line_id=order.product_line_id, now=order.now)
    for (offer_id, _), one in zip(coded, settled, strict=True):
        if one.refusal is not None:
            raise one.refusal
        held[offer_id] = one.coupons[0].id
    return held


def _key(order: Order, at: int) -> str:
    """Of a claim that is part of an order: the order's own number may be as long as a key."""
    return f"redemption {sha256(order.number.encode()).hexdigest()} code {at}"


def _uses(order: Order, held: Mapping[int, int]) -> Sequence[UseView]:
    ids = {one.live.name: one.live.id for one in order.wanted}
    return [
        UseView(
            offer_id=ids[step.rule_id],
            offer=step.rule_id,
            held=held.get(ids[step.rule_id]),
            off=sum(step.off),
            freight_off=step.freight_off,
        )
        for step in order.price.applied
    ]


def _count_uses(session: Session, order: Order, uses: Sequence[UseView], standing: Mapping[int, Standing]) -> None:
    taken = redemptions.take(session, {use.offer_id: use.total for use in uses})
    for one in order.wanted:
        if one.live.id not in taken:
            raise OfferUnusable(_problem(one, _why_not_counted(one.live, standing[one.live.id])))


def _why_not_counted(live: LiveRule, standing: Standing) -> UseRefusal:
    if live.kind is OfferKind.ACTIVITY:
        if standing.closed is not None:
            return REFUSED_WHEN[standing.closed]
        if live.limits.total is not None and standing.claimed >= live.limits.total:
            return UseRefusal.SOLD_OUT
    return UseRefusal.BUDGET_SPENT


def _use_coupons(session: Session, seen: Seen, order: Order, held: Mapping[int, int]) -> None:
    customer_id = seen.facts.customer_id
    if not held or customer_id is None:
        return
    held_coupons.hold(session, held.values())
    used = held_coupons.use(session, held.values(), customer_id=customer_id, order=order.number, now=order.now)
    for one in order.wanted:
        coupon_id = held.get(one.live.id)
        if coupon_id is not None and coupon_id not in used:
            why = why_not_taken(session, coupon_id, customer_id=customer_id, order=order.number, now=order.now)
            raise OfferUnusable(NotUsable(why=why, offer=one.live.name, held=coupon_id))


def why_not_taken(session: Session, coupon_id: int, *, customer_id: int, order: str, now: datetime) -> UseRefusal:
    """The second look at a coupon that a guard would not give to an order."""
    coupon = held_coupons.in_hand(session, [coupon_id], customer_id=customer_id).get(coupon_id)
    why = coupon.refused(now=now, order=order) if coupon else UseRefusal.UNKNOWN
    return why or UseRefusal.LOCKED


def _count_limits(session: Session, seen: Seen, order: Order) -> None:
    """Of activities; a coupon's limits were counted at its claim."""
    wanted = {
        bucket: (one, why)
        for one in order.wanted
        if one.live.kind is OfferKind.ACTIVITY
        for bucket, why in one.live.buckets(
            customer_id=seen.facts.customer_id, channel=seen.buyer.channel, at=order.now
        )
    }
    counted = redemptions.count(session, list(wanted)) if wanted else ()
    for bucket, (one, why) in wanted.items():
        if bucket not in counted:
            raise OfferUnusable(_problem(one, why))


def _write(session: Session, seen: Seen, order: Order, uses: Sequence[UseView]) -> None:
    customer_id = seen.facts.customer_id
    if customer_id is not None:
        redemptions.hold_customer(session, customer_id)
    is_first = redemptions.add(session, _new(seen, order, uses), now=order.now)
    if is_first is None:
        raise OrderTaken(order=order.number)
    for one in order.wanted:
        if one.live.newcomers and not is_first:
            raise OfferUnusable(_problem(one, UseRefusal.NOT_NEWCOMER))


def _new(seen: Seen, order: Order, uses: Sequence[UseView]) -> NewRedemption:
    found = order.price
    return NewRedemption(
        product_line_id=order.product_line_id,
        order=order.number,
        customer_id=seen.facts.customer_id,
        channel=seen.buyer.channel,
        cart=told(found.cart, found.lines),
        rules=[_rule(one.live) for one in order.wanted],
        list_total=found.list_total,
        freight_list=found.cart.freight,
        discount=found.discount,
        freight_discount=found.freight_discount,
        payable=found.payable,
        cost=cost_of(found.cart, seen.facts.products),
        uses=uses,
    )


def _rule(live: LiveRule) -> Mapping[str, object]:
    theme, _, offer = live.name.partition("/")
    return {"theme": theme, "revision": live.revision_id, "offer": offer}


def _problem(one: Candidate, why: UseRefusal) -> NotUsable:
    return NotUsable(why=why, offer=one.live.name, held=one.held, code=one.code)
