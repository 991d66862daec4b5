"""What holds at once for the places of a batch, and what becomes of what must not leave."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from audience.limits_file import Limits
from audience.quiet_hours import Place
from audience.restraint import Restraint, becomes, restraint
from channels.states import Channel, DeliveryState

LONDON, TOKYO, NEW_YORK = (
    Place("GB", "Europe/London"),
    Place("JP", "Asia/Tokyo"),
    Place("US", "America/New_York"),
)
NIGHT = {"channels": ["sms"], "hours": "21:00-08:00"}
DAILY = {"cap": "daily", "most": 1, "per": "day"}
ROLLING = {"cap": "rolling", "most": 1, "per": "24h"}


def utc(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def at(now: str, places: Sequence[Place], *, capped: bool = True, **rules: object) -> Restraint:
    limits = Limits.model_validate({"product_line": "some", **rules})
    return restraint(limits, channel=Channel.SMS, places=places, capped=capped, now=utc(now))


def test_some_places_sleep_while_others_are_awake() -> None:
    found = at("2027-01-10 22:00", [LONDON, TOKYO, NEW_YORK], quiet_hours=[NIGHT])
    assert dict(found.quiet) == {LONDON: utc("2027-01-11 08:00"), TOKYO: utc("2027-01-10 23:00")}
    assert found.good_until == utc("2027-01-11 02:00")  # 21:00 in New York


@pytest.mark.parametrize(
    ("rules", "until"),
    [
        ({"quiet_hours": [NIGHT]}, "2027-01-10 21:00"),
        ({"caps": [DAILY]}, "2027-01-10 15:00"),  # midnight in Tokyo
        ({"caps": [ROLLING]}, None),
        ({"caps": [DAILY], "quiet_hours": [{**NIGHT, "hours": "12:30-13:00"}]}, "2027-01-10 12:30"),
        ({"quiet_hours": [{**NIGHT, "days": ["fri"]}]}, None),  # not before days have gone by
    ],
)
def test_what_may_leave_is_good_until_the_first_evening_or_midnight(rules: dict[str, Any], until: str | None) -> None:
    places = [LONDON, TOKYO] if "caps" in rules else [LONDON]
    assert at("2027-01-10 12:00", places, **rules).good_until == (until and utc(until))


def test_without_places_or_rules_nothing_holds() -> None:
    nothing = Restraint(quiet=[], counting=[], good_until=None)
    assert at("2027-01-10 12:00", [], quiet_hours=[NIGHT], caps=[DAILY]) == nothing
    assert at("2027-01-10 12:00", [LONDON]) == nothing
    assert at("2027-01-10 12:00", [LONDON], capped=False, caps=[DAILY]) == nothing


@pytest.mark.parametrize(
    ("until", "expires", "state"),
    [
        (None, None, DeliveryState.CAPPED),
        (None, "2027-01-10 00:00", DeliveryState.CAPPED),
        ("2027-01-10 08:00", None, DeliveryState.HELD),
        ("2027-01-10 08:00", "2027-01-10 08:00:01", DeliveryState.HELD),
        ("2027-01-10 08:00", "2027-01-10 08:00", DeliveryState.EXPIRED),
    ],
)
def test_what_must_not_leave_is_capped_held_or_expired(
    until: str | None, expires: str | None, state: DeliveryState
) -> None:
    quiet_until = None if until is None else utc(until)
    expires_at = None if expires is None else utc(expires)
    assert becomes(quiet_until=quiet_until, expires_at=expires_at) is state
