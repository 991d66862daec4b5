"""Bringing a live theme to its recipients: open and plan its distributions, and see that senders are at work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import task
from sqlalchemy import Select
from sqlalchemy.orm import Session

from channels.service import distribution, planning, receipts
from channels.service.codes import coupons_of
from channels.service.distribution import ChannelProgress
from channels.service.errors import DistributionClosed
from channels.states import Channel, Purpose
from models.delivery import Distribution, DistributionState
from models.queries import distributions, steps, themes
from settings import get_settings
from tasks.connection import clock, database
from themes.expiry import first_end
from themes.revision import load
from themes.service.preflight import audience_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    distribution_id: int
    channel: Channel
    rows: int
    new: int
    left_out: dict[str, int]
    closed_because: str | None = None  # nothing was planned: the theme was taken down, or ended, meanwhile


@task(name="open distributions", retries=3, retry_delay_seconds=1)
def open_distributions(theme_id: int) -> list[int]:
    """One distribution a channel, for the revision that is live; opened twice it is opened once."""
    with database().begin() as session:
        theme = themes.theme_by_id(session, theme_id, lock=True)
        if theme.revision_id is None:
            return []
        value = load(themes.revision_by_id(session, theme.revision_id).content)
        accounts = {channel: message.account for channel, message in value.channels.used().items()}
        ends = {channel: first_end(value, channel).at for channel in accounts}
        opened = distribution.open_distributions(
            session, theme=theme, accounts=accounts, segment_as_of=clock(), expires_at=ends
        )
        return [one.id for one in opened]


@task(name="plan channel", task_run_name="plan distribution {distribution_id}", retries=3, retry_delay_seconds=1)
def plan_channel(distribution_id: int, flow_run_id: UUID | None) -> Planned:
    """Create the rows of one channel that are missing, in chunks; none of a theme that is over meanwhile."""
    with database().begin() as session:
        row = distributions.by_id(session, distribution_id)
    if row is None:
        raise LookupError(f"there is no distribution {distribution_id}")
    began_at = clock()
    try:
        report = planning.plan(
            database(), distribution_id=row.id, audience_of=_audience, now=began_at, coupons_of=coupons_of
        )
    except DistributionClosed as closed:
        return _unplanned(row, closed)
    with database().begin() as session:
        name = f"plan · {row.channel}"
        steps.begin_step(session, theme_id=row.theme_id, name=name, now=began_at, flow_run_id=flow_run_id)
        outcome = f"{report.planned} planned" + (f", {report.over_cap} over a cap as yet" if report.over_cap else "")
        steps.finish_step(session, theme_id=row.theme_id, name=name, now=clock(), outcome=outcome)
        steps.begin_step(session, theme_id=row.theme_id, name=f"send · {row.channel}", now=clock())
    return Planned(
        distribution_id=row.id,
        channel=row.channel,
        rows=report.planned,
        new=report.new,
        left_out=dict(report.left_out),
    )


def _audience(session: Session, row: Distribution) -> Select[Any]:
    theme = themes.theme_by_id(session, row.theme_id)
    value = load(themes.revision_by_id(session, row.revision_id).content)
    return audience_of(theme, value, as_of=row.segment_as_of)


@task(name="mend plans", retries=3, retry_delay_seconds=1)
def mend_plans() -> str:
    """Create rows of live themes that are missing: lost, of a plan that was broken off, or for want of codes."""
    mended = planning.plan_missing(database(), audience_of=_audience, now=clock(), coupons_of=coupons_of)
    return f"{mended.looked_at} looked at, {sum(mended.made.values())} rows made"


def _unplanned(row: Distribution, closed: DistributionClosed) -> Planned:
    return Planned(
        distribution_id=row.id, channel=row.channel, rows=0, new=0, left_out={}, closed_because=closed.because
    )


def progress(theme_id: int) -> Sequence[ChannelProgress]:
    with database().begin() as session:
        return distribution.progress(session, theme_id=theme_id, now=clock())


def senders_wanted(distribution_id: int) -> int:
    """How many senders are of use now."""
    with database().begin() as session:
        return distribution.senders_wanted(
            session, distribution_id=distribution_id, batch=get_settings().sender_batch, now=clock()
        )


def is_being_sent(distribution_id: int) -> bool:
    with database().begin() as session:
        return distributions.is_being_sent(session, distribution_id=distribution_id, now=clock())


@task(name="settle finished channels", retries=3, retry_delay_seconds=1)
def settle_finished(theme_id: int) -> None:
    """Complete what is done, and note it in the timeline."""
    with database().begin() as session:
        for one in distribution.progress(session, theme_id=theme_id, now=clock()):
            if one.state is not DistributionState.PLANNING and distribution.complete_if_done(
                session, distribution_id=one.distribution_id, now=clock()
            ):
                outcome = ", ".join(f"{count} {state}" for state, count in sorted(one.states.items()) if count)
                name = f"send · {one.channel}"
                steps.finish_step(session, theme_id=theme_id, name=name, now=clock(), outcome=outcome)


@task(name="settle finished corrections", retries=3, retry_delay_seconds=1)
def settle_corrections(theme_id: int) -> None:
    """Complete the corrections that are done, and note it in the timeline."""
    with database().begin() as session:
        for one in distribution.progress(session, theme_id=theme_id, now=clock(), purpose=Purpose.CORRECTION):
            if distribution.complete_if_done(session, distribution_id=one.distribution_id, now=clock()):
                outcome = ", ".join(f"{count} {state}" for state, count in sorted(one.states.items()) if count)
                name = f"correct · {one.channel}"
                steps.finish_step(session, theme_id=theme_id, name=name, now=clock(), outcome=outcome or "nobody")


@task(name="sweep deliveries", retries=3, retry_delay_seconds=1)
def sweep_deliveries() -> str:
    """What crashes and races left behind: what dead senders held, rows of themes that are over, tallies to add up."""
    with database().begin() as session:
        swept = distribution.sweep_deliveries(session, now=clock())
    reaped = f"{swept.reaped.given_back} given back, {swept.reaped.in_doubt} in doubt"
    ended = f"{swept.expired} expired, {swept.cancelled} cancelled, {len(swept.completed)} complete"
    return f"{reaped}, {ended}, {swept.codes} codes free again"


@task(name="join receipts", retries=3, retry_delay_seconds=1)
def join_receipts() -> int:
    """Let receipts that wait meet their deliveries: those that came before the answer, or while nobody joined them."""
    joined, more = 0, True
    while more:
        with database().begin() as session:
            count = receipts.join_waiting(session, now=clock())
        joined, more = joined + count, count > 0
    return joined
