from datetime import timedelta

import pytest

from audience.categories import CATEGORIES, category_of
from audience.errors import SegmentDaysOutOfRange, SegmentUnknown
from audience.segments import segment_named


def test_the_number_of_days_is_part_of_the_name() -> None:
    assert segment_named("ordered_last_7_days").kept_order_within == timedelta(days=7)
    assert segment_named("lapsed_30_days").no_kept_order_within == timedelta(days=30)


@pytest.mark.parametrize("name", ["ordered_last_0_days", "ordered_last_366_days", "lapsed_999999_days"])
def test_days_out_of_range_are_refused_with_the_range(name: str) -> None:
    with pytest.raises(SegmentDaysOutOfRange, match="1 to 365 are allowed"):
        segment_named(name)


def test_an_unknown_segment_is_refused_with_the_nearest() -> None:
    with pytest.raises(SegmentUnknown, match="did you mean 'ordered_once'"):
        segment_named("orderd_once")


@pytest.mark.parametrize(
    ("description", "category"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "tea-light-holders"),
        ("ROTATING SILVER ANGELS T-LIGHT HLDR", "tea-light-holders"),
        ("REGENCY CAKESTAND 3 TIER", "cake-stands"),
        ("LUNCH BAG RED RETROSPOT", "lunch-bags"),
        ("JUMBO BAG RED RETROSPOT", "bags"),
        ("SOLDIERS EGG CUP ", "tea-and-tableware"),
        ("RED RETROSPOT MUG", "mugs"),
        ("60 CAKE CASES VINTAGE CHRISTMAS", "christmas"),  # the season goes before the use
        ("PARTY CANDLES", "candles"),
        ("PACK OF 72 RETROSPOT CAKE CASES", "baking"),
        ("camouflage led torch", "other"),
        ("", "other"),
    ],
)
def test_the_description_decides_the_category(description: str, category: str) -> None:
    assert category_of(description) == category


def test_category_names_are_slugs_and_each_is_one() -> None:
    assert len(set(CATEGORIES)) == len(CATEGORIES)
    assert all(name == name.lower() and " " not in name for name in CATEGORIES)
