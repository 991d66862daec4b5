"""What the clock on a person's wall shows, and the instants at which it comes to show a time, also where it jumps."""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]*")
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=1_024)
def zone_named(name: str) -> ZoneInfo | None:
    """The zone of an IANA name; None where there is none of that name."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clock first shows this time, in UTC; where it jumps over the time, the jump."""
    earlier, later = _readings(wall, zone)
    return earlier if earlier <= later else _jump(wall, zone, later, earlier)


def last_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clock last shows this time, in UTC; where it jumps over the time, the jump."""
    earlier, later = _readings(wall, zone)
    return later if earlier <= later else _jump(wall, zone, later, earlier)


def _readings(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """By the offset before a change of the clock and by the one after it. In a gap the first is the later instant."""
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


def _jump(wall: datetime, zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second at which the clock shows the time or a later one: `low` is before it, `high` is not."""
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (low, middle) if middle.astimezone(zone).replace(tzinfo=None) >= wall else (middle, high)
    return high
