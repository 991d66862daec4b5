from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approval.condition import FACT_KINDS, Facts, parse_condition
from approval.errors import ConditionInvalid

FACTS = Facts(
    budget=Decimal(20_000),
    worst_case_cost=Decimal("1500.50"),
    deepest_discount=Decimal("0.20"),
    worst_margin=Decimal("0.15"),
    audience_size=312,
    channels=("sms", "email"),
    offer_kinds=("coupon",),
    window_days=Decimal(3),
    product_line="giftware-eu",
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("budget >= 10000", True),
        ("budget < 10000", False),
        ("worst_margin < 0.15", False),  # exact: 0.15 is not a little less than 0.15
        ("worst_margin <= 0.15", True),
        ("worst_margin == 0.15", True),
        ("worst_margin > -0.5", True),
        ("0 < deepest_discount < 0.5", True),
        ("0.5 < deepest_discount < 1", False),
        ("budget >= 10000 and audience_size > 1000", False),
        ("budget >= 10000 or audience_size > 1000", True),
        ("not budget >= 10000", False),
        ("not (audience_size > 1000 or window_days > 7)", True),
        ("'sms' in channels", True),
        ("'push' in channels", False),
        ("'push' not in channels", True),
        ("len(channels) >= 2", True),
        ("product_line == 'giftware-eu'", True),
        ('product_line in ["giftware-eu", "b"]', True),
        ("product_line not in ('a', 'b')", True),
        ("window_days in [1, 3]", True),
        ("audience_size != 312", False),
    ],
)
def test_a_condition_means_what_it_says(text: str, holds: bool) -> None:  # noqa: FBT001 - the expectation
    assert parse_condition(text).holds(FACTS) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bugdet > 1", "did you mean 'budget'?"),
        ("budget > 1 and chanels == 1", "column 16: found unknown name 'chanels'"),
        ("budget", "a comparison"),
        ("True", "a number or quoted text"),
        ("1 < 2j", "a number or quoted text"),
        ("budget > 'a'", "a number on both sides"),
        ("product_line > 'a'", "a number on both sides"),
        ("channels == 'sms'", "use 'in'"),
        ("channels == offer_kinds", "use 'in'"),
        ("'sms' in product_line", "several texts after 'in'"),
        ("budget in ['a']", "several numbers after 'in'"),
        ("channels in ['sms']", "before 'in'"),
        ("product_line in []", "found '[]'"),
        ("product_line in ['a', 1]", "a list of numbers, or a list of texts"),
        ("budget is 3", "found 'is'"),
        ("budget + 1 > 2", "found 'budget + 1'"),
        ("len(budget) > 2", "len of channels or offer_kinds"),
        ("len('abc') > 2", "found \"len('abc')\""),
        ("__import__('os').system('true') == 0", "allowed: facts"),
        ("budget.real > 1", "found 'budget.real'"),
        ("(lambda: 1)() > 0", "allowed: facts"),
        ("[x for x in channels] == 1", "allowed: facts"),
        ("(budget := 1) > 0", "allowed: facts"),
        ("f'{budget}' == 'x'", "allowed: facts"),
        ("budget > 1e999", "a number or quoted text"),
        ("budget >", "a condition such as"),
        ("", "a condition such as"),
        ("budget = 3", "a condition such as"),
        ("budget > 1; budget", "a condition such as"),
        ("not " * 200 + "budget > 1", "at most 500"),
        ("budget > \x00", "a condition such as"),
    ],
)
def test_anything_else_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConditionInvalid) as refused:
        parse_condition(text)
    assert words in str(refused.value)


def test_the_deepest_condition_of_the_longest_length_is_read_without_trouble() -> None:
    assert parse_condition("not " * 120 + "budget > 1").holds(FACTS)


def test_a_fact_that_is_not_available_is_named() -> None:
    condition = parse_condition("budget >= 10000 or worst_margin < 0.15")
    assert condition.missing(Facts(budget=Decimal(1))) == ("worst_margin",)
    assert condition.missing(FACTS) == ()


def test_a_condition_is_equal_to_itself_in_other_spacing_and_quotes() -> None:
    assert parse_condition("'sms'  in channels") == parse_condition('"sms" in channels ')
    assert parse_condition("budget > 1") != parse_condition("budget > 2")


def test_every_fact_has_a_kind() -> None:
    assert set(FACT_KINDS) == set(Facts.__dataclass_fields__)


@given(st.text(max_size=60))
def test_no_text_at_all_does_anything_but_parse_or_be_refused(text: str) -> None:
    with suppress(ConditionInvalid):
        assert parse_condition(text).facts
