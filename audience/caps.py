"""Frequency caps: no more than so many messages to one person, in a rolling window or in a stretch of her calendar."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from audience.local_time import first_instant, midnight, zone_named
from channels.states import Channel

LONGEST_WINDOW = timedelta(days=366)

_TICK = timedelta(microseconds=1)


class Period(StrEnum):
    """A stretch of the person's own calendar."""

    DAY = "day"
    WEEK = "week"  # from Monday
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """At most `most` messages to one person on these channels together: in any window so long, or in each period."""

    name: str
    channels: frozenset[Channel]
    most: int
    per: timedelta | Period


class Since(NamedTuple):
    """From which instant on messages count for a cap, for people of one zone."""

    cap: Cap
    timezone: str
    since: datetime


def counts_since(per: timedelta | Period, *, zone: ZoneInfo, now: datetime) -> datetime:
    """The first instant whose message shares a window with one that leaves now.

    Of a rolling window of a day, what left a day ago to the microsecond shares none with it.
    """
    if isinstance(per, timedelta):
        return now.astimezone(UTC) - per + _TICK
    return first_instant(midnight(_begins(per, now.astimezone(zone).date())), zone)


def next_period(per: Period, *, zone: ZoneInfo, now: datetime) -> datetime:
    """When the person's calendar comes to the next day, week or month."""
    today = now.astimezone(zone).date()
    within_next = _begins(per, today) + timedelta(days={Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31}[per])
    return first_instant(midnight(_begins(per, within_next)), zone)


def counting(caps: Sequence[Cap], *, timezones: Iterable[str], fallback: ZoneInfo, now: datetime) -> list[Since]:
    """Every cap for every zone; who lives in an unknown one is taken to live in the `fallback`."""
    return [
        Since(cap, name, counts_since(cap.per, zone=zone_named(name) or fallback, now=now))
        for name in timezones
        for cap in caps
    ]


def _begins(per: Period, day: date) -> date:
    match per:
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)


def remembered_for(caps: Iterable[Cap]) -> timedelta:
    """For how long a message may still count for one of these caps, in any zone."""
    longest = {Period.DAY: timedelta(days=1), Period.WEEK: timedelta(days=7), Period.MONTH: timedelta(days=31)}
    lengths = (cap.per if isinstance(cap.per, timedelta) else longest[cap.per] for cap in caps)
    return max(lengths, default=timedelta()) + timedelta(days=2)
