"""What an offer can cost at most, as far as its own terms tell. What only prices could tell is None: never a guess.

Amounts are minor units and shares basis points. Shares of the price are of the goods: an offer on freight takes nothing
off them. They are upper bounds, before rounding to money.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from math import prod
from typing import TypeVar

from offers.allocation import WHOLE
from offers.effect import (
    Amount,
    By,
    Cheapest,
    Effect,
    Every,
    FreightAmount,
    FreightFixed,
    FreightPercent,
    Percent,
    Step,
    Target,
    Tiers,
)
from offers.rule import Rule

BASIS_POINT = Decimal("0.0001")
#: With more offers than this in exclusions, the pairs are left out of account: a bound all the same, and at once.
MOST_EXCLUDED = 16

Pair = tuple[str, str]
#: The deepest discount, and the most that one use takes off.
Bounds = tuple[Decimal | None, int | None]
_UNKNOWN: Bounds = (None, None)
_Number = TypeVar("_Number", int, Decimal)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferTerms:
    """`total` bounds how often it is used: what each customer may have bounds nothing while nobody counts customers."""

    id: str
    rule: Rule | None  # None: nobody knows what it does by itself
    holds: Sequence[str] | None = None  # the coupons of a package
    total: int | None = None
    budget: int | None = None  # it stops by itself once this is spent, minor units
    exclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferFigures:
    """None: not known."""

    deepest_discount: Decimal | None  # share of the price, 0 to 1
    one_use: int | None  # the most that a single use takes off, minor units
    worst_case_cost: int | None  # the same of all uses


def figures_of(offer: OfferTerms, coupons: Collection[OfferTerms] = ()) -> OfferFigures:
    """The figures of one offer. `coupons`: those of its theme, which a package may hold."""
    if offer.holds is not None:
        held = [figures_of(coupon) for coupon in _held(offer.holds, coupons)]
        depth, one_use = _stacked(figures.deepest_discount for figures in held), _sum(one.one_use for one in held)
    else:
        depth, one_use = _UNKNOWN if offer.rule is None else _bounds(offer.rule)
    by_uses = None if one_use is None or offer.total is None else one_use * offer.total
    cost = min((bound for bound in (by_uses, offer.budget) if bound is not None), default=None)
    return OfferFigures(deepest_discount=depth, one_use=one_use, worst_case_cost=cost)


def worst_cost(offers: Sequence[OfferTerms]) -> int | None:
    """Of all offers together, every use of every one; a package counts beside the coupons that it holds."""
    return _sum(figures_of(offer, offers).worst_case_cost for offer in offers)


def deepest_stack(offers: Sequence[OfferTerms], exclusions: Collection[Pair] = ()) -> Decimal | None:
    """The deepest discount of any set of offers that may take effect together.

    Shares multiply on what the one before left over, and none takes more of that than of the list price. It is a bound:
    as if all offers applied to the same goods in one cart.
    """
    depths = {offer.id: figures_of(offer).deepest_discount for offer in offers if offer.holds is None}
    if None in depths.values():
        return None
    left = {offer_id: 1 - (depth or Decimal(0)) for offer_id, depth in depths.items()}
    alone = [left[offer.id] for offer in offers if offer.exclusive and offer.id in left]
    company = {offer.id: left[offer.id] for offer in offers if not offer.exclusive and offer.id in left}
    return 1 - min([_least_left(company, _pairs_among(company, exclusions)), *alone])


def _held(ids: Iterable[str], coupons: Iterable[OfferTerms]) -> list[OfferTerms]:
    """A package within a package is not opened in its turn: its figures are not known then."""
    by_id = {coupon.id: coupon for coupon in coupons if coupon.holds is None}
    return [by_id.get(coupon_id, OfferTerms(id=coupon_id, rule=None)) for coupon_id in ids]


def _pairs_among(offers: Collection[str], exclusions: Collection[Pair]) -> list[Pair]:
    pairs = [pair for pair in exclusions if pair[0] in offers and pair[1] in offers]
    return pairs if len({offer_id for pair in pairs for offer_id in pair}) <= MOST_EXCLUDED else []


def _least_left(left: Mapping[str, Decimal], pairs: Sequence[Pair]) -> Decimal:
    """The least share of the price that a set without an excluded pair leaves: one with the first offer, or without."""
    if not pairs:
        return prod(left.values(), start=Decimal(1))
    one = pairs[0][0]
    rivals = {other for pair in pairs if one in pair for other in pair if other != one}
    rest = [pair for pair in pairs if one not in pair]
    without = {offer_id: share for offer_id, share in left.items() if offer_id != one}
    with_it = {offer_id: share for offer_id, share in without.items() if offer_id not in rivals}
    free_pairs = [pair for pair in rest if rivals.isdisjoint(pair)]
    return min(_least_left(without, rest), left[one] * _least_left(with_it, free_pairs))


def _bounds(rule: Rule) -> Bounds:
    effect, least = rule.effect, rule.condition.min_amount if rule.condition.scope is None else 0
    match effect:
        case Amount():
            return _share(effect.value, least), effect.value
        case Percent():
            return _capped(effect.bp, effect.cap, least), effect.cap
        case Tiers():
            return _ladder(effect)
        case Every():
            most = None if effect.max_times is None else effect.amount * effect.max_times
            return _share(effect.amount, effect.step), most
        case Cheapest():
            return _of_pieces(effect), None
    return _of_freight(effect)


def _of_freight(effect: Effect) -> Bounds:
    """What is neither on freight is known to prices alone."""
    if isinstance(effect, FreightAmount):
        return Decimal(0), effect.value
    return (Decimal(0), None) if isinstance(effect, FreightPercent | FreightFixed) else _UNKNOWN


def _capped(basis_points: int, cap: int | None, least: int) -> Decimal | None:
    """Deepest where just the least amount is spent."""
    by_percent, by_cap = _share(basis_points, WHOLE), None if cap is None else _share(cap, least)
    return by_percent if by_percent is None or by_cap is None else min(by_percent, by_cap)


def _ladder(effect: Tiers) -> Bounds:
    depths = _most(_depth(step, step.at if effect.by is By.AMOUNT else 0) for step in effect.tiers)
    known = all(step.bp is None and not step.freight_free for step in effect.tiers)
    return depths, max(step.amount or 0 for step in effect.tiers) if known else None


def _depth(step: Step, least: int) -> Decimal | None:
    amount = Decimal(0) if step.amount is None else _share(step.amount, least)
    return None if amount is None else min(Decimal(1), amount + (_share(step.bp or 0, WHOLE) or 0))


def _of_pieces(effect: Cheapest) -> Decimal | None:
    """The cheapest are never more than their number's share of the group; the dearest may be nearly all."""
    if effect.target is Target.DEAREST or effect.n >= effect.group:
        return _share(effect.bp, WHOLE)
    return _share(effect.n * effect.bp, effect.group * WHOLE)


def _share(part: int, whole: int) -> Decimal | None:
    """Of nothing nobody knows the share."""
    return None if not whole else min(Decimal(1), (Decimal(part) / whole).quantize(BASIS_POINT, ROUND_CEILING))


def _stacked(depths: Iterable[Decimal | None]) -> Decimal | None:
    known = list(depths)
    return None if None in known else 1 - prod((1 - (depth or Decimal(0)) for depth in known), start=Decimal(1))


def _most(values: Iterable[_Number | None]) -> _Number | None:
    known = list(values)
    return None if None in known else max(value for value in known if value is not None)


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value or 0 for value in known)
