"""What a policy's conditions can ask of a theme or of one of its offers, as far as it is known."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from approval.condition import Facts
from offers.figures import OfferTerms, deepest_stack, figures_of, worst_cost
from offers.presets import Catalogue, standard_catalogue
from themes import money
from themes.offer_rule import held_coupons, rule_of_offer
from themes.theme import Offer, Theme

DAY = timedelta(days=1)
HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowest:
    """The product on which most is taken off; money is of one unit, in minor units."""

    sku: str
    name: str
    listed: int
    price: int
    offers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """The worst that can come of a theme, or of one offer. None: not known."""

    cost: int | None = None  # minor units of the theme's currency
    deepest_discount: Decimal | None = None  # share of the price, 0 to 1
    margin: Decimal | None = None  # share of the price; negative is a loss
    lowest: Lowest | None = None


class WorstOf(Protocol):
    """Prices the worst case of an offer, or of the whole theme where `offer_id` is None."""

    def __call__(self, theme: Theme, offer_id: str | None, /) -> Worst: ...


def by_terms_of(catalogue: Catalogue) -> WorstOf:
    """What the terms of the offers tell by themselves. The margin is unknown: it takes what the products cost."""

    def worst(theme: Theme, offer_id: str | None) -> Worst:
        terms = [terms_of(theme, offer, catalogue) for offer in theme.offers()]
        if offer_id is None:
            return Worst(cost=worst_cost(terms), deepest_discount=deepest_stack(terms, theme.exclusions))
        figures = figures_of(terms_of(theme, theme.offer(offer_id), catalogue), terms)
        return Worst(cost=figures.worst_case_cost, deepest_discount=figures.deepest_discount)

    return worst


def by_terms(theme: Theme, offer_id: str | None) -> Worst:
    """The same with the presets that come with the project."""
    return by_terms_of(standard_catalogue())(theme, offer_id)


def facts_for(
    theme: Theme, *, offer_id: str | None, audience_size: int | None = None, worst_of: WorstOf = by_terms
) -> Facts:
    """The facts of an offer, or of the theme itself where `offer_id` is None. What is not known stays None.

    An offer has its own kind, worst case and validity, and for the rest what its theme has.

    Raises:
        KeyError: the theme has no such offer.
    """
    worst = worst_of(theme, offer_id)
    return Facts(
        budget=theme.budget.decimal,
        worst_case_cost=None if worst.cost is None else money.as_decimal(worst.cost, theme.currency),
        deepest_discount=worst.deepest_discount,
        worst_margin=worst.margin,
        audience_size=audience_size,
        channels=tuple(channel.value for channel in theme.channels.used()),
        offer_kinds=_kinds(theme, offer_id),
        window_days=_window_days(theme, offer_id),
        product_line=theme.product_line,
    )


def terms_of(theme: Theme, offer: Offer, catalogue: Catalogue) -> OfferTerms:
    """What bounds the cost of an offer."""
    return OfferTerms(
        id=offer.id,
        rule=rule_of_offer(theme, offer, catalogue),
        holds=held_coupons(catalogue.of(offer.preset, offer.preset_version), offer.parameters),
        total=offer.total,
        budget=None if offer.budget is None else offer.budget.minor,
        exclusive=offer.exclusive,
    )


def _kinds(theme: Theme, offer_id: str | None) -> tuple[str, ...]:
    offers = theme.offers() if offer_id is None else (theme.offer(offer_id),)
    return tuple(sorted({offer.preset for offer in offers}))


def _window_days(theme: Theme, offer_id: str | None) -> Decimal:
    if offer_id is not None:
        valid = theme.offer(offer_id).valid
        if valid.days is not None:
            return Decimal(valid.days)
        if valid.starts_at is not None and valid.ends_at is not None:
            return _days(valid.ends_at - valid.starts_at)
    return _days(theme.window.ends_at - theme.window.starts_at)


def _days(length: timedelta) -> Decimal:
    seconds = length // timedelta(seconds=1)
    return (Decimal(seconds) / (DAY // timedelta(seconds=1))).quantize(HUNDREDTH)
