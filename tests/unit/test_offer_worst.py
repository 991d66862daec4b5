"""How deep a price falls, and a margin, when all that may take effect together does."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offers.cart import Cart, CartLine
from offers.combination import Bounds
from offers.effect import (
    Amount,
    Bundle,
    By,
    Cheapest,
    Every,
    FreightPercent,
    Gift,
    Per,
    Percent,
    Step,
    Tiers,
    UnitAmount,
    UnitPrice,
)
from offers.preset import OfferKind
from offers.pricing import price
from offers.rule import Condition, Rule, excluded
from offers.scope import Items, Scope
from offers.worst import Product, Worst, worst_stack
from tests.unit.offer_strategies import goods_effects, offers

PAN = Product(sku="pan", price=1_000, cost=600, category="kitchen")
FORK = Product(sku="fork", price=200, cost=20, category="kitchen")
RAKE = Product(sku="rake", price=3_000, cost=2_900, category="garden")
GARDEN = Scope(named=Items(category=frozenset({"garden"})))


def rule(rule_id: str, effect: Any, **of: Any) -> Rule:
    return Rule(id=rule_id, effect=effect, **of)


TENTH, FIFTH = rule("tenth", Percent(bp=1_000)), rule("fifth", Percent(bp=2_000))
TWENTY_OFF = rule("twenty", Amount(value=2_000), condition=Condition(min_amount=10_000))


def worst(rules: Sequence[Rule], *products: Product) -> Worst:
    return worst_stack(products or [PAN], rules)


def test_all_that_may_take_effect_together_does() -> None:
    found = worst([TENTH, FIFTH])
    assert found.deepest is not None
    assert found.deepest.offers == {"tenth", "fifth"}
    assert found.deepest.lowest_price == 720
    assert found.deepest_discount == Decimal("0.28")
    assert found.margin == Decimal("0.1666")  # 720 for what was bought in for 600
    assert found.optimal


def test_what_excludes_another_is_not_stacked_with_it() -> None:
    assert worst([TENTH, replace(FIFTH, excludes={"tenth"})]).deepest_discount == Decimal("0.2")
    assert worst([TENTH, replace(FIFTH, exclusive=True)]).deepest_discount == Decimal("0.2")


def test_an_amount_is_deepest_where_just_what_it_asks_for_is_spent() -> None:
    assert worst([TWENTY_OFF]).deepest_discount == Decimal("0.2")
    found = worst([TWENTY_OFF], replace(PAN, price=1_700))  # five are 8,500: something for 1,500 fills it up
    assert found.deepest is not None
    assert (found.deepest.listed, found.deepest.lowest_price) == (10_000, 1_360)
    assert worst([TWENTY_OFF], replace(PAN, price=16_000)).deepest_discount == Decimal("0.125")


def test_a_threshold_is_reached_behind_another_offer() -> None:
    found = worst([rule("lines", Percent(bp=2_000, per=Per.LINE)), TWENTY_OFF])
    assert found.deepest is not None
    assert (found.deepest.listed, found.deepest.paid) == (12_500, 8_000)
    found = worst([replace(TWENTY_OFF, id="sum", effect=Amount(value=1_000), kind=OfferKind.ACTIVITY), TWENTY_OFF])
    assert found.deepest is not None
    assert (found.deepest.listed, found.deepest.paid) == (11_000, 8_000)
    found = worst([rule("units", UnitAmount(value=100)), replace(TWENTY_OFF, priority=-1)], PAN)
    assert found.deepest is not None
    assert (found.deepest.listed, found.deepest.paid) == (12_000, 8_800)


def test_what_fills_up_an_amount_counts_as_a_piece() -> None:
    of_six = replace(TWENTY_OFF, condition=Condition(min_amount=10_000, min_qty=6))
    found = worst([of_six], replace(PAN, price=1_700))
    assert found.deepest is not None
    assert (found.deepest.listed, found.deepest.paid) == (8_500, 6_800)  # of the five, beside the sixth for 1,500


#: Of one pan for 1,000, or of as many as it takes: effect, and the discount that is the deepest
DEPTHS: list[tuple[Any, str]] = [
    (UnitPrice(value=400), "0.6"),
    (UnitAmount(value=150), "0.15"),
    (Cheapest(group=3), "0.3334"),  # one of three
    (Bundle(qty=2, price=1_100), "0.45"),
    (Every(step=4_000, amount=1_000), "0.25"),
    (Tiers(by=By.AMOUNT, tiers=[Step(at=3_000, amount=300), Step(at=5_000, amount=2_000)]), "0.4"),
    (Tiers(by=By.QTY, tiers=[Step(at=2, bp=1_000), Step(at=5, bp=3_000)]), "0.3"),
    (Percent(bp=5_000, cap=200), "0.2"),
    (Amount(value=5_000), "1"),
]


@pytest.mark.parametrize(("effect", "depth"), DEPTHS)
def test_each_effect_is_met_where_it_is_deepest(effect: Any, depth: str) -> None:
    assert worst([rule("one", effect)]).deepest_discount == Decimal(depth)


def test_as_many_are_bought_as_a_condition_asks_for() -> None:
    assert worst([replace(FIFTH, condition=Condition(min_qty=4))]).deepest_discount == Decimal("0.2")


def test_what_an_offer_asks_of_other_goods_is_taken_to_be_in_the_cart() -> None:
    beside_a_rake = replace(FIFTH, condition=Condition(min_amount=9_000, scope=GARDEN))
    assert worst([beside_a_rake]).deepest_discount == Decimal("0.2")


def test_no_floor_is_broken() -> None:
    found = worst([FIFTH, rule("unit", UnitPrice(value=100))], replace(PAN, floor=900))
    assert found.deepest is not None
    assert found.deepest.lowest_price == 900


def test_freight_and_gifts_take_nothing_off_the_price() -> None:
    assert worst([rule("free", FreightPercent(bp=10_000)), rule("mug", Gift(sku="mug", price=900))]) == Worst()


def test_the_deepest_discount_and_the_thinnest_margin_may_be_of_different_products() -> None:
    found = worst([rule("each", UnitAmount(value=50))], PAN, FORK, RAKE)
    assert found.deepest is not None
    assert found.thinnest is not None
    assert (found.deepest.product, found.deepest_discount) == (FORK, Decimal("0.25"))
    assert (found.thinnest.product, found.margin) == (RAKE, Decimal("0.0169"))


def test_products_that_no_offer_covers_say_nothing() -> None:
    found = worst([replace(FIFTH, scope=GARDEN)], PAN, replace(RAKE, cost=100))
    assert found.deepest is not None
    assert found.deepest.product.sku == "rake"
    assert worst([replace(FIFTH, scope=GARDEN)], PAN, replace(PAN, cost=None)) == Worst()
    assert worst([FIFTH], replace(PAN, price=0)) == Worst()


def test_the_margin_is_unknown_while_the_cost_of_one_product_is() -> None:
    found = worst([FIFTH], PAN, replace(FORK, cost=None))
    assert found.margin is None
    assert found.thinnest is not None
    assert found.thinnest.margin == Decimal("0.25")
    assert worst([FIFTH], replace(PAN, cost=None)).deepest_discount == Decimal("0.2")


def test_a_product_that_is_given_away_has_a_margin_too() -> None:
    assert worst([rule("gone", Percent(bp=10_000))]).margin == Decimal(-599)


def test_of_products_alike_the_one_that_is_dearest_to_buy_in_counts() -> None:
    found = worst([FIFTH], PAN, replace(PAN, sku="other", cost=790), replace(PAN, sku="third", cost=10))
    assert found.thinnest is not None
    assert found.thinnest.product.sku == "other"


def test_a_single_product_that_an_offer_names_is_not_taken_for_its_like() -> None:
    named = replace(FIFTH, scope=Scope(named=Items(sku=frozenset({"named"}))))
    found = worst([TENTH, named], PAN, replace(PAN, sku="named"), replace(PAN, sku="zebra"))
    assert found.deepest is not None
    assert (found.deepest.product.sku, found.deepest.lowest_price) == ("named", 720)


def test_a_search_that_was_cut_short_is_told() -> None:
    rules = [rule(name, Percent(bp=1_000)) for name in "abcdef"]
    assert worst_stack([PAN], rules).optimal
    assert not worst_stack([PAN], rules, bounds=Bounds(budget=0)).optimal


@settings(max_examples=40)
@given(
    rules=offers(4, goods_effects),
    products=st.lists(
        st.builds(
            Product,
            sku=st.sampled_from(["a", "b", "c"]),
            price=st.integers(1, 250),
            cost=st.integers(0, 250),
            floor=st.sampled_from([0, 0, 40]),
            category=st.sampled_from(["kitchen", "garden"]),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda product: product.sku,
    ),
)
def test_nobody_pays_less_for_one_piece_than_the_worst_stack_says(rules: list[Rule], products: list[Product]) -> None:
    found = worst_stack(products, rules)
    for product in products:
        line = CartLine(qty=1, price=product.price, floor=product.floor, sku=product.sku, category=product.category)
        for many in range(len(rules) + 1):
            for chosen in combinations(rules, many):
                if not any(excluded(one, other) for one, other in combinations(chosen, 2)):
                    paid = price(Cart(lines=[line]), chosen).goods
                    assert Decimal(product.price - paid) / product.price <= found.deepest_discount
                    if paid < product.price and product.cost is not None:
                        assert found.margin is not None
                        assert found.margin <= 1 - Decimal(product.cost) / max(1, paid)
