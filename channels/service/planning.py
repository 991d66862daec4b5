"""Planning: the audience is evaluated once and gone through in chunks, each a transaction of its own.

A plan may be begun, broken off and begun again at any time, by any number of processes, also while senders are at work:
what is done stays done, and rows that are there stay untouched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import Session

from channels.service.errors import DistributionClosed, DistributionUnknown
from channels.states import Channel, DeliveryState
from models.database import Database
from models.delivery import Distribution, DistributionState
from models.queries import capped, codes_reserved, distributions, plans, tallies
from models.queries.capped import Capping
from models.theme import Theme
from themes.lifecycle import ThemeState

#: So often every customer of a live theme is looked at again: a lost row shows in the tallies, and at once, if the
#: database still kept them when it was lost.
CHECK_EVERY = timedelta(hours=6)

#: After so long it is asked whether there are codes by now for those who were left out for want of one.
ASK_FOR_CODES_AFTER = timedelta(minutes=1)

#: Selects the ids of the customers whom a distribution is for.
AudienceOf = Callable[[Session, Distribution], Select[Any]]
#: The coupons of which every recipient of a distribution needs a code.
CouponsOf = Callable[[Session, Distribution], Sequence[str]]


def no_coupons(_: Session, __: Distribution) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """`new` rows came by this plan; `states` counts all rows of the distribution, and their sum is what is planned."""

    distribution_id: int
    channel: Channel
    new: int
    states: Mapping[DeliveryState, int]
    left_out: Mapping[str, int]  # reason -> customers
    over_cap: int  # planned, and yet stopped by a cap if nothing changes until they leave

    @property
    def planned(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What a sweep planned anew: distribution -> rows that had been missing."""

    looked_at: int
    made: dict[int, int]


def plan(
    database: Database,
    *,
    distribution_id: int,
    audience_of: AudienceOf,
    now: datetime,
    coupons_of: CouponsOf = no_coupons,
) -> PlanReport:
    """Create the rows that are missing, list who gets none and why, and let senders begin once all are there.

    An address that is suppressed has a row, in state `suppressed`. Who is over a cap as things are is planned, and
    counted: whether she gets the message is decided when it is about to leave. Codes that the message carries are
    reserved here, and nobody has a row without hers.

    Raises:
        DistributionUnknown
        DistributionClosed: the theme is over, or was taken down, perhaps meanwhile: what is planned by then stays.
    """
    with database.begin() as session:
        distribution, theme = _opened(session, distribution_id, now)
        _lay_down(session, distribution, audience_of)
        since = capped.capping(session, product_line_id=theme.product_line_id, channel=distribution.channel, now=now)
        coupons = coupons_of(session, distribution)
    new = 0
    while (made := _plan_chunk(database, distribution_id, since, coupons, now)) is not None:
        new += made
    with database.begin() as session:
        return _let_begin(session, distribution_id, new, now)


def plan_missing(
    database: Database,
    *,
    audience_of: AudienceOf,
    now: datetime,
    coupons_of: CouponsOf = no_coupons,
    check_every: timedelta = CHECK_EVERY,
) -> Mended:
    """Find the plans of live themes that were broken off or have lost rows, and complete them.

    What is lost shows in the counts that the database keeps; what they cannot show is found by going through every
    plan again now and then. The audience stays the one of the plan. Whoever had no code is planned once there is one.
    """
    with database.begin() as session:
        lacking = plans.lacking_rows(session, now=now, complete_since=now - check_every)
        supplied = _with_codes_by_now(session, coupons_of, now)
    made = {}
    for distribution_id in (*lacking, *(one for one in supplied if one not in lacking)):
        begin = plans.begin_anew if distribution_id in lacking else plans.begin_anew_without_code
        report = plan_again(
            database,
            distribution_id=distribution_id,
            audience_of=audience_of,
            now=now,
            coupons_of=coupons_of,
            begin_anew=begin,
        )
        if report is not None and report.new:
            made[distribution_id] = report.new
    return Mended(looked_at=len({*lacking, *supplied}), made=made)


