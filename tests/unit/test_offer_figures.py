from collections.abc import Mapping
from decimal import Decimal
from itertools import combinations
from math import prod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offers.effect import Bundle, By, Cheapest, Effect, Percent, Step, Target, Tiers, UnitAmount
from offers.figures import MOST_EXCLUDED, OfferTerms, deepest_stack, figures_of, worst_cost
from offers.preset import OfferKind
from offers.preset_rule import Common, rule_of
from offers.presets import standard_catalogue
from offers.rule import Condition, Rule
from offers.scope import EVERYTHING, Items, Scope


def terms(
    preset: str = "direct_reduction",
    parameters: Mapping[str, Any] | None = None,
    *,
    id: str = "one",  # noqa: A002 - as an offer calls it
    total: int | None = 10,
    exclusive: bool = False,
    preset_version: int = 1,
) -> OfferTerms:
    found, given = standard_catalogue().of(preset, preset_version), parameters or {}
    rule = None if found is None else rule_of(found, given, Common(id=id, kind=OfferKind.COUPON))
    return OfferTerms(id=id, rule=rule, holds=given.get("coupons"), total=total, exclusive=exclusive)


def of_rule(effect: Effect, **condition: Any) -> OfferTerms:
    return OfferTerms(id="one", rule=Rule(id="one", effect=effect, condition=Condition(**condition)), total=10)


def percent_off(basis_points: int, **of: Any) -> OfferTerms:
    return terms("discount", {"percent": basis_points, "per": "group"}, **of)


#: preset, parameters (minor units, basis points), deepest discount, most that one use takes off
FIGURES: list[tuple[str, dict[str, Any], str | None, int | None]] = [
    # deepest where just the least amount is spent
    ("full_reduction", {"at": 10_000, "amount": 2_000, "every": False}, "0.2", 2_000),
    # never more than the price
    ("full_reduction", {"at": 1_000, "amount": 2_000, "every": False}, "1", 2_000),
    # a least amount of nothing is none
    ("full_reduction", {"at": 0, "amount": 2_000, "every": False}, None, 2_000),
    # once more for each further amount: without end, unless it says how often
    ("full_reduction", {"at": 10_000, "amount": 2_000, "every": True}, "0.2", None),
    ("full_reduction", {"at": 10_000, "amount": 2_000, "every": True, "max_times": 3}, "0.2", 6_000),
    # of a ladder the deepest step, and the dearest: they need not be the same
    (
        "full_reduction",
        {"every": False, "tiers": ({"at": 1_000, "amount": 300}, {"at": 9_000, "amount": 900})},
        "0.3",
        900,
    ),
    # without a least amount only prices tell how deep it goes
    ("direct_reduction", {"amount": 500}, None, 500),
    ("discount", {"percent": 1_250, "per": "group"}, "0.125", None),
    ("discount", {"percent": 5_000, "per": "group", "cap": 700}, "0.5", 700),
    # from 100.00 on the cap is 7 % at most
    ("discount", {"percent": 5_000, "per": "group", "at": 10_000, "cap": 700}, "0.07", 700),
    ("discount", {"percent": 1_000, "per": "group", "at": 1_000, "cap": 700}, "0.1", 700),
    ("coupon_code", {"codes": "shared", "amount": 900, "at": 3_000}, "0.3", 900),
    ("coupon_code", {"codes": "shared", "percent": 900}, "0.09", None),
    ("newcomer", {"amount": 900}, None, 900),
    # given after an order of 50.00, but used from 20.00 on
    ("consumption_triggered", {"spent": 5_000, "amount": 500, "at": 2_000}, "0.25", 500),
    ("points_exchange", {"points": 100, "amount": 500}, None, 500),
    # freight is another bucket: nothing comes off the goods
    ("freight_amount", {"amount": 500}, "0", 500),
    ("freight_percent", {"percent": 10_000}, "0", None),
    ("freight_fixed", {"price": 100}, "0", None),
    ("free_freight", {}, "0", None),
    ("n_pieces", {"pieces": 2, "percent": 2_500}, "0.25", None),
    ("n_pieces", {"tiers": ({"pieces": 2, "percent": 1_000}, {"pieces": 3, "percent": 2_000})}, "0.2", None),
    # of each pair the cheaper one for half: a quarter of both at most
    ("nth_piece", {"nth": 2, "percent": 5_000}, "0.25", None),
    ("buy_a_get_b", {"buy": EVERYTHING, "get": EVERYTHING, "percent": 3_000}, "0.3", None),
    # a third, as a bound: rounded up
    ("cheapest_free", {"group": 3, "free": 1}, "0.3334", None),
    ("cheapest_free", {"group": 2, "free": 4}, "1", None),
    # only prices tell
    ("limited_time_price", {"price": 100}, None, None),
    ("bundle_price", {"pieces": 2, "price": 100, "repeat": True}, None, None),
    ("gift", {"products": ("1",), "pieces": 1}, None, None),
]


