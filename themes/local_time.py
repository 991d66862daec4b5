"""Local times as people write them in a zone, and the instants that they mean."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?")
ALLOWED = 'a local time such as "2027-03-06T00:00"'
NOTATION = "%Y-%m-%d %H:%M"


class TimeUnreadable(ValueError):
    """A time is written as date and time of day: 2027-03-06T00:00."""


class TimeNeverComes(ValueError):
    """The clocks jump over this local time."""

    def __init__(self, *, written: str, zone: ZoneInfo, next_at: datetime) -> None:
        self.zone, self.next_at = zone, next_at
        super().__init__(
            f"{written} does not exist in {zone}: the clocks go forward; from {next_at:{NOTATION}} on it does"
        )


class TimeComesTwice(ValueError):
    """The clocks go back over this local time; its offset has to be written."""

    def __init__(self, *, written: str, zone: ZoneInfo, offsets: tuple[str, str]) -> None:
        self.zone, self.offsets = zone, offsets
        choice = " or ".join(f'"{written}{offset}"' for offset in offsets)
        super().__init__(f"{written} comes twice in {zone}: the clocks go back; write {choice}")


class OffsetWrong(ValueError):
    """The offset that is written is not the zone's at that time."""

    def __init__(self, *, written: str, zone: ZoneInfo, offset: str) -> None:
        self.zone, self.offset = zone, offset
        super().__init__(f"{written} is not local to {zone}, which is at {offset} then; leave the offset out")


def instant(written: str, zone: ZoneInfo) -> datetime:
    """The UTC instant of a local time; an offset may be written where the zone has it.

    Raises:
        TimeUnreadable, TimeNeverComes, TimeComesTwice, OffsetWrong: the time means no instant, or two.
    """
    if not _WRITTEN.fullmatch(written):
        raise TimeUnreadable
    try:
        value = datetime.fromisoformat(written)
        return _with_offset(value, written, zone) if value.tzinfo else _without_offset(value, written, zone)
    except (OverflowError, TimeUnreadable):
        raise TimeUnreadable from None
    except ValueError as error:
        if isinstance(error, TimeNeverComes | TimeComesTwice | OffsetWrong):
            raise
        raise TimeUnreadable from error


def in_zone(at: datetime, zone: ZoneInfo) -> str:
    """For people: `2027-03-06 00:00`, with the offset where the local time alone would mean two instants."""
    local = at.astimezone(zone)
    twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    seconds = f"{local:{NOTATION}:%S}" if local.second else f"{local:{NOTATION}}"
    return seconds + (offset_of(local) if twice else "")


def offset_of(at: datetime) -> str:
    offset = at.utcoffset() or timedelta()
    minutes = abs(offset) // timedelta(minutes=1)
    return f"{'-' if offset < timedelta() else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _with_offset(value: datetime, written: str, zone: ZoneInfo) -> datetime:
    local = value.astimezone(zone)
    if local.utcoffset() != value.utcoffset():
        raise OffsetWrong(written=written, zone=zone, offset=offset_of(local))
    return value.astimezone(UTC)


def _without_offset(value: datetime, written: str, zone: ZoneInfo) -> datetime:
    first, second = value.replace(tzinfo=zone), value.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    back = first.astimezone(UTC).astimezone(zone)
    if back.replace(tzinfo=None) != value:
        raise TimeNeverComes(written=written, zone=zone, next_at=_after_gap(second, first))
    raise TimeComesTwice(written=written, zone=zone, offsets=(offset_of(first), offset_of(second)))


def _after_gap(second: datetime, first: datetime) -> datetime:
    # In a gap fold=0 carries the offset from before it: the jump is the last instant that both readings straddle.
    zone = first.tzinfo
    low, high = second.astimezone(UTC), first.astimezone(UTC)
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high.astimezone(zone)
