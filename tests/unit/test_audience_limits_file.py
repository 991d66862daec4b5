"""The limits file: what it says, and what is refused with the place and the remedy."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from audience.caps import Cap, Period
from audience.errors import LimitsInvalid
from audience.limits_file import Limits, read_limits
from audience.quiet_hours import QuietHours
from channels.states import Channel

FILE = """
limits:
  - product_line: giftware-eu
    timezone: Europe/London
    quiet_hours:
      - channels: [sms, push]
        hours: 21:00-08:00
      - channels: [sms]
        countries: [FR, NO]
        hours: 20:00-10:00
      - channels: [sms]
        countries: [FR]
        days: [sun]
        hours: 00:00-24:00
      - channels: [push]
        countries: [JP]
        hours: none
    caps:
      - cap: one text a day
        channels: [sms]
        most: 1
        per: day
      - cap: three a week
        most: 3
        per: 7d
"""


def read(text: str) -> Limits:
    (limits,) = read_limits(text, where="limits.yaml")
    return limits


def refused(old: str, new: str) -> str:
    with pytest.raises(LimitsInvalid) as caught:
        read_limits(FILE.replace(old, new, 1), where="limits.yaml")
    assert old in FILE
    return str(caught.value)


def test_a_country_that_is_named_follows_only_the_rules_that_name_it() -> None:
    limits = read(FILE)
    night = QuietHours(start=21 * 60, end=8 * 60)
    french = QuietHours(start=20 * 60, end=10 * 60)
    sunday = QuietHours(start=0, end=24 * 60, days=frozenset({6}))
    assert limits.quiet_rules(Channel.SMS, "GB") == [night]
    assert limits.quiet_rules(Channel.SMS, "FR") == [french, sunday]
    assert limits.quiet_rules(Channel.SMS, "NO") == [french]  # which YAML takes for a no
    assert limits.quiet_rules(Channel.PUSH, "FR") == [night]
    assert limits.quiet_rules(Channel.PUSH, "JP") == []
    assert limits.quiet_rules(Channel.EMAIL, "GB") == []
    assert [channel for channel in Channel if limits.keeps_quiet(channel)] == [Channel.SMS, Channel.PUSH]


def test_caps_hold_for_the_channels_that_they_name_or_for_all_together() -> None:
    limits = read(FILE)
    daily = Cap(name="one text a day", channels=frozenset({Channel.SMS}), most=1, per=Period.DAY)
    weekly = Cap(name="three a week", channels=frozenset(Channel), most=3, per=timedelta(days=7))
    assert limits.caps_on(Channel.SMS) == [daily, weekly]
    assert limits.caps_on(Channel.EMAIL) == [weekly]
    assert limits.fallback == ZoneInfo("Europe/London")


def test_what_is_stored_is_read_back_the_same() -> None:
    limits = read(FILE)
    assert Limits.model_validate_json(limits.model_dump_json()) == limits


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("hours: 21:00-08:00", "hours: 21:00", "limits.0.quiet_hours.0.hours: must be hours such as 21:00-08:00"),
        ("hours: 21:00-08:00", "hours: 9pm-8am", "must be hours such as 21:00-08:00, or none"),
        ("hours: 21:00-08:00", "hours: 21:60-08:00", "must lie between 00:00 and 24:00"),
        ("hours: 21:00-08:00", "hours: 24:00-08:00", "must lie between 00:00 and 24:00"),
        ("hours: 21:00-08:00", "hours: 21:00-21:00", "write 00:00-24:00 for the whole day"),
        ("hours: 21:00-08:00", "hours: 00:00-24:00", "leave no minute of the week for sms in the countries that are"),
        ("[FR, NO]", "[UK]", "'UK' is no country of ISO 3166-1; did you mean GB?"),
        ("[FR, NO]", "[fr]", "'fr' is no country of ISO 3166-1; did you mean FR?"),
        ("[FR, NO]", "[ZZ]", "'ZZ' is no country of ISO 3166-1"),
        ("channels: [sms, push]", "channels: []", "limits.0.quiet_hours.0.channels"),
        ("channels: [sms, push]", "channels: [fax]", "limits.0.quiet_hours.0.channels.0"),
        ("timezone: Europe/London", "timezone: Europe/Londn", "'Europe/Londn' is no zone"),
        ("per: 7d", "per: fortnight", "day, week, month of the person's calendar, or a rolling window such as 24h"),
        ("per: 7d", "per: 0d", "rolling window such as 24h or 7d"),
        ("per: 7d", "per: 367d", "must not be longer than 366d"),
        ("most: 3", "most: 0", "limits.0.caps.1.most"),
        ("cap: three a week", "cap: one text a day", "one text a day stands there more than once"),
        ("most: 3", "mots: 3", "limits.0.caps.1.mots: is unknown here; did you mean most?"),
        ("limits:", "limit:", "limit: is unknown here; did you mean limits?"),
        ("limits:", "- limits:", "begins with `limits:`"),
        ("limits:", "limits: [", "is not YAML at line"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place_and_the_remedy(old: str, new: str, said: str) -> None:
    message = refused(old, new)
    assert said in message
    assert message.startswith("limits.yaml cannot be used as it is:")


def test_a_product_line_stands_there_once() -> None:
    twice = FILE + FILE.replace("limits:\n", "").lstrip("\n")
    with pytest.raises(LimitsInvalid, match="product line giftware-eu stands there more than once"):
        read_limits(twice, where="limits.yaml")


def test_every_problem_is_told_at_once() -> None:
    broken = FILE.replace("most: 3", "most: 0").replace("[FR, NO]", "[UK]").replace("per: day", "per: year")
    with pytest.raises(LimitsInvalid) as caught:
        read_limits(broken, where="limits.yaml")
    assert len(caught.value.problems) == 3
