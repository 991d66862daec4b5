"""What products are sold for at worst, found once and kept."""

import json
from decimal import Decimal

from offers.presets import standard_catalogue
from offers.worst import Product
from tests.unit.test_theme_facts import FREIGHT, LIGHTS, REDUCTION, theme_of
from themes.facts import Lowest, facts_for
from themes.theme import Theme
from themes.worst_case import THEME, Stacks, by_products_of, stacks_of

PRESETS = standard_catalogue()
HOLDERS = [
    Product(sku="a", name="HOLDER", price=100, cost=60, category="tea-light-holders"),
    Product(sku="b", name="BAG", price=5_000, cost=4_400, category="bags"),
]
TOGETHER = ("- [women-20-off-100, tea-lights-3-for-2]", "[]")
PACKAGE = (
    "activities:",
    "  - {id: both, preset: package, name: Both, coupons: [women-20-off-100, first-parcel-free]}\nactivities:",
)


def stacks(theme: Theme, *products: Product) -> Stacks:
    found = stacks_of(theme, PRESETS, lambda _: products or HOLDERS)
    return json.loads(json.dumps(found))  # type: ignore[no-any-return] # as the database keeps it


def test_lowest_price_and_margin_are_those_of_the_worst_product_under_the_worst_legal_offers() -> None:
    theme = theme_of()
    worst = by_products_of(PRESETS, stacks(theme))
    found = worst(theme, None)
    assert found.deepest_discount == Decimal("0.3334")  # three for two: 100 less 33.33…
    assert found.lowest == Lowest(sku="a", name="HOLDER", listed=100, price=66, offers=(LIGHTS,))
    assert found.margin == Decimal("-0.1")  # the bag: 4,400 of what 10,000 less 2,000 leave of 5,000
    assert worst(theme, LIGHTS).margin == Decimal("0.1")
    assert worst(theme, REDUCTION).lowest == Lowest(sku="a", name="HOLDER", listed=100, price=80, offers=(REDUCTION,))


def test_offers_that_may_take_effect_together_stack() -> None:
    theme = theme_of(TOGETHER)
    found = by_products_of(PRESETS, stacks(theme))(theme, None)
    assert found.lowest is not None
    assert set(found.lowest.offers) == {LIGHTS, REDUCTION}
    assert found.deepest_discount is not None
    assert found.deepest_discount > Decimal("0.45")


def test_margin_is_not_known_while_one_cost_in_scope_is_not() -> None:
    theme = theme_of()
    unknown = Product(sku="c", price=100, category="bags")
    found = by_products_of(PRESETS, stacks(theme, *HOLDERS, unknown))(theme, None)
    assert (found.margin, found.deepest_discount) == (None, Decimal("0.3334"))


def test_offer_without_a_product_is_told_by_its_terms() -> None:
    theme = theme_of()
    kept = stacks(theme, Product(sku="b", price=5_000, category="bags"))
    assert kept.keys() == {THEME, REDUCTION}
    assert by_products_of(PRESETS, kept)(theme, LIGHTS).deepest_discount == Decimal("0.3334")
    assert by_products_of(PRESETS, kept)(theme, FREIGHT).deepest_discount == 0


def test_search_that_was_cut_short_is_an_example_and_no_bound() -> None:
    theme = theme_of()
    kept = {key: {**stack, "optimal": False} for key, stack in stacks(theme).items()}
    found = by_products_of(PRESETS, kept)(theme, REDUCTION)
    assert (found.deepest_discount, found.margin) == (Decimal("0.2"), None)
    assert found.lowest is not None


def test_package_is_as_bad_as_its_coupons() -> None:
    theme = theme_of(PACKAGE)
    kept = stacks(theme)
    assert kept["both"]["deepest_discount"] == kept[REDUCTION]["deepest_discount"]


def test_theme_with_an_offer_that_nobody_knows_any_more_is_told_by_its_terms() -> None:
    theme = theme_of()
    gone = theme.offer(LIGHTS).model_copy(update={"preset": "gone"})
    theme = theme.model_copy(update={"activities": (gone,)})
    assert stacks(theme).keys() == {REDUCTION}


def test_conditions_see_the_worst_among_the_products() -> None:
    theme = theme_of()
    facts = facts_for(theme, offer_id=None, worst_of=by_products_of(PRESETS, stacks(theme)))
    assert facts.worst_margin == Decimal("-0.1")


def test_budget_of_an_offer_bounds_what_it_costs() -> None:
    capped = ('amount: "20.00"\n', 'amount: "20.00"\n    budget: "1500.00"\n')
    assert facts_for(theme_of(capped), offer_id=REDUCTION).worst_case_cost == 1_500
    spacious = ('amount: "20.00"\n', 'amount: "20.00"\n    budget: "150000.00"\n')
    assert facts_for(theme_of(spacious), offer_id=REDUCTION).worst_case_cost == 10_000
