"""Looking ahead before anything is asked or sent: whom a theme would reach, at what cost, what stands in the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import Session

from audience.limits_file import Limits
from audience.local_time import zone_named
from audience.quiet_hours import Place, quiet_until
from audience.segments import segments_named
from channels.message import SmsContent
from channels.registry import capabilities
from channels.sms.segments import segments_of
from channels.states import Channel
from models.delivery import ProviderAccount
from models.queries import capped, code_outlooks, outlooks, permits, provider_accounts
from models.queries.capped import Capping
from models.queries.outlooks import Capped, ChannelCounts, Staged
from models.queries.segments import audience_select, members_select
from models.theme import Theme
from themes.expiry import first_end, first_of_all
from themes.lacking import Lacking
from themes.money import EXPONENTS
from themes.preflight import (
    ChannelOutlook,
    CodeSupply,
    Counts,
    HeldUntil,
    Line,
    Outlook,
    Span,
    Supply,
    findings,
    look_at_channel,
)
from themes.recipient import NULLABLE, PREVIEW, recipient, sample
from themes.render import Renderer, RenderFailed
from themes.theme import Theme as ThemeValue
from themes.variables import codes_named, required_variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is asked before a review. Counts are of distinct addresses; `lacking` is channel -> variable -> who."""

    audience: int
    recipients: Mapping[Channel, int]
    lacking: Mapping[str, Mapping[str, Lacking]]

    def as_reach(self) -> dict[str, int]:
        return {"audience": self.audience, **{channel.value: count for channel, count in self.recipients.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What is looked at, and when."""

    theme: Theme
    value: ThemeValue
    staged: Staged
    now: datetime
    capped: dict[Capping, Capped] = field(default_factory=dict)  # asked once: most caps are the same on every channel

    @property
    def product_line_id(self) -> int:
        return self.theme.product_line_id


def audience_of(theme: Theme, value: ThemeValue, *, as_of: datetime) -> Select[Any]:
    """Ids of the customers whom a theme is for."""
    return audience_select(**_segments(value), product_line_id=theme.product_line_id, as_of=as_of)


def preflight(session: Session, *, theme: Theme, value: ThemeValue, now: datetime) -> Preflight:
    """The short one: how many would be reached, and for whom a message would fail."""
    view = _view(session, theme, value, now)
    counts = {channel: _count(session, view, channel) for channel in value.channels.used()}
    lacking = {channel.value: _lacking(session, view, channel) for channel in counts}
    return Preflight(
        audience=view.staged.size,
        recipients={channel: counted.recipients for channel, counted in counts.items()},
        lacking={channel: variables for channel, variables in lacking.items() if variables},
    )


def look_ahead(session: Session, *, theme: Theme, value: ThemeValue, public_url: str, now: datetime) -> Outlook:
    """The whole one, for a theme that begins at its start, or at once where that has passed."""
    view, starts_at = _view(session, theme, value, now), max(theme.starts_at, now)
    spans = {channel: Span(starts_at, first_end(value, channel)) for channel in value.channels.used()}
    lines = {channel: _lines(session, value, channel) for channel in value.channels.used()}
    channels = [
        _look(session, view, channel, span=spans[channel], lines=lines[channel], public_url=public_url)
        for channel in lines
    ]
    outlook = Outlook(
        theme=theme.key,
        counted_at=now,
        starts_at=starts_at,
        expires=first_of_all(value),
        currency=value.currency,
        audience=view.staged.size,
        by_segment=view.staged.by_segment,
        channels=channels,
        findings=(),
    )
    supplies = [Supply(offer=coupon.id, total=coupon.total) for coupon in value.coupons if coupon.total is not None]
    codes = _codes(session, view)
    return replace(outlook, findings=findings(outlook, lines=lines, supplies=supplies, codes=codes))


def sample_recipient(
    session: Session, theme: Theme, value: ThemeValue, *, public_url: str, now: datetime
) -> Mapping[str, Any]:
    """A real recipient where there is one, for previews."""
    view = _view(session, theme, value, now)
    found = (_sample(session, view, channel, public_url) for channel in value.channels.used())
    return next((who for who in found if who is not None), sample(theme_key=theme.key, public_url=public_url))


def _segments(value: ThemeValue) -> dict[str, Any]:
    return {
        "include": segments_named(value.audience.include),
        "exclude": segments_named(value.audience.exclude),
    }


def _view(session: Session, theme: Theme, value: ThemeValue, now: datetime) -> _View:
    members = members_select(**_segments(value), product_line_id=theme.product_line_id, as_of=now)
    staged = outlooks.stage(session, members, value.audience.include)
    return _View(theme=theme, value=value, staged=staged, now=now)


def _sample(session: Session, view: _View, channel: Channel, public_url: str) -> Mapping[str, Any] | None:
    customer = outlooks.sample_customer(session, view.staged, channel=channel, product_line_id=view.product_line_id)
    if customer is None:
        return None
    return recipient(
        external_id=customer.external_id,
        name=customer.name,
        country=customer.country,
        language=customer.language,
        timezone=customer.timezone,
        theme_key=view.theme.key,
        public_url=public_url,
        reference=PREVIEW,
    )


def _count(session: Session, view: _View, channel: Channel) -> ChannelCounts:
    line_id = view.product_line_id
    at = max(view.theme.starts_at, view.now)  # whoever had her message of the day today has room again tomorrow
    since = tuple(capped.capping(session, product_line_id=line_id, channel=channel, now=at))
    if since not in view.capped:
        view.capped[since] = outlooks.stage_capped(session, view.staged, since)
    had_enough = view.capped[since]
    return outlooks.count_channel(session, view.staged, channel=channel, product_line_id=line_id, capped=had_enough)


def _lacking(session: Session, view: _View, channel: Channel) -> dict[str, Lacking]:
    found = {
        variable: outlooks.lacking(
            session,
            view.staged,
            channel=channel,
            product_line_id=view.product_line_id,
            column_name=NULLABLE[variable],
        )
        for variable in sorted(required_variables(view.value, channel) & NULLABLE.keys())
    }
    return {variable: Lacking(count=count, names=names) for variable, (count, names) in found.items() if count}


def _look(
    session: Session, view: _View, channel: Channel, *, span: Span, lines: Sequence[Line], public_url: str
) -> ChannelOutlook:
    counted = _count(session, view, channel)
    return look_at_channel(
        channel=channel,
        counts=Counts(
            recipients=counted.recipients,
            by_segment=counted.by_segment,
            by_place={Place(group.country, group.timezone): group.recipients for group in counted.groups},
            suppressed=counted.suppressed,
            capped=counted.capped,
            left_out=counted.left_out,
        ),
        lines=lines,
        span=span,
        held_until=_quiet(capped.limits_of(session, view.product_line_id), channel),
        minor_digits=EXPONENTS[view.value.currency],
        segments=_sms_segments(session, view, public_url) if channel is Channel.SMS and counted.recipients else None,
        lacking=_lacking(session, view, channel),
    )


def _codes(session: Session, view: _View) -> list[CodeSupply]:
    """Of every coupon with single codes that some message carries."""
    named = {channel: codes_named(view.value, channel) for channel in view.value.channels.used()}
    found = {
        coupon: code_outlooks.count_codes(
            session,
            view.staged,
            theme_id=view.theme.id,
            coupon=coupon,
            channels=[channel for channel, coupons in named.items() if coupon in coupons],
            product_line_id=view.product_line_id,
        )
        for coupon in sorted({coupon for coupons in named.values() for coupon in coupons})
    }
    return [
        CodeSupply(offer=coupon, codes=count.codes, recipients=count.recipients)
        for coupon, count in found.items()
        if count is not None
    ]


def _quiet(limits: Limits | None, channel: Channel) -> HeldUntil:
    def held_until(place: Place, at: datetime) -> datetime:
        rules = limits.quiet_rules(channel, place.country) if limits is not None else ()
        if limits is None or not rules:
            return at
        return quiet_until(rules, zone=zone_named(place.timezone) or limits.fallback, now=at) or at

    return held_until


def _lines(session: Session, value: ThemeValue, channel: Channel) -> list[Line]:
    """The account that the theme names and those of its pool; none where it is gone by now."""
    account = provider_accounts.by_key(session, value.channels.used()[channel].account)
    pool = outlooks.pool_of(session, account) if account is not None else ()
    personal = bool(required_variables(value, channel))
    return [_line(one, personal=personal) for one in pool]


def _line(account: ProviderAccount, *, personal: bool) -> Line:
    """Contents that differ need a call each where the provider takes but one content a call."""
    able = capabilities(account.channel, account.provider)
    return Line(
        account=account.key,
        weight=account.weight,
        batch_size=1 if personal and not able.personal_content else able.batch_size,
        windows=permits.read_windows(account.windows),
        price=provider_accounts.price_of(account),
        paused_because=account.paused_because,
    )


def _sms_segments(session: Session, view: _View, public_url: str) -> int | None:
    """Of the message to one recipient; None where the provider holds the text, or it cannot be made."""
    who = _sample(session, view, Channel.SMS, public_url)
    try:
        content = Renderer(view.value, Channel.SMS).render(who) if who is not None else None
    except RenderFailed:
        return None
    return segments_of(content.text) if isinstance(content, SmsContent) and content.text else None
