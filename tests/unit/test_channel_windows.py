"""Rate windows: whatever many senders ask, and whenever they use it, no window of the account is ever overrun."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.rate import Allowance, Permits, RateWindow
from channels.windows import ASK_AGAIN, ON_ITS_WAY, SUMMED_FROM, AccountWindows

START = datetime(2027, 3, 6, 9, tzinfo=UTC)


def window(seconds: float, at_most: int) -> RateWindow:
    return RateWindow(per=timedelta(seconds=seconds), at_most=at_most)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Account:
    """The windows as the database keeps them: written down and read again at each use."""

    def __init__(self, *windows: RateWindow) -> None:
        self.windows = windows
        self.kept: dict[str, Any] = {}

    def take(self, wanted: int, seconds: float, theme: str = "1") -> Permits:
        use = AccountWindows(self.windows, json.loads(json.dumps(self.kept)))
        permits = use.take(wanted=wanted, theme=theme, clock=after(seconds), now=after(seconds))
        self.kept = use.as_json(after(seconds))
        return permits


def call_times(permits: Permits, seconds: float, *, lateness: float) -> list[float]:
    """When the calls of permits taken then reach the provider: `lateness` 0 at once, 1 at the last moment allowed."""
    assert permits.good_for is not None
    late = lateness * (permits.good_for + ON_ITS_WAY).total_seconds()
    return [
        seconds + (permits.starts_in + number * permits.every).total_seconds() + late
        for number in range(permits.granted)
    ]


def most_within(times: Sequence[float], per: float) -> int:
    """The most calls in any stretch of that length; two calls exactly `per` apart are not in one."""
    times = sorted(times)
    most = first = 0
    for number, time in enumerate(times):
        while times[first] <= time - per + 1e-7:
            first += 1
        most = max(most, number - first + 1)
    return most


asks = st.lists(
    st.tuples(
        st.floats(0, 3),  # seconds since the ask before
        st.integers(1, 400),  # wanted
        st.sampled_from("abc"),  # theme
        st.floats(0, 1),  # how late its permits are used
    ),
    min_size=1,
    max_size=60,
)
limits = st.lists(
    st.tuples(st.sampled_from([1, 2, 5, 30, 60, 3_600]), st.integers(1, 300)),
    min_size=1,
    max_size=3,
    unique_by=lambda limit: limit[0],
)


@given(limits=limits, asks=asks, pace=st.sampled_from([0.05, 1.0, 40.0]))
def test_no_window_is_ever_overrun(limits: list[tuple[int, int]], asks: list[Any], pace: float) -> None:
    account = Account(*(window(per, most) for per, most in limits))
    seconds, times = 0.0, []
    for wait, wanted, theme, lateness in asks:
        seconds += wait * pace
        times += call_times(account.take(wanted, seconds, theme), seconds, lateness=lateness)
    for per, most in limits:
        assert most_within(times, per) <= most


@pytest.mark.parametrize(
    ("per", "at_most", "share"),
    [
        # paced: what a call may be late by is lost, 150 ms of each window
        (1, 1, 0.86),
        (1, 100, 0.86),
        (1, 5_000, 0.86),
        (10, 600, 0.97),
        # summed in sixtieths: what a call may be late by, and a slot
        (60, 600, 0.93),
        (3_600, 1_000, 0.97),
    ],
)
def test_what_the_windows_allow_is_nearly_all_given(per: int, at_most: int, share: float) -> None:
    account, given_out, seconds = Account(window(per, at_most)), 0, 0.0
    while seconds < per * 30:
        permits = account.take(at_most, seconds)
        given_out += permits.granted
        assert permits.again_at is None or permits.again_at >= after(seconds)
        seconds = (permits.again_at - START).total_seconds() if permits.again_at else seconds + 0.2
    assert share * at_most * 30 <= given_out <= at_most * 31


def test_a_long_window_that_is_free_goes_at_once_and_a_short_one_evenly() -> None:
    assert timedelta(seconds=30) == SUMMED_FROM
    at_once = Account(window(86_400, 10_000)).take(10_000, 0)
    assert (at_once.granted, at_once.every, at_once.again_at) == (10_000, timedelta(), None)
    evenly = Account(window(1, 100)).take(1_000, 0)
    assert evenly.granted == 44  # half a second's worth
    assert evenly.every == timedelta(milliseconds=11.5)
    assert evenly.again_at == after(ASK_AGAIN.total_seconds())


def test_a_full_window_says_when_it_opens_again() -> None:
    account = Account(window(3_600, 10))
    assert account.take(10, 30).granted == 10
    full = account.take(1, 31)
    assert (full.granted, full.again_at) == (0, after(3_600 + 60 + 2.05))
    assert account.take(1, 3_600 + 60 + 2).granted == 0
    assert account.take(1, 3_600 + 60 + 2.05).granted == 1


@pytest.mark.parametrize("back", [0.3, 30, 7_200])
def test_a_clock_that_is_put_back_gives_nothing_twice_and_holds_nobody_up(back: float) -> None:
    """In real time only 100 ms go by between the two senders."""
    paced, summed = Account(window(1, 100)), Account(window(3_600, 100))
    times = call_times(paced.take(100, 10_000), 0, lateness=0)
    times += call_times(paced.take(100, 10_000.1 - back), 0.1, lateness=0)
    assert most_within(times, 0.5) <= 51
    assert paced.take(100, 10_001 - back).granted >= 40
    assert summed.take(100, 10_000).granted == 100
    assert summed.take(100, 10_000.1 - back).granted == 0
    assert summed.take(100, 10_000.1 - back + 3_600 + 62.1).granted == 100


def test_two_themes_share_evenly_however_many_senders_each_has() -> None:
    account, given_out = Account(window(1, 100)), dict.fromkeys("ab", 0)
    for step in range(600):
        for theme in "aaab":
            given_out[theme] += account.take(50, step * 0.05, theme).granted
    assert sum(given_out.values()) > 0.85 * 30 * 100
    assert 0.8 < given_out["a"] / given_out["b"] < 1.25


def test_what_one_theme_does_not_want_another_may_have() -> None:
    account, given_out = Account(window(1, 100)), dict.fromkeys("ab", 0)
    for step in range(600):
        given_out["a"] += account.take(50, step * 0.05, "a").granted
        behind = 5 * (step // 20 + 1) - given_out["b"]  # five a second
        if behind and step % 4 == 0:
            given_out["b"] += account.take(behind, step * 0.05, "b").granted
    assert given_out["b"] == 5 * 30
    assert sum(given_out.values()) > 0.85 * 30 * 100


def test_nobody_saves_up_what_was_not_wanted_at_its_time() -> None:
    account = Account(window(1, 100))
    for step in range(400):  # 20 s, of which b wants next to nothing
        account.take(50, step * 0.05, "a")
        if step % 20 == 0:
            account.take(1, step * 0.05, "b")
    late = dict.fromkeys("ab", 0)
    for step in range(400, 440):
        for theme in "ba":
            late[theme] += account.take(50, step * 0.05, theme).granted
    assert late["a"] > 0.6 * late["b"]


def test_a_theme_that_asked_once_and_went_away_holds_nobody_up_for_long() -> None:
    account = Account(window(60, 100))
    assert account.take(100, 0, "a").granted == 100
    assert account.take(100, 1, "gone").granted == 0
    assert account.take(100, 64.1, "a").granted == 100


def test_other_windows_later_do_not_forget_what_was_given() -> None:
    account = Account(window(60, 100))
    account.take(80, 0)
    account.windows = (window(60, 90), window(3_600, 1_000))
    assert account.take(80, 1).granted == 10


# What one sender holds.


def permits(granted: int, **values: Any) -> Permits:
    return Permits(granted=granted, again_at=None, **{"given_at": START, **values})


def holding(given_out: Permits, at: float = 0.0) -> Allowance:
    held = Allowance()
    held.add(given_out, asked=at, heard=at)
    return held


def test_permits_may_be_used_one_after_the_other_and_lapse_so() -> None:
    spaced = permits(4, starts_in=timedelta(seconds=1), every=timedelta(seconds=1), good_for=timedelta(seconds=1.5))
    held = holding(spaced, at=10.0)
    assert (held.available(10.5), held.held(10.5), held.seconds_to_next(10.5)) == (0, 4, 0.5)
    assert held.available(12.0) == 2  # of 11 and 12
    assert held.available(12.6) == 1  # that of 11 has lapsed
    assert held.take(5, now=13.0).granted == 2
    assert (held.available(13.0), held.seconds_to_next(13.0)) == (0, 1.0)
    assert held.take(5, now=16.0).granted == 0  # that of 14 has lapsed as well
    assert held.seconds_to_next(16.0) is None


def test_permits_of_an_account_without_windows_never_lapse() -> None:
    held = holding(permits(3))
    assert held.take(2, now=1e6) == (2, math.inf)
    assert held.held(1e9) == 1


def test_a_call_has_to_leave_so_long_after_the_first_of_its_permits_lapses() -> None:
    spaced = {"every": timedelta(seconds=1), "good_for": timedelta(seconds=5), "leaves_within": timedelta(seconds=0.5)}
    held = holding(permits(3, **spaced))
    assert held.take(1, now=2.0) == (1, 5.5)
    assert held.take(2, now=2.0) == (2, 6.5)


def test_a_permit_lapses_as_it_would_have_however_late_it_is_heard_of() -> None:
    held = Allowance()
    held.add(permits(2, every=timedelta(seconds=1), good_for=timedelta(seconds=1.5)), asked=10.0, heard=12.0)
    assert held.held(12.0) == 1  # if they were given at 10, the first has lapsed
    assert held.seconds_to_next(12.0) == 1.0
    assert held.take(2, now=12.5).granted == 0


def test_a_quick_answer_tells_what_a_slow_one_leaves_open() -> None:
    held = Allowance()
    held.add(permits(1, given_at=after(0), good_for=timedelta(seconds=0.1)), asked=50.0, heard=50.01)
    late = permits(1, given_at=after(3), starts_in=timedelta(seconds=0.5), good_for=timedelta(seconds=0.1))
    held.add(late, asked=52.0, heard=53.2)
    assert held.seconds_to_next(53.2) == pytest.approx(0.31)
    assert held.take(1, now=53.52) == pytest.approx((1, 53.6))


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_was_set_is_not_believed_on_what_it_said_before(hours: int) -> None:
    held = Allowance()
    held.add(permits(1, given_at=after(0), good_for=timedelta(seconds=1)), asked=50.0, heard=50.01)
    in_a_second = {"starts_in": timedelta(seconds=1), "good_for": timedelta(seconds=1)}
    held.add(permits(1, given_at=after(3_600 * hours), **in_a_second), asked=60.0, heard=60.01)
    assert [held.available(60.5), held.available(61.5), held.available(62.5)] == [0, 1, 0]


def test_calls_leave_even_where_no_answer_is_ever_quick() -> None:
    held, taken = Allowance(), 0
    for number in range(40):
        asked = number * 1.0
        held.add(
            permits(1, given_at=after(asked + 0.1), good_for=timedelta(seconds=0.1)), asked=asked, heard=asked + 0.5
        )
        taken += held.take(1, now=asked + 0.5).granted
    assert taken == 21


@given(
    asks=st.lists(
        st.tuples(
            st.sampled_from((0.01, 0.1, 0.3)),  # seconds to the next ask
            st.integers(1, 60),  # wanted
            st.sampled_from((0.0, 0.2)),  # seconds until the database answers,
            st.sampled_from((0.0, 0.5)),  # until that is heard,
            st.sampled_from((0.005, 0.05)),  # and between the moments at which permits are taken
            st.sampled_from((0, 1)),  # how late their calls leave
        ),
        min_size=10,
        max_size=19,  # of twenty slow ones in a row a sender makes the best
    ),
    limit=st.sampled_from([(1, 20), (1, 100), (10, 300), (60, 200)]),
    senders=st.integers(1, 3),
    ahead=st.floats(-1e5, 1e5),  # by so much the senders' clocks are before the database's
)
def test_no_window_is_overrun_however_late_answers_are(
    asks: list[Any], limit: tuple[int, int], senders: int, ahead: float
) -> None:
    per, most = limit
    account, held, now, times = Account(window(per, most)), [Allowance() for _ in range(senders)], 0.0, []
    for number, (wait, wanted, way, back, pause, lateness) in enumerate(asks):
        given_out = account.take(wanted, now, str(number % senders))
        own, heard = held[number % senders], now + back
        own.add(given_out, asked=now - way + ahead, heard=heard + ahead)
        for step in range(20):
            at = heard + step * pause
            used = own.take(60, now=at + ahead)
            latest = max(at, used.leave_by - ahead)
            times += [at + lateness * (latest - at)] * used.granted
        now += wait
    assert most_within(times, per) <= most


@given(
    grants=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 30), st.floats(0, 0.2), st.floats(0.01, 2)), max_size=8),
    uses=st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 20)), max_size=40),
)
def test_a_permit_is_used_at_most_once_and_never_before_its_instant(grants: list[Any], uses: list[Any]) -> None:
    held, instants, used, now = Allowance(), [], 0, 0.0
    for (wait, count, every, good_for), (pause, wanted) in zip(grants, uses, strict=False):
        now += wait
        grant = permits(count, given_at=None, every=timedelta(seconds=every), good_for=timedelta(seconds=good_for))
        held.add(grant, asked=now, heard=now)
        instants += [now + number * grant.every.total_seconds() for number in range(count)]
        now += pause
        available = held.available(now)
        taken = held.take(wanted, now=now).granted
        assert taken == min(wanted, available)
        used += taken
        assert used <= sum(instant <= now + 1e-9 for instant in instants)
