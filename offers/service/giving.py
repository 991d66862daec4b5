"""Coupons put into hands, a batch at a time: the offers are locked, what is left is read, and what fits is counted."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from models.queries import claims as rows
from models.queries.claims import New
from offers.claim_refusal import ClaimRefused, CountsMoved
from offers.claim_rules import Bucket, Stock, Terms, Wish, all_buckets
from offers.held import HeldCouponView
from offers.states import HeldState

Given = Sequence[HeldCouponView] | ClaimRefused


def give(session: Session, wishes: Sequence[Wish], *, now: datetime) -> Sequence[Given]:
    """To each in this order what it asks for, all of it, or why not. Their number changes no number of statements.

    Raises:
        CountsMoved: somebody counts without locking the offers; nothing may be kept of this transaction.
    """
    if not wishes:
        return []
    limits = all_buckets(wishes, now)
    stock = _stock(session, wishes, buckets=list(limits), now=now)
    refusals = [stock.take(wish) for wish in wishes]
    coupons = [
        (number, terms)
        for number, (wish, refusal) in enumerate(zip(wishes, refusals, strict=True))
        if refusal is None
        for terms in wish.given
    ]
    views = _hold(session, wishes, coupons, stock, limits)
    return [refusal or views[number] for number, refusal in enumerate(refusals)]


def _stock(session: Session, wishes: Sequence[Wish], *, buckets: Sequence[Bucket], now: datetime) -> Stock:
    standing = rows.lock(session, {terms.id for wish in wishes for terms in wish.offers})
    numbers = {wish.code for wish in wishes if wish.code is not None}
    points = {(wish.offers[0].id, wish.points_receipt) for wish in wishes if wish.points_receipt is not None}
    maybe_new = {wish.customer_id for wish in wishes if any(terms.newcomers for terms in wish.offers)}
    return Stock(
        now=now,
        standing=standing,
        counts=rows.counts(session, buckets) if buckets else {},
        codes=rows.lock_codes(session, numbers) if numbers else {},
        used_points=rows.used_points(session, points) if points else set(),
        buyers=rows.buyers(session, maybe_new) if maybe_new else frozenset(),
    )


def _hold(
    session: Session,
    wishes: Sequence[Wish],
    coupons: Sequence[tuple[int, Terms]],
    stock: Stock,
    limits: Mapping[Bucket, int],
) -> dict[int, list[HeldCouponView]]:
    """The coupons of each wish, by its place."""
    if not coupons:
        return {}
    new = [_new(wishes[number], terms, stock.now) for number, terms in coupons]
    held = rows.hold(session, new, claimed=stock.taken, counted=stock.counted, most=limits, now=stock.now)
    _require("codes", asked=len(stock.used_codes), done=held.codes)
    _require("claims of offers", asked=len(stock.taken), done=held.offers)
    _require("claims of customers, days and channels", asked=len(stock.counted), done=held.buckets)
    views: dict[int, list[HeldCouponView]] = {}
    for held_id, (number, terms), one in zip(held.ids, coupons, new, strict=True):
        views.setdefault(number, []).append(_view(held_id, wishes[number], terms, one, stock.now))
    return views


def _require(what: str, *, asked: int, done: int) -> None:
    if asked != done:
        raise CountsMoved(what=what, asked=asked, done=done)


def _new(wish: Wish, terms: Terms, now: datetime) -> New:
    valid_from, valid_to = terms.valid(now)
    return New(
        offer_id=terms.id,
        customer_id=wish.customer_id,
        source=wish.source,
        channel=wish.channel,
        valid_from=valid_from,
        valid_to=valid_to,
        package=None if wish.package is None else wish.package.offer,
        code=wish.code,
        trigger_order=wish.trigger_order,
        points_receipt=wish.points_receipt,
    )


def _view(held_id: int, wish: Wish, terms: Terms, new: New, now: datetime) -> HeldCouponView:
    return HeldCouponView(
        id=held_id,
        offer=terms.name,
        state=HeldState.ISSUED,
        source=new.source,
        claimed_at=now,
        valid_from=new.valid_from,
        valid_to=new.valid_to,
        package=None if wish.package is None else wish.package.name,
    )