@pytest.mark.parametrize(("preset", "parameters", "depth", "one_use"), FIGURES)
def test_terms_of_an_offer_tell_how_deep_and_how_dear_it_is(
    preset: str, parameters: dict[str, Any], depth: str | None, one_use: int | None
) -> None:
    found = figures_of(terms(preset, parameters, total=10))
    assert found.deepest_discount == (None if depth is None else Decimal(depth))
    assert found.one_use == one_use
    assert found.worst_case_cost == (None if one_use is None else 10 * one_use)


def test_every_preset_of_the_catalogue_is_in_the_table_above_with_parameters_that_it_has() -> None:
    presets = standard_catalogue().presets
    assert {preset for preset, *_ in FIGURES} | {"package"} == set(presets)
    for preset, parameters, *_ in FIGURES:
        assert parameters.keys() <= presets[preset].parameters.keys()
        assert presets[preset].version == 1


TEA = Scope(named=Items(category=frozenset({"tea"})))
#: effect, its condition, deepest discount, most that one use takes off: what no preset of the catalogue has
EFFECTS: list[tuple[Effect, dict[str, Any], str | None, int | None]] = [
    # what has to be spent on other goods bounds nothing
    (Percent(bp=5_000, cap=700), {"min_amount": 10_000, "scope": TEA}, "0.5", 700),
    # a ladder by pieces, of amounts; one with amounts and shares; one that frees the freight as well
    (Tiers(by=By.QTY, tiers=[Step(at=2, amount=300)]), {}, None, 300),
    (Tiers(by=By.AMOUNT, tiers=[Step(at=1_000, amount=100, bp=500)]), {}, "0.15", None),
    (Tiers(by=By.AMOUNT, tiers=[Step(at=1_000, amount=100, freight_free=True)]), {}, "0.1", None),
    # the dearest of a group can be nearly all of it
    (Cheapest(group=3, bp=5_000, target=Target.DEAREST), {}, "0.5", None),
    (Cheapest(group=3, bp=5_000, target=Target.EACH_GROUP), {}, "0.1667", None),
    # more of a group than there are in it is all of it
    (Cheapest(group=2, n=4, bp=5_000), {}, "0.5", None),
    # only prices tell
    (UnitAmount(value=100), {}, None, None),
    (Bundle(qty=2, price=100), {}, None, None),
]


@pytest.mark.parametrize(("effect", "condition", "depth", "one_use"), EFFECTS)
def test_figures_come_from_what_an_offer_does_whatever_its_preset_is_called(
    effect: Effect, condition: dict[str, Any], depth: str | None, one_use: int | None
) -> None:
    found = figures_of(of_rule(effect, **condition))
    assert (found.deepest_discount, found.one_use) == (None if depth is None else Decimal(depth), one_use)


def test_offer_without_a_total_has_no_worst_case_whatever_each_customer_may_have() -> None:
    assert figures_of(terms(parameters={"amount": 500}, total=None)).worst_case_cost is None


def test_of_a_later_version_of_a_preset_nothing_is_known() -> None:
    found = figures_of(percent_off(1_000, preset_version=2))
    assert (found.deepest_discount, found.one_use, found.worst_case_cost) == (None, None, None)


