"""Orders take their offers, give them back, are refunded; coupons are locked while an order is being placed.

Whoever changes several rows locks them in one order: the redemption, live offers by id, coupons by id, counts.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

from sqlalchemy.orm import Session

from models.queries import claims as claim_rows
from models.queries import held_coupons, redemptions
from offers.candidate import Candidate, of_activity, of_coupon, rules_with_pairs
from offers.cart import Cart
from offers.claim_rules import Bucket
from offers.errors import OfferError
from offers.held import HeldCouponView
from offers.live_rule import LiveRule
from offers.preset import OfferKind
from offers.pricing import Price, price
from offers.redemption import RedemptionView, RefundView, UseView
from offers.refund import Refund, RefundPolicy, prorated, repriced
from offers.refusals import (
    AlreadyCancelled,
    AlreadyRefunded,
    CustomerUnknown,
    ExcludedTogether,
    NotUsable,
    OfferUnusable,
    OrderTaken,
    OrderUnknown,
    PriceChanged,
    RefundTooMuch,
    UseRefusal,
)
from offers.rule import excluded
from offers.service.live_rules import RuleBook
from offers.service.orders import take_back_triggered
from offers.service.seeing import Question, Seen, see
from offers.service.taking import Order, take, why_not_taken
from offers.service.typed_codes import TypedCode, candidate_of, read_codes
from themes.theme import RedeemIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem:
    """An order, with exactly the offers that its customer was shown: held coupons, codes, activities (THEME/OFFER).

    `payable` is what she was shown, in minor units; `customer` her id in the shop, None a guest.
    """

    order: str
    channel: RedeemIn
    cart: Cart
    payable: int
    customer: str | None = None
    coupons: tuple[int, ...] = ()
    codes: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()


def redeem(session: Session, book: RuleBook, asked: Redeem, *, product_line_id: int, now: datetime) -> RedemptionView:
    """Take the offers of an order: all of them, at the price that was shown, or none.

    Raises:
        OrderTaken, CustomerUnknown
        OfferUnusable: one of the offers cannot be used, or takes no effect on this cart.
        ClaimRefused: a code brings no coupon.
        ExcludedTogether: two of them exclude each other, maybe since the quote.
        PriceChanged: they come to another price.
    """
    question = Question(
        product_line_id=product_line_id,
        cart=asked.cart,
        channel=asked.channel,
        customer=asked.customer,
        now=now,
        held=asked.coupons,
        all_held=bool(asked.codes),
        order=asked.order,
    )
    seen = see(session, book, question)
    if seen.facts.order_taken:
        raise OrderTaken(order=asked.order)
    if asked.customer is not None and not seen.buyer.known:
        raise CustomerUnknown(customer=asked.customer)
    typed = read_codes(session, asked.codes, product_line_id=product_line_id)
    wanted = _wanted(seen, asked, typed)
    order = Order(
        product_line_id=product_line_id,
        number=asked.order,
        customer=asked.customer,
        codes=asked.codes,
        wanted=wanted,
        price=_priced(seen, wanted, shown=asked.payable),
        now=now,
    )
    take(session, seen, order)
    return redemption_of(session, product_line_id=product_line_id, order=asked.order)


def redemption_of(session: Session, *, product_line_id: int, order: str) -> RedemptionView:
    """Raises OrderUnknown."""
    found = redemptions.find(session, product_line_id=product_line_id, order=order)
    if found is None:
        raise OrderUnknown(order=order)
    return found


def cancel(session: Session, book: RuleBook, *, product_line_id: int, order: str, now: datetime) -> RedemptionView:
    """Cancel a whole order: its uses are given back, unless the offer says not, and what it has brought is taken back.

    A coupon comes back as expired where its time has passed, and as void where its theme was taken down with it.

    Raises:
        OrderUnknown
        AlreadyCancelled
        AlreadyRefunded: something of it came back before.
    """
    cancelled = redemptions.cancel(session, product_line_id=product_line_id, order=order, now=now)
    found = redemption_of(session, product_line_id=product_line_id, order=order)
    if not cancelled:
        raise _why_not_cancelled(found)
    _give_back(session, book, found, now)
    take_back_triggered(session, product_line_id=product_line_id, order_number=order, now=now)
    return redemption_of(session, product_line_id=product_line_id, order=order)


def refund(
    session: Session, book: RuleBook, *, product_line_id: int, order: str, units: Mapping[int, int], now: datetime
) -> RefundView:
    """Pay back units of lines: what each cost, or what the rest is worth less where an offer says so.

    Raises:
        OrderUnknown, AlreadyCancelled
        LineUnknown: the order has no such line.
        ReturnTooLarge: so many units are not left of it.
        RefundTooMuch: more than was paid.
    """
    redemptions.hold(session, product_line_id=product_line_id, order=order)
    found = redemption_of(session, product_line_id=product_line_id, order=order)
    if found.cancelled_at is not None:
        raise AlreadyCancelled(order=order, at=found.cancelled_at)
    policy, paid_back = _worked_out(session, book, found, units)
    added = redemptions.add_refund(
        session, found.id, units=units, policy=policy, goods=paid_back.goods, freight=paid_back.freight, now=now
    )
    if not added:
        raise RefundTooMuch(order=order, refund=paid_back.total)
    return RefundView(
        policy=policy,
        goods=paid_back.goods,
        freight=paid_back.freight,
        redemption=redemption_of(session, product_line_id=product_line_id, order=order),
    )


def lock_coupons(
    session: Session,
    *,
    product_line_id: int,
    customer: str,
    order: str,
    coupons: Collection[int],
    until: datetime,
    now: datetime,
) -> Sequence[HeldCouponView]:
    """Keep coupons for an order that is being placed: all of them, or none. Asked again, it keeps them for longer.

    Raises:
        CustomerUnknown
        OfferUnusable: one of them is not hers, not usable, or locked for another order.
    """
    customer_id = claim_rows.customer_id(session, customer, product_line_id=product_line_id)
    if customer_id is None:
        raise CustomerUnknown(customer=customer)
    ids = sorted(set(coupons))
    held_coupons.hold(session, ids)
    locked = held_coupons.lock(session, ids, customer_id=customer_id, order=order, until=until, now=now)
    for missing in sorted(set(ids) - set(locked)):
        why = why_not_taken(session, missing, customer_id=customer_id, order=order, now=now)
        raise OfferUnusable(NotUsable(why=why, held=missing))
    return held_coupons.by_ids(session, ids)


def unlock_coupons(
    session: Session, *, product_line_id: int, order: str, coupons: Collection[int] | None = None, now: datetime
) -> Sequence[HeldCouponView]:
    """Let go of what was locked for an order, of these coupons or all. What is not locked for it stays as it is."""
    ids = held_coupons.hold_of_order(session, product_line_id=product_line_id, order=order, ids=coupons)
    return held_coupons.by_ids(session, held_coupons.unlock(session, ids, order=order, now=now))


def _wanted(seen: Seen, asked: Redeem, typed: Sequence[TypedCode]) -> Sequence[Candidate]:
    """The offers of the order, each once, as far as is known before they are locked.

    Raises:
        OfferUnusable
    """
    wanted: dict[str, Candidate] = {}
    for one in _named(seen, asked, typed):
        if isinstance(one, NotUsable):
            raise OfferUnusable(one)
        if one.live.name in wanted:
            raise OfferUnusable(NotUsable(why=UseRefusal.TWICE, offer=one.live.name, held=one.held, code=one.code))
        wanted[one.live.name] = one
    return list(wanted.values())


def _named(seen: Seen, asked: Redeem, typed: Sequence[TypedCode]) -> Iterator[Candidate | NotUsable]:
    hers = {coupon.id: coupon for coupon in seen.facts.held}
    for coupon_id in asked.coupons:
        coupon = hers.get(coupon_id)
        if coupon is None:
            yield NotUsable(why=UseRefusal.UNKNOWN, held=coupon_id)
        else:
            yield of_coupon(seen.live[coupon.offer_id], coupon, seen.buyer)
    yield from (candidate_of(seen, code) for code in typed)
    for name in asked.activities:
        live = seen.rules.by_name.get(name)
        if live is None or live.kind is not OfferKind.ACTIVITY:
            yield NotUsable(why=UseRefusal.UNKNOWN, offer=name)
        else:
            yield of_activity(live, seen.taken(live), seen.buyer)


def _priced(seen: Seen, wanted: Sequence[Candidate], *, shown: int) -> Price:
    """The price of exactly these.

    Raises:
        ExcludedTogether, OfferUnusable, PriceChanged
    """
    rules = list(rules_with_pairs(wanted, seen.pairs()))
    for one, other in combinations(rules, 2):
        if excluded(one, other):
            raise ExcludedTogether(pair=(min(one.id, other.id), max(one.id, other.id)))
    found = price(seen.cart, rules)
    for each in wanted:
        if (reason := found.left_out.get(each.live.name)) is not None:
            problem = NotUsable(why=UseRefusal.NO_EFFECT, offer=each.live.name, held=each.held, code=each.code)
            raise OfferUnusable(problem, reason=reason)
    if found.payable != shown:
        raise PriceChanged(shown=shown, found=found.payable)
    return found


def _why_not_cancelled(found: RedemptionView) -> OfferError:
    if found.cancelled_at is not None:
        return AlreadyCancelled(order=found.order, at=found.cancelled_at)
    return AlreadyRefunded(order=found.order, refunded=found.refunded)


def _give_back(session: Session, book: RuleBook, found: RedemptionView, now: datetime) -> None:
    live = book.of(session, [use.offer_id for use in found.uses])
    wanted = [use.offer_id for use in found.uses if live[use.offer_id].given_back]
    given = redemptions.mark_given_back(session, found.id, wanted)
    uses = [use for use in found.uses if use.offer_id in given]
    claim_rows.lock(session, [use.offer_id for use in uses])
    redemptions.give_back(session, {use.offer_id: use.total for use in uses})
    coupons = [use.held for use in uses if use.held is not None]
    held_coupons.hold(session, coupons)
    held_coupons.give_back(session, coupons, now=now)
    redemptions.give_back_counts(session, list(_buckets(found, uses, live)))


def _buckets(found: RedemptionView, uses: Sequence[UseView], live: Mapping[int, LiveRule]) -> Iterator[Bucket]:
    """What the uses of activities were counted in: on the day, and in the channel, of the order."""
    for use in uses:
        if live[use.offer_id].kind is OfferKind.ACTIVITY:
            counted = live[use.offer_id].buckets(
                customer_id=found.customer_id, channel=found.channel, at=found.redeemed_at
            )
            yield from (bucket for bucket, _ in counted)


def _worked_out(
    session: Session, book: RuleBook, found: RedemptionView, units: Mapping[int, int]
) -> tuple[RefundPolicy, Refund]:
    live = book.of(session, [use.offer_id for use in found.uses])
    rules = {offer_id: one.rule for offer_id, one in live.items() if one.rule is not None}
    before = redemptions.refunds(session, found.id)
    already: dict[int, int] = {}
    for returned, _ in before:
        for line, many in returned.items():
            already[line] = already.get(line, 0) + many
    paid = found.price(rules)
    if RefundPolicy.REPRICED not in {one.refund for one in live.values()}:
        return RefundPolicy.PRORATED, prorated(paid, units, already=already)
    refunded = sum(goods for _, goods in before)
    worked_out = repriced(paid, list(rules.values()), units, already=already, refunded=refunded)
    return RefundPolicy.REPRICED, worked_out
