from decimal import Decimal
from pathlib import Path

import pytest

from approval.condition import Facts, parse_condition
from themes.document import Vocabulary, parse_theme
from themes.facts import Worst, facts_for
from themes.theme import Theme

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
#: The example's own name parameters that an edited offer has not.
TEMPLATES = {path.name: "text" for path in EXAMPLE.glob("*.j2")}
REDUCTION, FREIGHT, LIGHTS = "women-20-off-100", "first-parcel-free", "tea-lights-3-for-2"


def theme_of(*edits: tuple[str, str]) -> Theme:
    text = TEXT
    for old, new in edits:
        assert old in text, f"the example no longer has {old!r}"
        text = text.replace(old, new, 1)
    return parse_theme(text, templates=TEMPLATES, known=Vocabulary())


def facts(offer_id: str | None, *edits: tuple[str, str]) -> Facts:
    return facts_for(theme_of(*edits), offer_id=offer_id, audience_size=700)


def test_facts_of_a_theme_are_what_its_content_and_the_terms_of_its_offers_tell() -> None:
    assert facts(None) == Facts(
        budget=Decimal("20000.00"),
        worst_case_cost=None,  # what comes off the freight and off a tea light only prices tell
        deepest_discount=Decimal("0.3334"),  # three for two; the other coupon is excluded, and freight is no goods
        worst_margin=None,
        audience_size=700,
        channels=("sms", "email", "push", "mini_program"),
        offer_kinds=("cheapest_free", "freight_percent", "full_reduction"),
        window_days=Decimal(3),
        product_line="giftware-eu",
    )


def test_without_the_exclusion_the_offers_stack() -> None:
    stacked = facts(None, ("- [women-20-off-100, tea-lights-3-for-2]", "[]")).deepest_discount
    assert stacked == 1 - Decimal("0.8") * Decimal("0.6666")


def test_offer_has_its_own_kind_worst_case_and_validity_and_the_rest_of_its_theme() -> None:
    assert facts(REDUCTION) == Facts(
        budget=Decimal("20000.00"),
        worst_case_cost=Decimal("10000.00"),
        deepest_discount=Decimal("0.2"),
        worst_margin=None,
        audience_size=700,
        channels=("sms", "email", "push", "mini_program"),
        offer_kinds=("full_reduction",),
        window_days=Decimal(14),
        product_line="giftware-eu",
    )


def test_window_of_an_offer_is_its_validity_and_the_themes_where_it_has_none_of_its_own() -> None:
    assert facts(FREIGHT).window_days == Decimal("25.96")  # from 6 March to the last minute but one of the 31st, in BST
    assert facts(LIGHTS).window_days == 3


def test_worst_case_of_a_theme_is_known_once_that_of_each_offer_is() -> None:
    freight = ("preset: freight_percent", "preset: freight_amount"), ("percent: 100", 'amount: "5.00"')
    lights = ("preset: cheapest_free", "preset: discount"), ("group: 3", 'percent: 10\n    cap: "2.00"\n    total: 100')
    assert facts(None, *freight, *lights).worst_case_cost == 500 * 20 + 300 * 5 + 100 * 2


@pytest.mark.parametrize("condition", ["worst_case_cost < 100", "worst_margin < 0.15", "worst_case_cost >= 10000"])
def test_condition_on_what_is_not_known_counts_as_holding(condition: str) -> None:
    asked = parse_condition(condition)
    assert asked.missing(facts(None))


def test_whoever_knows_prices_can_stand_in_for_the_terms_of_the_offers() -> None:
    def solver(_theme: Theme, offer_id: str | None) -> Worst:
        return Worst(cost=123_45, deepest_discount=Decimal("0.9"), margin=Decimal("-0.1" if offer_id else "0.1"))

    found = facts_for(theme_of(), offer_id=LIGHTS, audience_size=1, worst_of=solver)
    assert (found.worst_case_cost, found.deepest_discount, found.worst_margin) == (
        Decimal("123.45"),
        Decimal("0.9"),
        Decimal("-0.1"),
    )


def test_worst_case_is_in_the_major_units_of_the_currency() -> None:
    yen = ("currency: GBP", "currency: JPY"), ('at: "100.00"', 'at: "100"'), ('amount: "20.00"', 'amount: "20"')
    whole = ('gmv: "120000.00"', 'gmv: "120000"'), ('budget: "20000.00"', 'budget: "20000"')
    assert facts(REDUCTION, *yen, *whole).worst_case_cost == 10_000


def test_offer_that_the_theme_does_not_have_is_refused() -> None:
    with pytest.raises(KeyError):
        facts("gone")
