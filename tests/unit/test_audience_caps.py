"""From when on messages count for a cap: rolling windows, and the person's own calendar."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from audience.caps import Cap, Period, counting, counts_since, next_period, remembered_for
from channels.states import Channel

TICK = timedelta(microseconds=1)
LONDON = ZoneInfo("Europe/London")


def utc(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def cap(per: timedelta | Period) -> Cap:
    return Cap(name="some", channels=frozenset(Channel), most=1, per=per)


def test_a_rolling_window_leaves_out_what_is_exactly_its_length_ago() -> None:
    now = utc("2027-03-06 09:00")
    since = counts_since(timedelta(days=1), zone=LONDON, now=now)
    assert (since, since > now - timedelta(days=1)) == (now - timedelta(days=1) + TICK, True)


def test_a_rolling_window_is_as_long_in_a_night_in_which_the_clock_jumps() -> None:
    after = datetime(2027, 3, 28, 9, tzinfo=LONDON)
    assert counts_since(timedelta(days=1), zone=LONDON, now=after) == utc("2027-03-27 08:00") + TICK


@pytest.mark.parametrize(
    ("per", "zone", "now", "since"),
    [
        (Period.DAY, "Europe/London", "2027-01-10 00:00", "2027-01-10 00:00"),  # the day has just begun
        (Period.DAY, "Asia/Tokyo", "2027-01-10 14:59", "2027-01-09 15:00"),
        (Period.DAY, "Asia/Tokyo", "2027-01-10 15:00", "2027-01-10 15:00"),  # it is tomorrow already
        (Period.DAY, "America/New_York", "2027-01-10 04:59", "2027-01-09 05:00"),
        (Period.DAY, "Europe/London", "2027-03-28 12:00", "2027-03-28 00:00"),  # a day of 23 hours
        (Period.DAY, "Europe/London", "2027-10-31 23:59", "2027-10-30 23:00"),  # one of 25
        (Period.DAY, "Australia/Lord_Howe", "2027-10-03 12:00", "2027-10-02 13:30"),
        (Period.DAY, "Asia/Beirut", "2027-03-28 12:00", "2027-03-27 22:00"),  # midnight is jumped over
        (Period.WEEK, "Europe/London", "2027-01-10 23:59", "2027-01-04 00:00"),  # Sunday: still the week of Monday 4
        (Period.WEEK, "Europe/London", "2027-01-11 00:00", "2027-01-11 00:00"),
        (Period.WEEK, "America/New_York", "2027-03-15 03:00", "2027-03-08 05:00"),  # a Sunday of 23 hours there
        (Period.MONTH, "Europe/London", "2027-04-30 22:59", "2027-03-31 23:00"),
        (Period.MONTH, "Asia/Tokyo", "2027-04-30 15:00", "2027-04-30 15:00"),
    ],
)
def test_a_period_begins_by_the_persons_own_calendar(per: Period, zone: str, now: str, since: str) -> None:
    assert counts_since(per, zone=ZoneInfo(zone), now=utc(now)) == utc(since)


@pytest.mark.parametrize(
    ("per", "zone", "now", "begins"),
    [
        (Period.DAY, "Europe/London", "2027-03-27 12:00", "2027-03-28 00:00"),
        (Period.DAY, "Europe/London", "2027-03-28 00:00", "2027-03-28 23:00"),  # a day of 23 hours
        (Period.DAY, "Asia/Beirut", "2027-03-27 12:00", "2027-03-27 22:00"),  # its midnight is jumped over
        (Period.WEEK, "Europe/London", "2027-01-10 23:59", "2027-01-11 00:00"),
        (Period.WEEK, "Europe/London", "2027-01-11 00:00", "2027-01-18 00:00"),
        (Period.MONTH, "Europe/London", "2027-01-31 12:00", "2027-02-01 00:00"),
        (Period.MONTH, "Europe/London", "2027-02-01 00:00", "2027-03-01 00:00"),
        (Period.MONTH, "Asia/Tokyo", "2027-12-31 14:59", "2027-12-31 15:00"),
    ],
)
def test_the_next_period_begins_where_this_one_ends(per: Period, zone: str, now: str, begins: str) -> None:
    found = next_period(per, zone=ZoneInfo(zone), now=utc(now))
    assert found == utc(begins)
    assert counts_since(per, zone=ZoneInfo(zone), now=found) == found
    assert counts_since(per, zone=ZoneInfo(zone), now=found - TICK) < found


def test_every_cap_has_its_beginning_in_every_zone_and_an_unknown_zone_that_of_the_fallback() -> None:
    daily = cap(Period.DAY)
    found = counting([daily], timezones=["Asia/Tokyo", "nowhere"], fallback=LONDON, now=utc("2027-01-10 12:00"))
    assert found == [
        (daily, "Asia/Tokyo", utc("2027-01-09 15:00")),
        (daily, "nowhere", utc("2027-01-10 00:00")),
    ]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/London"])
@pytest.mark.parametrize("per", [*Period, timedelta(hours=3), timedelta(days=90)])
def test_what_no_cap_counts_any_more_is_older_than_what_is_remembered(per: timedelta | Period, zone: str) -> None:
    now = utc("2027-03-31 23:59")
    assert counts_since(per, zone=ZoneInfo(zone), now=now) > now - remembered_for([cap(per)])
