"""All that is known about a cart at one moment: the offers that it meets, its customer, what the catalogue adds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.queries import live_rules
from models.queries.live_rules import Asked, CartFacts
from offers.candidate import Buyer
from offers.cart import Cart
from offers.live_cart import completed
from offers.live_rule import NOTHING, LiveRule, Taken
from offers.service.live_rules import LiveRules, RuleBook
from themes.theme import RedeemIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A cart, and whose it is. `held` are coupons to be looked at whatever became of them, `all_held` adds the open."""

    product_line_id: int
    cart: Cart
    channel: RedeemIn
    customer: str | None
    now: datetime
    held: Collection[int] = ()
    all_held: bool = False
    order: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`live` are the offers by id, also those that only a coupon of hers still knows of."""

    rules: LiveRules
    live: Mapping[int, LiveRule]
    facts: CartFacts
    cart: Cart
    buyer: Buyer

    @property
    def by_name(self) -> Mapping[str, LiveRule]:
        return self.rules.by_name if self.live is self.rules.rules else {one.name: one for one in self.live.values()}

    def taken(self, live: LiveRule) -> Taken:
        return self.facts.taken.get(live.id, NOTHING)

    def pairs(self) -> Mapping[str, set[str]]:
        """Which offers files of other themes exclude, whenever they were stored."""
        themes, found = self.rules.themes, dict[str, set[str]]()
        for one_theme, one, other_theme, other in self.facts.pairs:
            names = f"{themes[one_theme]}/{one}", f"{themes[other_theme]}/{other}"
            for name, rival in (names, names[::-1]):
                found.setdefault(name, set()).add(rival)
        return found


def see(session: Session, book: RuleBook, question: Question) -> Seen:
    """One statement, unless the live offers have changed since they were last looked at."""
    line_id, now = question.product_line_id, question.now
    rules = book.held(session, product_line_id=line_id, now=now)
    facts = live_rules.facts(session, _asked(rules, question))
    while facts.version != rules.version:
        rules = book.read(session, product_line_id=line_id, now=now)
        facts = live_rules.facts(session, _asked(rules, question))
    buyer = Buyer(
        channel=question.channel,
        known=facts.customer_id is not None,
        newcomer=facts.newcomer,
        now=now,
        order=question.order,
    )
    return Seen(
        rules=rules,
        live=_with_old(session, book, rules, facts),
        facts=facts,
        cart=completed(question.cart, facts.products, least_margin_bp=facts.least_margin_bp),
        buyer=buyer,
    )


def _with_old(session: Session, book: RuleBook, rules: LiveRules, facts: CartFacts) -> Mapping[int, LiveRule]:
    missing = {coupon.offer_id for coupon in facts.held} - rules.rules.keys()
    return {**rules.rules, **book.of(session, missing)} if missing else rules.rules


def _asked(rules: LiveRules, question: Question) -> Asked:
    return Asked(
        product_line_id=question.product_line_id,
        customer=question.customer,
        channel=question.channel,
        skus={line.sku for line in question.cart.lines if line.sku is not None},
        held=question.held,
        all_held=question.all_held,
        limited=rules.limited,
        counted={live.id: live.today(question.now) for live in rules.counted},
        themes=rules.themes,
        newcomers=rules.has_newcomers,
        order=question.order,
        now=question.now,
    )
