"""A look ahead: what a theme would cost, how long it would take, what would stand in its way. Estimates, no promises.

Nothing is reserved and nothing is written. Counts are of the database as it is now; between now and the launch people
come, go and change their minds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import NamedTuple

from audience.quiet_hours import Place
from channels.price import Price
from channels.rate import Counted, RateWindow
from channels.states import Channel
from themes.expiry import End
from themes.lacking import Lacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One provider account of a channel, as far as an estimate needs it."""

    account: str
    weight: int = 1
    batch_size: int = 1
    windows: Sequence[RateWindow] = ()
    price: Price | None = None  # None: nobody said
    paused_because: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """One channel of the audience, counted. A recipient is an address, whoever shares it."""

    recipients: int
    by_segment: Mapping[str, int]  # segments overlap
    by_place: Mapping[Place, int]
    suppressed: int
    capped: int
    left_out: Mapping[str, int]  # reason -> customers


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """An offer that is limited in number."""

    offer: str
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSupply:
    """Single codes of a coupon, and the people whose message carries one."""

    offer: str
    codes: int  # free, or theirs already
    recipients: int


class FindingKind(StrEnum):
    """What stands in the way, the gravest first."""

    NOBODY = "nobody"
    LACKS_VARIABLE = "lacks_variable"
    ACCOUNT_PAUSED = "account_paused"
    EXPIRES = "expires"
    CAPPED = "capped"
    QUIET_HOURS = "quiet_hours"
    TOO_FEW_CODES = "too_few_codes"
    TOO_FEW_COUPONS = "too_few_coupons"
    COST_UNKNOWN = "cost_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    kind: FindingKind
    text: str
    channel: Channel | None = None
    count: int | None = None  # recipients that it is about


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOutlook:
    channel: Channel
    accounts: Sequence[str]
    recipients: int
    by_segment: Mapping[str, int]
    suppressed: int
    capped: int
    left_out: Mapping[str, int]
    held: int  # by quiet hours, at the start
    segments_a_message: int | None  # of an SMS, of a sample; None: it has none, or its text is the provider's
    cost_minor: int | None
    duration: timedelta | None  # of the calls alone, at the accounts' limits; None: none is known
    done_at: datetime | None  # quiet hours included; None: never, for no account is open
    would_expire: int
    expires: End  # the first of the theme and of the offers that its message names
    lacking: Mapping[str, Lacking] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a preflight found."""

    theme: str
    counted_at: datetime
    starts_at: datetime
    expires: End  # of the channel where it comes first
    currency: str
    audience: int
    by_segment: Mapping[str, int]
    channels: Sequence[ChannelOutlook]
    findings: Sequence[Finding]

    @property
    def cost_minor(self) -> int | None:
        """Of all channels; None as soon as one of them is not known."""
        costs = [one.cost_minor for one in self.channels]
        return None if None in costs else sum(cost or 0 for cost in costs)


class Span(NamedTuple):
    """When messages of a channel may leave."""

    starts_at: datetime
    expires: End


#: From when on a message to a place may leave, if it is to leave at an instant; the instant itself where nothing holds.
HeldUntil = Callable[[Place, datetime], datetime]


def look_at_channel(
    *,
    channel: Channel,
    counts: Counts,
    lines: Sequence[Line],
    span: Span,
    held_until: HeldUntil,
    minor_digits: int,
    segments: int | None,
    lacking: Mapping[str, Lacking],
) -> ChannelOutlook:
    waves = waves_of(counts.by_place, starts_at=span.starts_at, held_until=held_until)
    usable = usable_of(lines)
    done_at, late = play(waves, usable, expires_at=span.expires.at)
    return ChannelOutlook(
        channel=channel,
        accounts=[line.account for line in lines],
        recipients=counts.recipients,
        by_segment=counts.by_segment,
        suppressed=counts.suppressed,
        capped=counts.capped,
        left_out=counts.left_out,
        held=sum(count for at, count in waves if at > span.starts_at),
        segments_a_message=segments,
        cost_minor=cost_minor(counts.recipients, usable, minor_digits=minor_digits, segments=segments),
        duration=time_for(counts.recipients, usable),
        done_at=done_at,
        would_expire=late,
        expires=span.expires,
        lacking=lacking,
    )


def usable_of(lines: Sequence[Line]) -> Sequence[Line]:
    """Of the accounts that are not paused those with a weight; without any, those that only stand in."""
    unpaused = [line for line in lines if line.paused_because is None]
    return [line for line in unpaused if line.weight > 0] or unpaused


def waves_of(
    by_place: Mapping[Place, int], *, starts_at: datetime, held_until: HeldUntil
) -> Sequence[tuple[datetime, int]]:
    """When how many may leave, in the order of time."""
    waves: dict[datetime, int] = {}
    for place, count in by_place.items():
        at = held_until(place, starts_at)
        waves[at] = waves.get(at, 0) + count
    return sorted(waves.items())


def play(
    waves: Sequence[tuple[datetime, int]], lines: Sequence[Line], *, expires_at: datetime
) -> tuple[datetime | None, int]:
    """When the last message leaves, and how many would be late. A wave goes when the one before is through."""
    if not lines:
        return None, sum(count for _, count in waves)
    free_at, late = None, 0
    for at, count in waves:
        begins = at if free_at is None else max(at, free_at)
        room = most_before(expires_at - begins, lines)
        late += 0 if room is None else max(0, count - room)
        free_at = begins + (time_for(count, lines) or timedelta(0))
    return free_at, late


def time_for(recipients: int, lines: Sequence[Line]) -> timedelta | None:
    """From the first call to the last at the limits of the accounts; None where an account has none.

    Recipients are shared out by weight, so the account that takes longest says when all is done.
    """
    shares = _shares(recipients, lines)
    times = [_time_on(line, share) for line, share in zip(lines, shares, strict=True) if share]
    known = [time for time in times if time is not None]
    return max(known, default=timedelta(0)) if len(known) == len(times) else None


def most_before(span: timedelta, lines: Sequence[Line]) -> int | None:
    """How many recipients the accounts together can take before a span is over, shared by weight; None: any number."""
    if span <= timedelta(0):
        return 0
    weights = _weights(lines)
    bounds = [(_most_on(line, span), weight) for line, weight in zip(lines, weights, strict=True)]
    known = [most * sum(weights) // weight for most, weight in bounds if most is not None]
    return min(known, default=None)


def cost_minor(recipients: int, lines: Sequence[Line], *, minor_digits: int, segments: int | None = None) -> int | None:
    """What the providers charge, in minor units and rounded up; None where an account that has a share has no price.

    `segments` are those of one message; where they are not known a message has one.
    """
    total = Decimal(0)
    for line, share in zip(lines, _shares(recipients, lines), strict=True):
        if share and line.price is None:
            return None
        total += line.price.of(recipients=share, segments=share * (segments or 1)) if line.price else 0
    charged = bool(lines) or not recipients
    return int(total.scaleb(minor_digits).to_integral_value(rounding=ROUND_CEILING)) if charged else None


def findings(
    outlook: Outlook,
    *,
    lines: Mapping[Channel, Sequence[Line]],
    supplies: Sequence[Supply],
    codes: Sequence[CodeSupply] = (),
) -> Sequence[Finding]:
    """What people should know before they ask for approval, the gravest first."""
    found = [finding for one in outlook.channels for finding in _about(one, lines[one.channel])]
    if not any(one.recipients for one in outlook.channels):
        found.append(Finding(kind=FindingKind.NOBODY, text="nobody would be reached on any channel", count=0))
    found += [*_about_codes(codes), *_about_supplies(outlook, supplies)]
    order = list(FindingKind)
    return sorted(found, key=lambda finding: order.index(finding.kind))


def _about(one: ChannelOutlook, lines: Sequence[Line]) -> Iterator[Finding]:
    def finding(kind: FindingKind, text: str, count: int | None = None) -> Finding:
        return Finding(kind=kind, text=text, channel=one.channel, count=count)

    for variable, lacking in one.lacking.items():
        text = f"{variable} is missing for {lacking}"
        yield finding(FindingKind.LACKS_VARIABLE, text, lacking.count)
    paused = [line for line in lines if line.paused_because is not None]
    for line in paused:
        yield finding(FindingKind.ACCOUNT_PAUSED, f"account {line.account} is paused: {line.paused_because}")
    if one.would_expire:
        until = one.expires.at.isoformat(sep=" ", timespec="minutes")
        text = f"{one.would_expire:,} of {one.recipients:,} could not leave before {one.expires.of} ends, {until}"
        yield finding(FindingKind.EXPIRES, text, one.would_expire)
    if one.capped:
        yield finding(FindingKind.CAPPED, f"{one.capped:,} have had all that their caps allow", one.capped)
    if one.held:
        yield finding(FindingKind.QUIET_HOURS, f"{one.held:,} are held by quiet hours at the start", one.held)
    priceless = [line.account for line in usable_of(lines) if line.price is None]
    if one.recipients and priceless:
        yield finding(FindingKind.COST_UNKNOWN, f"no price is known of {', '.join(priceless)}")


def _about_supplies(outlook: Outlook, supplies: Sequence[Supply]) -> Iterator[Finding]:
    most = max((one.recipients for one in outlook.channels), default=0)
    for supply in supplies:
        if supply.total < most:
            text = f"{supply.offer}: {supply.total:,} for {most:,} recipients"
            yield Finding(kind=FindingKind.TOO_FEW_COUPONS, text=text, count=most - supply.total)


def _about_codes(supplies: Sequence[CodeSupply]) -> Iterator[Finding]:
    for supply in supplies:
        if supply.codes < supply.recipients:
            text = f"{supply.offer}: {supply.codes:,} codes for {supply.recipients:,} people whose message carries one"
            yield Finding(kind=FindingKind.TOO_FEW_CODES, text=text, count=supply.recipients - supply.codes)


def _weights(lines: Sequence[Line]) -> list[int]:
    """Where all only stand in, all the same."""
    return [line.weight for line in lines] if any(line.weight for line in lines) else [1] * len(lines)


def _shares(recipients: int, lines: Sequence[Line]) -> list[int]:
    """Shared out by weight; what does not go in whole goes to the first."""
    weights = _weights(lines)
    shares = [recipients * weight // sum(weights) for weight in weights]
    if shares:
        shares[0] += recipients - sum(shares)
    return shares


def _time_on(line: Line, recipients: int) -> timedelta | None:
    """A window's first calls may leave at once, those of its last turn at the beginning of it."""
    times = [window.per * ((_units(line, window, recipients) - 1) // window.at_most) for window in line.windows]
    return max(times, default=None)


def _most_on(line: Line, span: timedelta) -> int | None:
    """In turns that begin before the span is over."""
    bounds = [
        -(-span // window.per) * window.at_most * (1 if window.counts is Counted.RECIPIENTS else line.batch_size)
        for window in line.windows
    ]
    return min(bounds, default=None)


def _units(line: Line, window: RateWindow, recipients: int) -> int:
    return recipients if window.counts is Counted.RECIPIENTS else -(-recipients // line.batch_size)
