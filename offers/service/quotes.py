"""What a cart costs under the offers of launched themes, and which coupons of the customer's make it cheapest."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.queries import claims, held_coupons
from offers.candidate import Candidate, of_activity, of_coupon, one_of_each, rules_with_pairs
from offers.cart import Cart
from offers.combination import Choice, Mode, choose
from offers.held import HeldCouponView
from offers.live_rule import LiveRule
from offers.preset import ClaimWay, OfferKind
from offers.pricing import Applied, price
from offers.reason import Reason
from offers.refusals import CustomerUnknown, NotUsable, UseRefusal
from offers.rule import Rule
from offers.service.live_rules import RuleBook
from offers.service.seeing import Question, Seen, see
from offers.service.typed_codes import candidate_of, read_codes
from offers.states import HeldState
from themes.theme import RedeemIn

#: Ways of claiming in which something is given for the coupon.
NEEDS_MORE = frozenset({ClaimWay.CODE, ClaimWay.POINTS, ClaimWay.ORDER})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteAsked:
    """`customer` is her id in the shop, None a guest. `coupons` are held ones, None all; `forced` those she ticked."""

    cart: Cart
    channel: RedeemIn
    customer: str | None = None
    coupons: tuple[int, ...] | None = None
    codes: tuple[str, ...] = ()
    mode: Mode = Mode.BEST
    forced: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnOffer:
    """An offer that was priced: `held` is the coupon that stands for it, `code` the place of a code that was typed."""

    name: str
    title: str
    kind: OfferKind
    held: int | None
    code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """Offers by THEME/OFFER. `problems` tell of what was not even priced.

    `customer_known` is False for a guest, and for somebody whom the product line does not know (yet).
    """

    choice: Choice
    customer_known: bool
    offers: Mapping[str, OnOffer]
    problems: Sequence[NotUsable]


@dataclass(frozen=True, slots=True, kw_only=True)
class CartOffer:
    """What an offer does for a cart, or why it does nothing.

    Minor units: `saves` beside the others that apply, `alone` with nothing else. `claimable`: not held, but could be.
    """

    name: str
    title: str
    kind: OfferKind
    held: int | None
    applied: bool
    saves: int
    alone: int
    why: Reason | UseRefusal | None
    claimable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CartOffers:
    quoted: Quoted
    offers: Sequence[CartOffer]


def quote(session: Session, book: RuleBook, asked: QuoteAsked, *, product_line_id: int, now: datetime) -> Quoted:
    """Price a cart under the activities that run and the coupons that she holds, as far as their budgets cover it.

    Raises:
        ForcedExcluded: two coupons that she ticked may not be used together.
    """
    seen, found, problems = _candidates(session, book, asked, product_line_id=product_line_id, now=now)
    return _priced(seen, asked, found, problems)


def offers_for_cart(
    session: Session, book: RuleBook, asked: QuoteAsked, *, product_line_id: int, now: datetime
) -> CartOffers:
    """The same, and of each offer what it does for the cart; of one that does nothing, why, and what is missing.

    Told are the activities that run, what she holds, and the coupons that she could claim.

    Raises:
        ForcedExcluded
    """
    seen, found, problems = _candidates(session, book, asked, product_line_id=product_line_id, now=now)
    quoted = _priced(seen, asked, found, problems)
    told = {one.live.name: _of_priced(seen, quoted, one) for one in found}
    by_name = {live.name: live for live in seen.live.values()}
    for problem in quoted.problems:
        if problem.offer is not None and problem.offer in by_name:
            told.setdefault(problem.offer, _of_problem(by_name[problem.offer], problem))
    for live in seen.rules.rules.values():
        if live.name not in told and _is_claimable(seen, live):
            told[live.name] = _of_claimable(seen, live)
    return CartOffers(quoted=quoted, offers=sorted(told.values(), key=lambda one: (-one.saves, -one.alone, one.name)))


def coupons_of(
    session: Session, *, product_line_id: int, customer: str, states: Collection[HeldState] | None = None
) -> Sequence[HeldCouponView]:
    """What a customer holds, what ends first coming first; in any state unless told.

    Raises:
        CustomerUnknown
    """
    customer_id = claims.customer_id(session, customer, product_line_id=product_line_id)
    if customer_id is None:
        raise CustomerUnknown(customer=customer)
    return held_coupons.of_customer(session, customer_id=customer_id, states=states or list(HeldState))


def _candidates(
    session: Session, book: RuleBook, asked: QuoteAsked, *, product_line_id: int, now: datetime
) -> tuple[Seen, Sequence[Candidate], Sequence[NotUsable]]:
    question = Question(
        product_line_id=product_line_id,
        cart=asked.cart,
        channel=asked.channel,
        customer=asked.customer,
        now=now,
        held={*(asked.coupons or ()), *asked.forced},
        all_held=asked.coupons is None or bool(asked.codes),
    )
    seen = see(session, book, question)
    typed = read_codes(session, asked.codes, product_line_id=product_line_id)
    found = [*_in_hand(seen, asked), *(candidate_of(seen, code) for code in typed), *_activities(seen)]
    candidates = [one for one in found if isinstance(one, Candidate)]
    problems = [one for one in found if isinstance(one, NotUsable)]
    return seen, one_of_each(candidates, asked.forced), problems


def _in_hand(seen: Seen, asked: QuoteAsked) -> Iterator[Candidate | NotUsable]:
    """Her coupons: those that were named, or all."""
    named = {*(asked.coupons or ()), *asked.forced}
    for coupon in seen.facts.held:
        if asked.coupons is None or coupon.id in named:
            yield of_coupon(seen.live[coupon.offer_id], coupon, seen.buyer)
    hers = {coupon.id for coupon in seen.facts.held}
    yield from (NotUsable(why=UseRefusal.UNKNOWN, held=one) for one in sorted(named - hers))


def _activities(seen: Seen) -> Iterator[Candidate | NotUsable]:
    return (of_activity(live, seen.taken(live), seen.buyer) for live in seen.rules.activities)


def _priced(seen: Seen, asked: QuoteAsked, found: Sequence[Candidate], problems: Sequence[NotUsable]) -> Quoted:
    """The choice among them; whatever would take off more than its budget has left is not among them."""
    pairs = seen.pairs()
    left = [one for one in found if one.live.leaves(seen.taken(one.live), 1)]
    spent = [*problems, *(_over(one) for one in found if one not in left)]
    while True:
        forced = [one.live.name for one in left if one.held in asked.forced]
        choice = choose(seen.cart, list(rules_with_pairs(left, pairs)), mode=asked.mode, forced=forced)
        over = {step.rule_id for step in choice.price.applied if _is_over_budget(seen, step)}
        if not over:
            break
        spent += [_over(one) for one in left if one.live.name in over]
        left = [one for one in left if one.live.name not in over]
    offers = {one.live.name: _on_offer(one) for one in left}
    return Quoted(choice=choice, customer_known=seen.buyer.known, offers=offers, problems=spent)


def _is_over_budget(seen: Seen, step: Applied) -> bool:
    live = seen.by_name[step.rule_id]
    return not live.leaves(seen.taken(live), sum(step.off) + step.freight_off)


def _over(one: Candidate) -> NotUsable:
    return NotUsable(why=UseRefusal.BUDGET_SPENT, offer=one.live.name, held=one.held, code=one.code)


def _on_offer(one: Candidate) -> OnOffer:
    return OnOffer(name=one.live.name, title=one.live.title, kind=one.live.kind, held=one.held, code=one.code)


def _of_priced(seen: Seen, quoted: Quoted, one: Candidate) -> CartOffer:
    found = quoted.choice.price
    name = one.live.name
    problem = next((problem.why for problem in quoted.problems if problem.offer == name), None)
    return _told(
        one.live,
        held=one.held,
        applied=next((step for step in found.applied if step.rule_id == name), None),
        alone=_alone(seen, one.rule),
        why=found.left_out.get(name) or problem,
    )


def _of_problem(live: LiveRule, problem: NotUsable) -> CartOffer:
    return _told(live, held=problem.held, why=problem.why)


def _of_claimable(seen: Seen, live: LiveRule) -> CartOffer:
    rule = live.rule
    alone = 0 if rule is None else _alone(seen, rule)
    missing = None if rule is None or alone else price(seen.cart, [rule]).left_out.get(live.name)
    return _told(live, alone=alone, why=missing, claimable=True)


def _is_claimable(seen: Seen, live: LiveRule) -> bool:
    """Whether she could claim it for nothing, and use it here."""
    buyer = seen.buyer
    return (
        live.kind is OfferKind.COUPON
        and live.rule is not None
        and live.claim_way not in NEEDS_MORE
        and buyer.known
        and live.refused_as_claim(buyer.now) is None
        and live.refused_in(buyer.channel) is None
        and (buyer.newcomer or not live.newcomers)
        and live.refused_by_limits(seen.taken(live), channel=buyer.channel, customer_known=True) is None
        and live.leaves(seen.taken(live), 1)
    )


def _alone(seen: Seen, rule: Rule) -> int:
    found = price(seen.cart, [rule])
    return found.discount + found.freight_discount


def _told(
    live: LiveRule,
    *,
    held: int | None = None,
    applied: Applied | None = None,
    alone: int = 0,
    why: Reason | UseRefusal | None = None,
    claimable: bool = False,
) -> CartOffer:
    return CartOffer(
        name=live.name,
        title=live.title,
        kind=live.kind,
        held=held,
        applied=applied is not None,
        saves=0 if applied is None else sum(applied.off) + applied.freight_off,
        alone=alone,
        why=why,
        claimable=claimable,
    )
