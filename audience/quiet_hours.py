"""Quiet hours: when nobody wants to be disturbed, by the clock on the person's own wall.

They begin when that clock first comes to their beginning and are over when it last comes to their end. So in a night in
which the clock goes back they cover the hour that comes twice as a whole, and where it jumps over their beginning or
their end, the jump is that moment.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from audience.local_time import first_instant, last_instant, midnight, zone_named

DAY_MINUTES = 1_440
EVERY_DAY = frozenset(range(7))

_DAY = timedelta(days=1)
_MOST_STRETCHES = 100  # a week of stretches that touch each other is far below that


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """From `start` to `end`, in minutes from midnight; an end that is not after the start is on the next day."""

    start: int  # 0 to 1,439
    end: int  # 0 to 1,440
    days: frozenset[int] = EVERY_DAY  # on which they begin; Monday is 0

    @property
    def minutes(self) -> int:
        return self.end - self.start if self.end > self.start else self.end + DAY_MINUTES - self.start


class Place(NamedTuple):
    """Where customers live, as they are stored."""

    country: str  # ISO 3166-1 alpha-2
    timezone: str  # IANA


class Quiet(NamedTuple):
    """A place where it is quiet now."""

    place: Place
    until: datetime


def quiet_until(rules: Sequence[QuietHours], *, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When the quiet that reigns now is over, by all rules together; None when it is not quiet now."""
    over = _latest_end(rules, zone, now)
    if over is None:
        return None
    for _ in range(_MOST_STRETCHES):
        further = _latest_end(rules, zone, over)
        if further is None:
            return over
        over = further
    raise ValueError(f"the quiet hours in {zone} never end: {rules!r}")


def quiet_from(rules: Sequence[QuietHours], *, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When it next becomes quiet where it is not quiet now; None when it does not before the day after tomorrow."""
    today = now.astimezone(zone).date()
    stretches = (_stretch(rule, today + _DAY * offset, zone) for rule in rules for offset in (0, 1))
    return min((begins for begins, ends in filter(None, stretches) if now < begins < ends), default=None)


def quiet_now(
    places: Iterable[Place],
    *,
    rules_of: Callable[[str], Sequence[QuietHours]],
    fallback: ZoneInfo,
    now: datetime,
) -> list[Quiet]:
    """The places where it is quiet, each with the end of it. `rules_of` tells the rules of a country.

    A person whose zone is unknown is taken to live in the `fallback`.
    """
    found = []
    for place in places:
        rules = rules_of(place.country)
        until = quiet_until(rules, zone=zone_named(place.timezone) or fallback, now=now) if rules else None
        if until is not None:
            found.append(Quiet(place, until))
    return found


def never_ends(rules: Sequence[QuietHours]) -> bool:
    """Whether the rules together leave no minute of the week."""
    week = 7 * DAY_MINUTES
    quiet: set[int] = set()
    for rule in rules:
        for day in rule.days:
            begins = day * DAY_MINUTES + rule.start
            quiet.update(minute % week for minute in range(begins, begins + rule.minutes))
    return len(quiet) == week


def _latest_end(rules: Sequence[QuietHours], zone: ZoneInfo, now: datetime) -> datetime | None:
    """The latest end among the stretches that `now` lies in."""
    today = now.astimezone(zone).date()
    stretches = (_stretch(rule, today + _DAY * offset, zone) for rule in rules for offset in (-1, 0, 1))
    return max((ends for begins, ends in filter(None, stretches) if begins <= now < ends), default=None)


@lru_cache(maxsize=4_096)
def _stretch(rule: QuietHours, day: date, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """From when until when it is quiet, where a rule begins on that day; None where it does not."""
    if day.weekday() not in rule.days:
        return None
    begins = midnight(day) + timedelta(minutes=rule.start)
    return first_instant(begins, zone), last_instant(begins + timedelta(minutes=rule.minutes), zone)
