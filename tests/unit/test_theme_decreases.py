import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themes.decreases import only_decreases
from themes.document import Vocabulary, parse_theme
from themes.revision import freeze

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}
REDUCTION, FREIGHT, LIGHTS = "women-20-off-100", "first-parcel-free", "tea-lights-3-for-2"


def content(*edits: tuple[str, str]) -> Mapping[str, Any]:
    text = TEXT
    for old, new in edits:
        assert old in text, f"the example no longer has {old!r}"
        text = text.replace(old, new, 1)
    return freeze(parse_theme(text, templates=TEMPLATES, known=Vocabulary())).content


BEFORE = content()
THEME = None
#: an edit, and the objects for which it is nothing but a decrease
EDITS: list[tuple[str, str, set[str | None]]] = [
    # a smaller budget is the theme's own
    ('budget: "20000.00"', 'budget: "15000.00"', {THEME}),
    ('budget: "20000.00"', 'budget: "20000.01"', set()),
    # the approval of a theme is bound to all of it
    ("total: 500", "total: 499", {THEME, REDUCTION}),
    ("total: 500", "total: 501", set()),
    # from unlimited to a number, and back
    ("    group: 3", "    group: 3\n    total: 5", {THEME, LIGHTS}),
    ("    total: 500\n", "", set()),
    # a smaller discount is another promise
    ('amount: "20.00"', 'amount: "15.00"', set()),
    ("per_customer: 1\n    claim", "per_customer: 1\n    per_day: 1\n    claim", set()),
    # what is left of a goal, a title or an audience is no amount
    ('gmv: "120000.00"', 'gmv: "100.00"', set()),
    ("title: 三八妇女节", "title: 妇女节", set()),
    ("[ordered_once, at_most_two_orders]", "[ordered_once]", set()),
    ("- [women-20-off-100, tea-lights-3-for-2]", "[]", set()),
]


@pytest.mark.parametrize(("old", "new", "decreased"), EDITS)
def test_only_a_smaller_budget_or_total_is_a_decrease(old: str, new: str, decreased: set[str | None]) -> None:
    after = content((old, new))
    told = {one for one in (THEME, REDUCTION, FREIGHT, LIGHTS) if only_decreases(BEFORE, after, offer_id=one)}
    assert told == decreased


def test_one_increase_beside_decreases_spoils_them_for_the_theme_and_not_for_the_other_offer() -> None:
    after = content(
        ('budget: "20000.00"', 'budget: "1.00"'), ("total: 500", "total: 400"), ("total: 300", "total: 301")
    )
    assert not only_decreases(BEFORE, after, offer_id=None)
    assert only_decreases(BEFORE, after, offer_id=REDUCTION)
    assert not only_decreases(BEFORE, after, offer_id=FREIGHT)


def test_where_nothing_differs_nothing_decreased() -> None:
    for offer_id in (None, REDUCTION):
        assert not only_decreases(BEFORE, content(), offer_id=offer_id)


def test_offer_that_came_or_went_is_no_decrease() -> None:
    fewer = copy.deepcopy(dict(BEFORE))
    del fewer["offers"][LIGHTS]
    for before, after in ((BEFORE, fewer), (fewer, BEFORE)):
        assert not only_decreases(before, after, offer_id=LIGHTS)
        assert not only_decreases(before, after, offer_id=None)


def test_less_of_another_currency_is_no_decrease() -> None:
    after = copy.deepcopy(dict(BEFORE))
    after["theme"]["budget"] = {"minor": 1, "currency": "JPY"}
    assert not only_decreases(BEFORE, after, offer_id=None)


AMOUNTS = st.fixed_dictionaries(
    {"budget": st.integers(0, 5), **{offer: st.none() | st.integers(1, 4) for offer in (REDUCTION, FREIGHT, LIGHTS)}}
)


def with_amounts(amounts: Mapping[str, int | None]) -> dict[str, Any]:
    made = copy.deepcopy(dict(BEFORE))
    made["theme"]["budget"]["minor"] = amounts["budget"]
    for offer in (REDUCTION, FREIGHT, LIGHTS):
        made["offers"][offer].pop("total", None)
        made["offers"][offer] |= {} if amounts[offer] is None else {"total": amounts[offer]}
    return made


@given(AMOUNTS, AMOUNTS)
def test_of_two_contents_that_differ_in_amounts_at_most_one_is_a_decrease(
    first: Mapping[str, int | None], second: Mapping[str, int | None]
) -> None:
    one, two = with_amounts(first), with_amounts(second)
    for offer_id in (None, REDUCTION, FREIGHT, LIGHTS):
        both_ways = [only_decreases(a, b, offer_id=offer_id) for a, b in ((one, two), (two, one))]
        assert both_ways.count(True) <= 1
    limit = {key: 99 if value is None else value for key, value in first.items()}
    after = {key: 99 if value is None else value for key, value in second.items()}
    smaller = all(after[key] <= limit[key] for key in limit)
    assert only_decreases(one, two, offer_id=None) is (smaller and one != two)


@given(st.lists(AMOUNTS, min_size=3, max_size=3))
def test_decreases_one_after_another_are_a_decrease(amounts: list[Mapping[str, int | None]]) -> None:
    one, two, three = (with_amounts(each) for each in amounts)
    for offer_id in (None, REDUCTION):
        if only_decreases(one, two, offer_id=offer_id) and only_decreases(two, three, offer_id=offer_id):
            assert only_decreases(one, three, offer_id=offer_id)


@given(st.sampled_from(sorted(BEFORE["theme"].keys() - {"budget"})), st.sampled_from([None, REDUCTION, FREIGHT]))
def test_any_other_field_of_the_theme_that_goes_spoils_a_decrease_of_the_theme_alone(
    name: str, offer: str | None
) -> None:
    after = copy.deepcopy(dict(BEFORE))
    after["theme"]["budget"]["minor"] -= 1
    after["offers"][REDUCTION]["total"] -= 1
    after["offers"][FREIGHT]["total"] -= 1
    assert only_decreases(BEFORE, after, offer_id=offer)
    del after["theme"][name]
    assert only_decreases(BEFORE, after, offer_id=offer) is (offer is not None)