def test_package_costs_what_its_coupons_cost_and_is_as_deep_as_all_of_them_together() -> None:
    coupons = [
        terms("full_reduction", {"at": 1_000, "amount": 100, "every": False}, id="a"),
        terms("discount", {"percent": 2_000, "cap": 300, "per": "group"}, id="b", total=None),
    ]
    package = terms("package", {"coupons": ("a", "b")}, id="p", total=5)
    found = figures_of(package, [*coupons, package])
    assert found.deepest_discount == Decimal("0.28")  # 1 - 0.9 * 0.8
    assert found.worst_case_cost == 5 * 400


@pytest.mark.parametrize("held", [("gone",), ("p",), ("a", "q")])
def test_package_that_holds_a_package_or_something_unknown_is_not_known(held: tuple[str, ...]) -> None:
    coupons = [percent_off(1_000, id="a"), terms("package", {"coupons": ("p",)}, id="q")]
    package = terms("package", {"coupons": held}, id="p")
    found = figures_of(package, [*coupons, package])
    assert (found.deepest_discount, found.worst_case_cost) == (None, None)


def test_worst_cost_of_all_is_the_sum_and_unknown_where_one_is() -> None:
    known = [terms(parameters={"amount": 500}, id="a"), terms(parameters={"amount": 7}, id="b", total=3)]
    assert worst_cost(known) == 5_000 + 21
    assert worst_cost([*known, percent_off(100)]) is None
    assert worst_cost([]) == 0


def test_offers_that_may_apply_together_go_deeper_than_each() -> None:
    assert deepest_stack([percent_off(2_000, id="a"), percent_off(5_000, id="b")]) == Decimal("0.6")


def test_excluded_and_exclusive_offers_do_not_stack() -> None:
    pair = [percent_off(2_000, id="a"), percent_off(5_000, id="b")]
    assert deepest_stack(pair, [("a", "b")]) == Decimal("0.5")
    assert deepest_stack([pair[0], percent_off(5_000, id="b", exclusive=True)]) == Decimal("0.5")
    assert deepest_stack(pair, [("a", "of another theme")]) == Decimal("0.6")


def test_two_small_offers_together_can_be_deeper_than_the_big_one_that_excludes_both() -> None:
    offers = [percent_off(3_000, id="a"), percent_off(3_000, id="b"), percent_off(4_000, id="c")]
    assert deepest_stack(offers, [("a", "c"), ("b", "c")]) == Decimal("0.51")


def test_of_a_row_in_which_each_excludes_the_next_every_other_one_stacks() -> None:
    offers = [percent_off(share, id=name) for name, share in (("a", 1_000), ("b", 2_000), ("c", 3_000), ("d", 4_000))]
    assert deepest_stack(offers, [("a", "b"), ("b", "c"), ("c", "d")]) == 1 - Decimal("0.8") * Decimal("0.6")


def test_one_offer_of_unknown_depth_makes_the_stack_unknown() -> None:
    assert deepest_stack([percent_off(2_000, id="a"), terms(parameters={"amount": 5}, id="b")]) is None
    assert deepest_stack([]) == 0


def test_many_excluded_offers_are_answered_at_once_by_a_bound() -> None:
    ids = [f"o{number}" for number in range(MOST_EXCLUDED + 40)]
    offers = [percent_off(1_000, id=offer_id) for offer_id in ids]
    without_pairs = deepest_stack(offers)
    assert deepest_stack(offers, list(combinations(ids, 2))) == without_pairs


NAMES = "abcdef"


@given(
    st.fixed_dictionaries({name: st.integers(1, 10_000) for name in NAMES}),
    st.sets(st.sampled_from(list(combinations(NAMES, 2)))),
    st.sets(st.sampled_from(NAMES), max_size=2),
)
def test_deepest_stack_is_that_of_the_deepest_legal_set(
    percents: dict[str, int], pairs: set[tuple[str, str]], exclusive: set[str]
) -> None:
    offers = [percent_off(share, id=name, exclusive=name in exclusive) for name, share in percents.items()]
    legal = [
        chosen
        for size in range(len(percents) + 1)
        for chosen in combinations(percents, size)
        if not any(set(pair) <= set(chosen) for pair in pairs) and (size == 1 or exclusive.isdisjoint(chosen))
    ]
    depth = {name: Decimal(share) / 10_000 for name, share in percents.items()}
    best = max(1 - prod((1 - depth[name] for name in chosen), start=Decimal(1)) for chosen in legal)
    assert deepest_stack(offers, pairs) == best
