"""Quiet hours by the clock on the person's wall, also in the nights in which it jumps."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audience.local_time import first_instant, last_instant, midnight, zone_named
from audience.quiet_hours import (
    DAY_MINUTES,
    EVERY_DAY,
    Place,
    Quiet,
    QuietHours,
    never_ends,
    quiet_from,
    quiet_now,
    quiet_until,
)

LONDON, NEW_YORK, LORD_HOWE = (ZoneInfo(name) for name in ("Europe/London", "America/New_York", "Australia/Lord_Howe"))
BEIRUT, SAMOA = ZoneInfo("Asia/Beirut"), ZoneInfo("Pacific/Apia")
NIGHT = QuietHours(start=21 * 60, end=8 * 60)


def hours(written: str, days: frozenset[int] = EVERY_DAY) -> QuietHours:
    (start_hour, start), (end_hour, end) = (part.split(":") for part in written.split("-"))
    return QuietHours(start=int(start_hour) * 60 + int(start), end=int(end_hour) * 60 + int(end), days=days)


def utc(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def until(written: str, zone: ZoneInfo, now: str) -> datetime | None:
    return quiet_until([hours(written)], zone=zone, now=utc(now))


@pytest.mark.parametrize(
    ("now", "over"),
    [
        ("2027-01-10 20:59:59", None),  # the last second of the evening
        ("2027-01-10 21:00", "2027-01-11 08:00"),  # begins to the second
        ("2027-01-11 07:59:59", "2027-01-11 08:00"),  # began yesterday
        ("2027-01-11 08:00", None),  # is over to the second
    ],
)
def test_a_night_begins_in_the_evening_and_is_over_in_the_morning(now: str, over: str | None) -> None:
    assert until("21:00-08:00", LONDON, now) == (over and utc(over))


@pytest.mark.parametrize(
    ("zone", "written", "now", "over"),
    [
        # London goes forward on 28 March 2027 at 01:00 UTC: 01:00 to 02:00 never comes.
        (LONDON, "21:00-08:00", "2027-03-27 22:00", "2027-03-28 07:00"),  # an hour shorter
        (LONDON, "21:00-01:30", "2027-03-28 00:59", "2027-03-28 01:00"),  # the end is jumped over
        (LONDON, "21:00-01:30", "2027-03-28 01:00", None),
        (LONDON, "01:30-06:00", "2027-03-28 00:59:59", None),  # the beginning is jumped over
        (LONDON, "01:30-06:00", "2027-03-28 01:00", "2027-03-28 05:00"),
        (LONDON, "01:10-01:50", "2027-03-28 01:00", None),  # all of it is jumped over
        # and back on 31 October 2027 at 01:00 UTC: 01:00 to 02:00 comes twice.
        (LONDON, "21:00-08:00", "2027-10-30 21:00", "2027-10-31 08:00"),  # an hour longer
        (LONDON, "21:00-01:30", "2027-10-31 00:45", "2027-10-31 01:30"),  # first 01:45: the later 01:30 is the end
        (LONDON, "21:00-01:30", "2027-10-31 01:30", None),
        (LONDON, "01:30-06:00", "2027-10-31 00:29", None),  # before the first 01:30
        (LONDON, "01:30-06:00", "2027-10-31 01:10", "2027-10-31 06:00"),  # second 01:10: it began at the first 01:30
        # New York goes forward on 14 March 2027 at 07:00 UTC, back on 7 November at 06:00 UTC.
        (NEW_YORK, "21:00-08:00", "2027-03-14 03:00", "2027-03-14 12:00"),
        (NEW_YORK, "22:00-02:30", "2027-03-14 06:30", "2027-03-14 07:00"),
        (NEW_YORK, "21:00-08:00", "2027-11-07 03:00", "2027-11-07 13:00"),
        (NEW_YORK, "22:00-01:30", "2027-11-07 05:45", "2027-11-07 06:30"),
        # Lord Howe moves by half an hour: forward on 2 October 2027 at 15:30 UTC, back on 3 April at 15:00 UTC.
        (LORD_HOWE, "21:00-08:00", "2027-10-02 15:00", "2027-10-02 21:00"),
        (LORD_HOWE, "21:00-02:15", "2027-10-02 15:20", "2027-10-02 15:30"),
        (LORD_HOWE, "21:00-02:15", "2027-10-02 15:30", None),
        (LORD_HOWE, "21:00-08:00", "2027-04-03 15:00", "2027-04-03 21:30"),
        (LORD_HOWE, "21:00-01:45", "2027-04-03 14:50", "2027-04-03 15:15"),
        # Beirut goes forward at midnight: there is no 00:00 on 28 March 2027.
        (BEIRUT, "00:00-06:00", "2027-03-27 22:00", "2027-03-28 03:00"),
        (BEIRUT, "00:00-06:00", "2027-03-27 21:59:59", None),
        # Samoa skipped 30 December 2011 altogether.
        (SAMOA, "21:00-08:00", "2011-12-30 09:00", "2011-12-30 18:00"),
        (SAMOA, "09:00-17:00", "2011-12-30 09:59", None),
    ],
)
def test_nights_in_which_the_clock_jumps(zone: ZoneInfo, written: str, now: str, over: str | None) -> None:
    assert until(written, zone, now) == (over and utc(over))


def test_rules_that_touch_are_one_stretch_and_days_are_those_of_the_beginning() -> None:
    sunday = hours("00:00-24:00", frozenset({6}))
    saturday_evening = utc("2027-01-09 22:00")
    assert quiet_until([NIGHT, sunday], zone=LONDON, now=saturday_evening) == utc("2027-01-11 08:00")
    assert quiet_until([sunday], zone=LONDON, now=saturday_evening) is None
    late_on_fridays = hours("22:00-02:00", frozenset({4}))
    assert quiet_until([late_on_fridays], zone=LONDON, now=utc("2027-01-09 01:00")) == utc("2027-01-09 02:00")
    assert quiet_until([late_on_fridays], zone=LONDON, now=utc("2027-01-10 01:00")) is None


def test_each_place_has_its_own_night_and_an_unknown_zone_the_fallback() -> None:
    places = [Place("GB", "Europe/London"), Place("US", "America/New_York"), Place("GB", "../etc/passwd")]
    quiet = quiet_now(places, rules_of=lambda _: [NIGHT], fallback=LONDON, now=utc("2027-01-10 22:00"))
    over = utc("2027-01-11 08:00")
    assert quiet == [Quiet(places[0], over), Quiet(places[2], over)]
    assert quiet_now(places, rules_of=lambda _: [], fallback=LONDON, now=utc("2027-01-10 22:00")) == []


def test_rules_that_leave_no_minute_of_the_week_are_recognised() -> None:
    assert never_ends([hours("00:00-24:00")])
    assert never_ends([hours("20:00-08:00"), hours("08:00-20:00")])
    assert not never_ends([hours("20:00-08:00"), hours("08:00-19:59")])
    assert not never_ends([hours("00:00-24:00", EVERY_DAY - {2})])
    with pytest.raises(ValueError, match="never end"):
        quiet_until([hours("00:00-24:00")], zone=LONDON, now=utc("2027-01-10 22:00"))


def test_names_that_are_no_zone_are_none() -> None:
    assert zone_named("Europe/London") == LONDON
    assert [zone_named(name) for name in ("", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe")] == [
        None
    ] * 5


zones = st.sampled_from(
    ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Asia/Tokyo", "Africa/Casablanca"]
).map(ZoneInfo)
#: Around the clock changes of 2027 as often as not.
moments = st.one_of(
    st.datetimes(datetime(2027, 1, 1), datetime(2028, 1, 1)),  # noqa: DTZ001 - made UTC below
    st.builds(
        lambda change, minutes: change + timedelta(minutes=minutes),
        st.sampled_from(
            [
                datetime.fromisoformat(f"2027-{when}")
                for when in ("03-28 01:00", "10-31 01:00", "03-14 07:00", "11-07 06:00", "10-02 15:30", "04-03 15:00")
            ]
        ),
        st.integers(-400, 400),
    ),
).map(lambda moment: moment.replace(tzinfo=UTC))
rules = st.builds(
    QuietHours,
    start=st.integers(0, DAY_MINUTES - 1),
    end=st.integers(0, DAY_MINUTES),
    days=st.frozensets(st.integers(0, 6), min_size=1),
)


def on_the_wall(rule: QuietHours, wall: datetime) -> bool:
    """By the hands of the clock alone."""
    minute, day = wall.hour * 60 + wall.minute, wall.weekday()
    if rule.end > rule.start:
        return day in rule.days and rule.start <= minute < rule.end
    return (day in rule.days and minute >= rule.start) or ((day - 1) % 7 in rule.days and minute < rule.end)


@given(rule_set=st.lists(rules, min_size=1, max_size=4), zone=zones, now=moments)
def test_nobody_is_disturbed_while_her_clock_shows_quiet_hours(
    rule_set: list[QuietHours], zone: ZoneInfo, now: datetime
) -> None:
    assume(not never_ends(rule_set))
    over = quiet_until(rule_set, zone=zone, now=now)
    if any(on_the_wall(rule, now.astimezone(zone).replace(tzinfo=None)) for rule in rule_set):
        assert over is not None
    if over is not None:
        assert over > now
        assert not any(on_the_wall(rule, over.astimezone(zone).replace(tzinfo=None)) for rule in rule_set)
        assert quiet_until(rule_set, zone=zone, now=over) is None


@given(rule_set=st.lists(rules, min_size=1, max_size=4), zone=zones, now=moments)
def test_it_stays_as_it_is_until_it_is_said_to_turn_quiet(
    rule_set: list[QuietHours], zone: ZoneInfo, now: datetime
) -> None:
    assume(not never_ends(rule_set) and quiet_until(rule_set, zone=zone, now=now) is None)
    turns = quiet_from(rule_set, zone=zone, now=now)
    last = now + timedelta(days=1) if turns is None else turns - timedelta(microseconds=1)
    for step in range(9):
        between = now + (last - now) * step / 8
        assert quiet_until(rule_set, zone=zone, now=between) is None
    if turns is not None:
        assert quiet_until(rule_set, zone=zone, now=turns) is not None


@given(rule_set=st.lists(rules, min_size=1, max_size=3), zone=zones, now=moments)
def test_where_no_hour_comes_twice_quiet_is_exactly_what_the_clock_shows(
    rule_set: list[QuietHours], zone: ZoneInfo, now: datetime
) -> None:
    assume(not never_ends(rule_set))
    offsets = [(now + timedelta(hours=hour)).astimezone(zone).utcoffset() for hour in range(-49, 50)]
    assume(all(later is not None and earlier is not None and later >= earlier for earlier, later in pairwise(offsets)))
    shown = any(on_the_wall(rule, now.astimezone(zone).replace(tzinfo=None)) for rule in rule_set)
    assert (quiet_until(rule_set, zone=zone, now=now) is not None) == shown


@given(zone=zones, now=moments)
def test_a_time_on_the_wall_comes_no_later_first_than_last(zone: ZoneInfo, now: datetime) -> None:
    wall = now.replace(tzinfo=None, second=0, microsecond=0)
    first, last = first_instant(wall, zone), last_instant(wall, zone)
    assert first <= last
    assert first.astimezone(zone).replace(tzinfo=None) >= wall
    assert (first - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None) < wall
    assert (first == last) or last.astimezone(zone).replace(tzinfo=None) == wall


def test_midnight_is_that_of_the_wall() -> None:
    assert midnight(date(2027, 3, 28)) == datetime(2027, 3, 28)  # noqa: DTZ001 - on the wall
