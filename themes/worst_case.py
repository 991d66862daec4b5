"""What the products of the catalogue are sold for at worst, with all coupons of a theme in hand.

It is found when a round opens, and kept with it: conditions and briefs of the round see the same figures, whatever
prices do meanwhile.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

from offers.combination import Bounds
from offers.presets import Catalogue
from offers.rule import Rule
from offers.worst import Product, Stack, named_skus, worst_stack
from offers.worst import Worst as WorstStacks
from themes.facts import Lowest, Worst, WorstOf, by_terms_of
from themes.offer_rule import held_coupons, rule_of_offer
from themes.theme import Theme

#: The theme itself among its offers, whose ids are never empty.
THEME = ""
#: Plain JSON: id of an offer, or THEME -> its worst.
Stacks = Mapping[str, Mapping[str, Any]]
#: For one cart: what needs more is told to be a bound, and no more.
BOUNDS = Bounds(budget=2_000)

#: The products that stand for all before offers that name these SKUs.
ProductsOf = Callable[[Collection[str]], Iterable[Product]]


def stacks_of(theme: Theme, catalogue: Catalogue, products_of: ProductsOf, *, bounds: Bounds = BOUNDS) -> Stacks:
    """The worst of a theme, and of each of its offers by itself; left out where no product is in scope."""
    by_object = _rules_by_object(theme, catalogue)
    known = {key: [rule for rule in rules if rule is not None] for key, rules in by_object.items() if None not in rules}
    products = list(products_of(named_skus(rule for rules in known.values() for rule in rules)))
    worst = {key: worst_stack(products, rules, bounds=bounds) for key, rules in known.items() if rules}
    return {key: _record(found) for key, found in worst.items() if found.deepest is not None}


def by_products_of(catalogue: Catalogue, stacks: Stacks) -> WorstOf:
    """What the terms of the offers tell, and in its place what was found among the products."""
    by_terms = by_terms_of(catalogue)

    def worst(theme: Theme, offer_id: str | None) -> Worst:
        found, stack = by_terms(theme, offer_id), stacks.get(offer_id or THEME)
        return found if stack is None else replace(found, **_read(stack))

    return worst


def _rules_by_object(theme: Theme, catalogue: Catalogue) -> dict[str, Sequence[Rule | None]]:
    """None among them: nobody knows any more what an offer does."""
    own = {offer.id: rule_of_offer(theme, offer, catalogue) for offer in theme.offers()}
    packages = {
        offer.id: held
        for offer in theme.offers()
        if (held := held_coupons(catalogue.of(offer.preset, offer.preset_version), offer.parameters)) is not None
    }
    by_object: dict[str, Sequence[Rule | None]] = {offer_id: [rule] for offer_id, rule in own.items()}
    by_object |= {offer_id: [own.get(coupon) for coupon in held] for offer_id, held in packages.items()}
    return {THEME: [rule for offer_id, rule in own.items() if offer_id not in packages], **by_object}


def _record(worst: WorstStacks) -> Mapping[str, Any]:
    return {
        "deepest_discount": str(worst.deepest_discount),
        "margin": None if worst.margin is None else str(worst.margin),
        "optimal": worst.optimal,
        "lowest": None if worst.deepest is None else asdict(_lowest(worst.deepest)),
    }


def _lowest(stack: Stack) -> Lowest:
    own = (name.partition("/")[2] for name in stack.offers)
    return Lowest(
        sku=stack.product.sku,
        name=stack.product.name,
        listed=stack.product.price,
        price=stack.lowest_price,
        offers=tuple(sorted(own)),
    )


def _read(stack: Mapping[str, Any]) -> dict[str, Any]:
    """A search that was cut short is no bound: then the terms have the word, and the product is an example."""
    lowest = stack["lowest"]
    told: dict[str, Any] = {
        "lowest": None if lowest is None else Lowest(**lowest | {"offers": tuple(lowest["offers"])})
    }
    if stack["optimal"]:
        margin = stack["margin"]
        told |= {
            "deepest_discount": Decimal(stack["deepest_discount"]),
            "margin": None if margin is None else Decimal(margin),
        }
    return told
