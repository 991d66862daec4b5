"""What an offer can cost at most, as far as its own terms tell. What only prices could tell is None: never a guess.

Amounts are minor units and shares basis points, under the names that the parameters have in presets.yaml. Shares of the
price are of the goods: an offer on freight takes nothing off them. They are upper bounds, before rounding to money.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from math import prod
from types import MappingProxyType
from typing import Any, TypeVar

WHOLE = 10_000  # basis points
BASIS_POINT = Decimal("0.0001")
#: With more offers than this in exclusions, the pairs are left out of account: a bound all the same, and at once.
MOST_EXCLUDED = 16

Terms = Mapping[str, Any]
Pair = tuple[str, str]
_Number = TypeVar("_Number", int, Decimal)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferTerms:
    """`total` bounds how often it is used: what each customer may have bounds nothing while nobody counts customers."""

    id: str
    preset: str
    preset_version: int
    parameters: Terms
    total: int | None = None
    exclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferFigures:
    """None: not known."""

    deepest_discount: Decimal | None  # share of the price, 0 to 1
    one_use: int | None  # the most that a single use takes off, minor units
    worst_case_cost: int | None  # the same of all uses


def figures_of(offer: OfferTerms, coupons: Collection[OfferTerms] = ()) -> OfferFigures:
    """The figures of one offer. `coupons`: those of its theme, which a package may hold."""
    if offer.preset == "package":
        held = [figures_of(coupon) for coupon in _held(offer, coupons)]
        depth, one_use = _stacked(figures.deepest_discount for figures in held), _sum(one.one_use for one in held)
    else:
        depth, one_use = _RULES.get((offer.preset, offer.preset_version), _only_prices_tell)(offer.parameters)
    cost = None if one_use is None or offer.total is None else one_use * offer.total
    return OfferFigures(deepest_discount=depth, one_use=one_use, worst_case_cost=cost)


def worst_cost(offers: Sequence[OfferTerms]) -> int | None:
    """Of all offers together, every use of every one; a package counts beside the coupons that it holds."""
    return _sum(figures_of(offer, offers).worst_case_cost for offer in offers)


def deepest_stack(offers: Sequence[OfferTerms], exclusions: Collection[Pair] = ()) -> Decimal | None:
    """The deepest discount of any set of offers that may take effect together.

    Shares multiply on what the one before left over, and none takes more of that than of the list price. It is a bound:
    as if all offers applied to the same goods in one cart.
    """
    depths = {offer.id: figures_of(offer).deepest_discount for offer in offers if offer.preset != "package"}
    if None in depths.values():
        return None
    left = {offer_id: 1 - (depth or Decimal(0)) for offer_id, depth in depths.items()}
    alone = [left[offer.id] for offer in offers if offer.exclusive and offer.id in left]
    company = {offer.id: left[offer.id] for offer in offers if not offer.exclusive and offer.id in left}
    return 1 - min([_least_left(company, _pairs_among(company, exclusions)), *alone])


def _held(offer: OfferTerms, coupons: Iterable[OfferTerms]) -> list[OfferTerms]:
    """A package within a package is not opened in its turn: its figures are not known then."""
    by_id = {coupon.id: coupon for coupon in coupons}
    unknown = OfferTerms(id="", preset="", preset_version=0, parameters={})
    return [by_id.get(coupon_id, unknown) for coupon_id in offer.parameters["coupons"]]


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


def _off_goods(terms: Terms) -> tuple[Decimal | None, int | None]:
    """An amount or a share off, from a least amount on or not; or a ladder of them."""
    steps: Sequence[Terms] = terms.get("tiers") or [terms]
    times = terms.get("max_times") if terms.get("every") else 1
    one = _most(step.get("amount", step.get("cap")) for step in steps)
    return _most(_depth(step) for step in steps), None if one is None or times is None else one * times


def _depth(step: Terms) -> Decimal | None:
    """Deepest where just the least amount is spent."""
    least, most = step.get("at"), step.get("amount", step.get("cap"))
    by_amount = _share(most, least) if most is not None and least else None
    if (percent := step.get("percent")) is None:
        return by_amount
    by_percent = _share(percent, WHOLE)
    return by_percent if by_amount is None else min(by_percent, by_amount)


def _off_freight(terms: Terms) -> tuple[Decimal | None, int | None]:
    return Decimal(0), terms.get("amount")


def _off_pieces(terms: Terms) -> tuple[Decimal | None, int | None]:
    """Which pieces get cheaper depends on the cart; no more than their own share can come off the whole."""
    steps: Sequence[Terms] = terms.get("tiers") or [terms]
    return _most(_share(step["percent"], WHOLE) for step in steps), None


def _cheapest_free(terms: Terms) -> tuple[Decimal | None, int | None]:
    """The cheapest are never more than their number's share of the group."""
    return _share(terms["free"], terms["group"]), None


def _only_prices_tell(_terms: Terms) -> tuple[Decimal | None, int | None]:
    return None, None


#: By preset and its version: of a later version nothing is known until somebody has read what it means.
_RULES: Mapping[tuple[str, int], Callable[[Terms], tuple[Decimal | None, int | None]]] = MappingProxyType(
    {
        ("full_reduction", 1): _off_goods,
        ("direct_reduction", 1): _off_goods,
        ("discount", 1): _off_goods,
        ("coupon_code", 1): _off_goods,
        ("newcomer", 1): _off_goods,
        ("consumption_triggered", 1): _off_goods,
        ("points_exchange", 1): _off_goods,
        ("freight_amount", 1): _off_freight,
        ("freight_percent", 1): _off_freight,
        ("freight_fixed", 1): _off_freight,
        ("free_freight", 1): _off_freight,
        ("n_pieces", 1): _off_pieces,
        ("nth_piece", 1): _off_pieces,
        ("buy_a_get_b", 1): _off_pieces,
        ("cheapest_free", 1): _cheapest_free,
    }
)


def _share(part: int, whole: int) -> Decimal:
    return min(Decimal(1), (Decimal(part) / whole).quantize(BASIS_POINT, ROUND_CEILING))


def _stacked(depths: Iterable[Decimal | None]) -> Decimal | None:
    known = list(depths)
    return None if None in known else 1 - prod((1 - (depth or Decimal(0)) for depth in known), start=Decimal(1))


def _most(values: Iterable[_Number | None]) -> _Number | None:
    known = list(values)
    return None if None in known else max(value for value in known if value is not None)


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value or 0 for value in known)
