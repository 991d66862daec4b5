"""An amount parted: whole parts that sum to the whole."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offers.allocation import share_of, split

amounts = st.integers(0, 100_000)
weights = st.lists(st.integers(0, 10_000), min_size=1, max_size=6)
capped = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("amount", "basis_points", "share"),
    [
        (105, 1_000, 11),  # 10.5: half up
        (104, 1_000, 10),  # 10.4
        (1, 5_000, 1),  # a half of one is one
        (1, 4_999, 0),
        (999, 10_000, 999),  # the whole
        (999, 0, 0),
        (10**15 + 1, 5_000, 5 * 10**14 + 1),  # beyond what a float could tell
    ],
)
def test_a_share_is_rounded_half_up(amount: int, basis_points: int, share: int) -> None:
    assert share_of(amount, basis_points) == share


def test_of_two_that_lose_the_same_the_earlier_gets_the_odd_unit() -> None:
    assert split(100, [1, 1, 1]) == [34, 33, 33]
    assert split(200, [1, 1, 1]) == [67, 67, 66]


def test_who_loses_most_by_rounding_gets_the_odd_unit_wherever_he_stands() -> None:
    assert split(10, [1, 1, 4]) == [2, 2, 6]
    assert split(3, [10, 1, 1]) == [3, 0, 0]
    assert split(1, [1, 2]) == [0, 1]


def test_what_a_capped_part_cannot_take_the_others_do_by_their_weights() -> None:
    assert split(900, [1, 1, 1], [100, 900, 900]) == [100, 400, 400]
    assert split(900, [1, 1, 3], [100, 900, 450]) == [100, 350, 450]


def test_what_nobody_can_take_is_not_given() -> None:
    assert split(900, [1, 1], [100, 200]) == [100, 200]


def test_where_nothing_has_a_weight_nothing_is_given() -> None:
    assert split(5, [0, 0]) == [0, 0]
    assert split(5, [0, 1], [9, 2]) == [0, 2]


@given(amounts, weights)
def test_parts_sum_to_the_whole_and_none_is_a_unit_off_its_exact_share(amount: int, weights: list[int]) -> None:
    parts, total = split(amount, weights), sum(weights)
    assert sum(parts) == (amount if total else 0)
    for part, weight in zip(parts, weights, strict=True):
        exact = Fraction(amount * weight, total or 1)
        assert exact - 1 < part < exact + 1


@given(amounts, capped)
def test_capped_parts_sum_to_the_whole_or_to_all_that_can_be_taken(amount: int, pairs: list[tuple[int, int]]) -> None:
    parts = split(amount, [weight for weight, _ in pairs], [cap for _, cap in pairs])
    room = [cap if weight else 0 for weight, cap in pairs]
    assert all(0 <= part <= most for part, most in zip(parts, room, strict=True))
    assert sum(parts) == min(amount, sum(room))


@given(amounts, weights)
def test_caps_that_nobody_meets_change_nothing(amount: int, weights: list[int]) -> None:
    assert split(amount, weights, [amount] * len(weights)) == split(amount, weights)
