"""The file in which ops say when a product line keeps quiet, and how much one person may get."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

import phonenumbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from audience.caps import LONGEST_WINDOW, Cap, Period
from audience.errors import LimitsInvalid
from audience.local_time import zone_named
from audience.quiet_hours import DAY_MINUTES, EVERY_DAY, QuietHours, never_ends
from channels.states import Channel
from documents.source import SourceUnreadable, read_mapping

#: Quiet hours of a rule that knows none: a country that others would hold for.
NO_HOURS = "none"

_HOURS = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")
_WINDOW = re.compile(r"([1-9][0-9]{0,5})([dhm])")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
#: What people write in place of the code of ISO 3166-1.
_MEANT = {"UK": "GB", "EL": "GR"}


class Day(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_WEEK = tuple(Day)


def _hours(text: object) -> object:
    if text != NO_HOURS:
        start, end = _minutes_of(str(text))
        if start == end:
            raise ValueError("begin and end at the same time: write 00:00-24:00 for the whole day, or none")
    return text


def _minutes_of(text: str) -> tuple[int, int]:
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError("must be hours such as 21:00-08:00, or none")
    start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if max(start_minute, end_minute) > 59 or start >= DAY_MINUTES or end > DAY_MINUTES:  # noqa: PLR2004 - minutes
        raise ValueError("must lie between 00:00 and 24:00, such as 21:00-08:00")
    return start, end


def _per(text: object) -> object:
    if text not in list(Period) and _window_of(str(text)) > LONGEST_WINDOW:
        raise ValueError(f"must not be longer than {LONGEST_WINDOW.days}d")
    return text


def _window_of(text: str) -> timedelta:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"must be {', '.join(Period)} of the person's calendar, or a rolling window such as 24h or 7d")
    return int(match[1]) * _UNITS[match[2]]


def _country(code: str) -> str:
    if code not in phonenumbers.SUPPORTED_REGIONS:
        meant = _MEANT.get(code.upper()) or (code.upper() if code.upper() in phonenumbers.SUPPORTED_REGIONS else None)
        raise ValueError(f"{code!r} is no country of ISO 3166-1" + (f"; did you mean {meant}?" if meant else ""))
    return code


def _norway(code: object) -> object:
    return "NO" if code is False else code  # YAML reads Norway's code as a plain no


def _zone(name: str) -> str:
    if zone_named(name) is None:
        raise ValueError(f"{name!r} is no zone; one is written such as Europe/London")
    return name


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Country = Annotated[str, BeforeValidator(_norway), AfterValidator(_country)]
Channels = Annotated[list[Channel], Field(min_length=1)]


class QuietRule(_Part):
    channels: Channels
    countries: Annotated[list[Country], Field(min_length=1)] | None = None
    hours: Annotated[str, BeforeValidator(_hours)]
    days: Annotated[list[Day], Field(min_length=1)] | None = None  # on which they begin

    def as_quiet_hours(self) -> QuietHours | None:
        if self.hours == NO_HOURS:
            return None
        start, end = _minutes_of(self.hours)
        days = EVERY_DAY if self.days is None else frozenset(_WEEK.index(day) for day in self.days)
        return QuietHours(start=start, end=end, days=days)


class CapRule(_Part):
    cap: Annotated[str, Field(min_length=1, max_length=80)]
    channels: Channels = list(Channel)  # counted together
    most: Annotated[int, Field(ge=1, le=10_000)]
    per: Annotated[str, BeforeValidator(_per)]

    def as_cap(self) -> Cap:
        per = Period(self.per) if self.per in list(Period) else _window_of(self.per)
        return Cap(name=self.cap, channels=frozenset(self.channels), most=self.most, per=per)


class Limits(_Part):
    """What holds for the messages of one product line."""

    product_line: Annotated[str, Field(min_length=1)]
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"  # of people whose own zone is unknown
    quiet_hours: list[QuietRule] = []
    caps: list[CapRule] = []

    @property
    def fallback(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def quiet_rules(self, channel: Channel, country: str) -> Sequence[QuietHours]:
        """The rules that name the country, or else those that name none."""
        of_channel = [rule for rule in self.quiet_hours if channel in rule.channels]
        naming = [rule for rule in of_channel if rule.countries is not None and country in rule.countries]
        rules = naming or [rule for rule in of_channel if rule.countries is None]
        return [hours for rule in rules if (hours := rule.as_quiet_hours()) is not None]

    def keeps_quiet(self, channel: Channel) -> bool:
        return any(channel in rule.channels and rule.hours != NO_HOURS for rule in self.quiet_hours)

    def caps_on(self, channel: Channel) -> Sequence[Cap]:
        return [rule.as_cap() for rule in self.caps if channel in rule.channels]

    @model_validator(mode="after")
    def _something_may_leave(self) -> Self:
        countries = {country for rule in self.quiet_hours for country in rule.countries or ()}
        for channel in Channel:
            for country in sorted(countries | {""}):
                if never_ends(self.quiet_rules(channel, country)):
                    where = country or "the countries that are not named"
                    raise ValueError(f"quiet_hours leave no minute of the week for {channel} in {where}")
        return self

    @model_validator(mode="after")
    def _each_cap_once(self) -> Self:
        if twice := _more_than_once(rule.cap for rule in self.caps):
            raise ValueError(f"caps: {', '.join(twice)} stands there more than once")
        return self


class _File(_Part):
    limits: Annotated[list[Limits], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_line_once(self) -> Self:
        if twice := _more_than_once(entry.product_line for entry in self.limits):
            raise ValueError(f"product line {', '.join(twice)} stands there more than once")
        return self


def read_limits(text: str, *, where: str) -> Sequence[Limits]:
    """Read a limits file.

    Raises:
        LimitsInvalid: with every problem that could be seen at once.
    """
    try:
        raw = read_mapping(text, is_not="a limits file: it begins with `limits:`, a list of product lines")
    except SourceUnreadable as unreadable:
        raise LimitsInvalid(where=where, problems=[str(problem) for problem in unreadable.problems]) from None
    try:
        return _File.model_validate(raw).limits
    except ValidationError as invalid:
        raise LimitsInvalid(where=where, problems=[_problem(item) for item in invalid.errors()]) from None


def _problem(item: Mapping[str, object]) -> str:
    loc, said = item["loc"], str(item["msg"]).removeprefix("Value error, ")
    place = ".".join(map(str, loc)) if isinstance(loc, tuple) else ""
    if item["type"] == "extra_forbidden":
        name = str(loc[-1]) if isinstance(loc, tuple) else ""
        near = get_close_matches(name, _KNOWN, n=1)
        said = f"is unknown here; did you mean {near[0]}?" if near else "is unknown here"
    return f"{place or 'the file'}: {said}"


_KNOWN = [name for part in (_File, Limits, QuietRule, CapRule) for name in part.model_fields]


def _more_than_once(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
