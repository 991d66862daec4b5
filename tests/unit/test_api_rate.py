"""How often one key may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.http.api.rate import Rate


def let_through(rate: Rate, times: list[float]) -> list[float]:
    return [now for now in times if not rate.wait(now)]


def test_as_many_at_once_as_a_second_allows_and_not_one_more() -> None:
    rate = Rate(5)
    assert [rate.wait(100.0) for _ in range(5)] == [0.0] * 5
    assert rate.wait(100.0) == pytest.approx(0.2)


def test_after_the_wait_that_was_told_one_more_is_let_through() -> None:
    rate = Rate(5)
    let_through(rate, [100.0] * 5)
    wait = rate.wait(100.0)
    assert rate.wait(100.0 + wait * 0.9) > 0
    assert not rate.wait(100.0 + wait)


def test_those_that_are_refused_do_not_count() -> None:
    rate = Rate(1)
    assert not rate.wait(0.0)
    assert all(rate.wait(0.5) for _ in range(100))
    assert not rate.wait(1.0)


def test_rest_is_not_saved_up_beyond_a_second() -> None:
    rate = Rate(3)
    assert let_through(rate, [1_000.0] * 10) == [1_000.0] * 3
    assert let_through(rate, [9_000.0] * 10) == [9_000.0] * 3


@given(
    per_second=st.integers(1, 50),
    steps=st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
    start=st.floats(0, 1e6),
)
def test_no_stretch_of_time_has_more_than_its_length_and_one_second_allow(
    per_second: int, steps: list[float], start: float
) -> None:
    rate, now, times = Rate(per_second), start, []
    for step in steps:
        now += step
        times.append(now)
    taken = let_through(rate, times)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= per_second * (1 + taken[last] - taken[first]) + 1e-3


@given(per_second=st.integers(1, 50), count=st.integers(1, 200))
def test_requests_that_come_evenly_are_all_let_through(per_second: int, count: int) -> None:
    times = [number / per_second for number in range(count)]
    assert let_through(Rate(per_second), times) == times
