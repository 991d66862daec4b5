"""What keeps a message from somebody now, by the place where she lives: quiet hours, and from when on caps count."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from audience.caps import Period, Since, counting, next_period
from audience.limits_file import Limits
from audience.local_time import zone_named
from audience.quiet_hours import Place, Quiet, quiet_from, quiet_now
from channels.states import Channel, DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class Restraint:
    """Of some places, at one instant, on one channel."""

    quiet: Sequence[Quiet]  # places where nothing may leave, each with the end of that
    counting: Sequence[Since]  # every cap for every zone
    good_until: (
        datetime | None
    )  # what may leave now may not from then on, or counts for another day; None: in a day or more


def restraint(limits: Limits, *, channel: Channel, places: Iterable[Place], capped: bool, now: datetime) -> Restraint:
    """`capped` says whether the caps hold for these messages at all."""
    where = list(places)
    zones = sorted({place.timezone for place in where})
    caps = limits.caps_on(channel) if capped else ()
    quiet = quiet_now(
        where, rules_of=lambda country: limits.quiet_rules(channel, country), fallback=limits.fallback, now=now
    )
    asleep = {found.place for found in quiet}
    turns = [
        quiet_from(limits.quiet_rules(channel, place.country), zone=_zone(place.timezone, limits), now=now)
        for place in where
        if place not in asleep
    ]
    periods = {cap.per for cap in caps if isinstance(cap.per, Period)}
    turns += [next_period(per, zone=_zone(name, limits), now=now) for name in zones for per in periods]
    return Restraint(
        quiet=quiet,
        counting=counting(caps, timezones=zones, fallback=limits.fallback, now=now),
        good_until=min(filter(None, turns), default=None),
    )


def becomes(*, quiet_until: datetime | None, expires_at: datetime | None) -> DeliveryState:
    """The state of a delivery that must not leave now: it is quiet until then, or else a cap is reached."""
    if quiet_until is None:
        return DeliveryState.CAPPED
    if expires_at is not None and quiet_until >= expires_at:
        return DeliveryState.EXPIRED
    return DeliveryState.HELD


def _zone(name: str, limits: Limits) -> ZoneInfo:
    return zone_named(name) or limits.fallback
