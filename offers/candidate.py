"""Which offers may take effect on somebody's cart, before anything is priced; and why the others may not."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from offers.live_rule import LiveRule, Taken
from offers.refusals import NotUsable, UseRefusal
from offers.rule import Rule
from offers.states import HeldState
from themes.theme import RedeemIn

_ENDED: Mapping[HeldState, UseRefusal] = MappingProxyType(
    {
        HeldState.USED: UseRefusal.USED,
        HeldState.EXPIRED: UseRefusal.EXPIRED,
        HeldState.VOID: UseRefusal.VOID,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InHand:
    """A coupon that the customer holds."""

    id: int
    offer_id: int
    state: HeldState
    valid_from: datetime
    valid_to: datetime
    locked_for: str | None = None
    locked_until: datetime | None = None

    def refused(self, *, now: datetime, order: str | None = None) -> UseRefusal | None:
        """Whether it can be used, for `order` where one is being placed. A lock holds until its time has passed."""
        if self.state in _ENDED:
            return _ENDED[self.state]
        held_back = self.locked_until is None or now < self.locked_until
        if self.state is HeldState.LOCKED and self.locked_for != order and held_back:
            return UseRefusal.LOCKED
        if now < self.valid_from:
            return UseRefusal.NOT_YET
        return UseRefusal.EXPIRED if now >= self.valid_to else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer that may take effect: an activity, a coupon in hand, or one that a code (its place) would bring."""

    live: LiveRule
    rule: Rule
    held: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who buys, where and when. `newcomer` means nothing while nobody is known."""

    channel: RedeemIn
    known: bool
    newcomer: bool
    now: datetime
    order: str | None = None


def of_activity(live: LiveRule, taken: Taken, buyer: Buyer) -> Candidate | NotUsable:
    why = (
        live.refused_as_activity(buyer.now)
        or live.refused_in(buyer.channel)
        or live.refused_by_limits(taken, channel=buyer.channel, customer_known=buyer.known)
    )
    if why is None and live.rule is not None:
        return Candidate(live=live, rule=live.rule)
    return NotUsable(why=why or UseRefusal.UNKNOWN, offer=live.name)


def of_coupon(live: LiveRule, coupon: InHand, buyer: Buyer) -> Candidate | NotUsable:
    why = coupon.refused(now=buyer.now, order=buyer.order) or _refused_coupon(live, buyer)
    if why is None and live.rule is not None:
        ends = coupon.valid_to  # where it has no days of its own, that is the offer's end
        rule = live.rule if live.rule.expires == ends else replace(live.rule, expires=ends)
        return Candidate(live=live, rule=rule, held=coupon.id)
    return NotUsable(why=why or UseRefusal.NO_EFFECT, offer=live.name, held=coupon.id)


def of_code(live: LiveRule, code: int, taken: Taken, buyer: Buyer) -> Candidate | NotUsable:
    """A coupon that is not claimed yet: the limits of its claim count, and whether it could be used at once."""
    why = (
        (UseRefusal.NO_CUSTOMER if not buyer.known else None)
        or live.refused_as_claim(buyer.now)
        or live.refused_by_limits(taken, channel=buyer.channel, customer_known=buyer.known)
        or (UseRefusal.NOT_YET if live.valid_from is not None and buyer.now < live.valid_from else None)
        or _refused_coupon(live, buyer)
    )
    if why is None and live.rule is not None:
        return Candidate(live=live, rule=live.rule, code=code)
    return NotUsable(why=why or UseRefusal.NO_EFFECT, offer=live.name, code=code)


def _refused_coupon(live: LiveRule, buyer: Buyer) -> UseRefusal | None:
    if (why := live.refused_in(buyer.channel)) is not None:
        return why
    return UseRefusal.NOT_NEWCOMER if live.newcomers and not buyer.newcomer else None


def one_of_each(found: Iterable[Candidate], forced: Collection[int]) -> Sequence[Candidate]:
    """An offer is used once in an order: of several coupons the one that was ticked, or else that comes first."""
    chosen: dict[str, Candidate] = {}
    for one in found:
        if one.live.name not in chosen or (one.held in forced and chosen[one.live.name].held not in forced):
            chosen[one.live.name] = one
    return list(chosen.values())


def rules_with_pairs(found: Iterable[Candidate], pairs: Mapping[str, Collection[str]]) -> Iterator[Rule]:
    """Their rules, with what was excluded since their revisions were approved."""
    for one in found:
        more = pairs.get(one.live.name)
        yield one.rule if not more else replace(one.rule, excludes=one.rule.excludes | set(more))