def plan_again(
    database: Database,
    *,
    distribution_id: int,
    audience_of: AudienceOf,
    now: datetime,
    coupons_of: CouponsOf = no_coupons,
    begin_anew: Callable[[Session, int], None] = plans.begin_anew,
) -> PlanReport | None:
    """Go through the whole plan once more, or on with one that was broken off; None where the theme is over by now.

    `begin_anew` says which of its chunks.
    """
    try:
        with database.begin() as session:
            distribution, _ = _opened(session, distribution_id, now)
            plan_ = plans.current(session, distribution)
            if plan_ is not None and plan_.completed_at is not None:
                begin_anew(session, distribution_id)
        return plan(database, distribution_id=distribution_id, audience_of=audience_of, now=now, coupons_of=coupons_of)
    except DistributionClosed:
        return None


def _with_codes_by_now(session: Session, coupons_of: CouponsOf, now: datetime) -> Sequence[int]:
    """Plans that left somebody out for want of a code, and could give her one now."""
    waiting = plans.lacking_codes(session, now=now, complete_before=now - ASK_FOR_CODES_AFTER)
    found = [
        (one, codes_reserved.pools(session, theme_id=one.theme_id, coupons=coupons_of(session, one))) for one in waiting
    ]
    return [one.id for one, pools in found if codes_reserved.any_free(session, pools)]


def _opened(session: Session, distribution_id: int, now: datetime) -> tuple[Distribution, Theme]:
    """The distribution, held, and its theme; raises DistributionUnknown, DistributionClosed."""
    found = distributions.lock(session, distribution_id)
    if found is None:
        raise DistributionUnknown(distribution_id)
    because = _not_plannable(*found, now)
    if because is not None:
        raise DistributionClosed(distribution_id=distribution_id, because=because)
    return found


def _not_plannable(distribution: Distribution, theme: Theme, now: datetime) -> str | None:
    if theme.state not in {ThemeState.LIVE, ThemeState.PAUSED}:
        return f"the theme is {theme.state}"
    if theme.revision_id != distribution.revision_id:
        return "the theme is live on another revision"
    return "the theme has ended" if theme.ends_at <= now else None


def _lay_down(session: Session, distribution: Distribution, audience_of: AudienceOf) -> None:
    if plans.current(session, distribution) is None:
        plans.evaluate(session, distribution=distribution, audience=audience_of(session, distribution))


def _plan_chunk(
    database: Database, distribution_id: int, since: Capping, coupons: Sequence[str], now: datetime
) -> int | None:
    """Plan the next chunk; None when none is left."""
    with database.begin() as session:
        distribution, theme = _opened(session, distribution_id, now)
        chunk = plans.next_chunk(session, distribution_id)
        if chunk is None:
            return None
        codes = codes_reserved.pools(session, theme_id=distribution.theme_id, coupons=coupons)
        codes_reserved.hold(session, codes)
        new = plans.plan_chunk(
            session,
            distribution=distribution,
            product_line_id=theme.product_line_id,
            chunk=chunk,
            since=since,
            now=now,
            codes=codes,
        )
        if new and distribution.state is DistributionState.COMPLETE:
            distribution.state, distribution.completed_at = DistributionState.SENDING, None
        return new


def _let_begin(session: Session, distribution_id: int, new: int, now: datetime) -> PlanReport:
    distribution, _ = _opened(session, distribution_id, now)
    done = plans.complete(session, distribution_id=distribution_id, now=now)
    if distribution.state is DistributionState.PLANNING:
        distribution.state = DistributionState.SENDING
    distribution.planned_at = distribution.planned_at or now
    session.flush()
    return PlanReport(
        distribution_id=distribution_id,
        channel=distribution.channel,
        new=new,
        states=tallies.by_state(tallies.counts(session, distribution_id)),
        left_out=dict(sorted(done.left_out.items())),
        over_cap=plans.over_cap(session, distribution_id),
    )
