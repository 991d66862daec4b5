# ruff: noqa: S608 - every statement here is put together from constants of this module
"""What has not left and never will: rows of themes that are taken down, recalled or over."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import TextClause, or_, select, text
from sqlalchemy.orm import Session

from channels.states import CLAIMABLE_STATES, Channel, DeliveryState, Purpose
from models.delivery import Distribution
from models.queries import limits, tallies, walks
from models.queries.access_paths import IN_ORDER
from models.theme import Theme
from themes.lifecycle import ThemeState
from themes.revocation import TAKEN_DOWN

_OVER = (ThemeState.ENDED, *TAKEN_DOWN)

_FINISH = """
    UPDATE deliveries dl SET state = :state, due_at = NULL, changed_at = :now
    FROM {picked} picked WHERE dl.id = picked.id
"""
_FINISH_FRESH = text(f"{IN_ORDER} WITH {walks.fresh()} {_FINISH.format(picked='fresh')}")
_FINISH_WAITING = text(f"""{IN_ORDER}
    WITH waiting AS (
        SELECT id FROM deliveries
        WHERE distribution_id = :distribution_id AND due_at IS NOT NULL AND state IN ('retrying', 'held')
        LIMIT :limit FOR UPDATE SKIP LOCKED
    ) {_FINISH.format(picked="waiting")}
""")


def finish_pending(
    session: Session,
    *,
    theme_id: int,
    state: DeliveryState,
    now: datetime,
    channel: Channel | None = None,
    limit: int | None = None,
) -> int:
    """Move what no sender holds of the theme's own messages to `state`; returns how many rows, at most `limit`.

    Rows that somebody is changing this moment are passed over, never waited for.
    """
    own = select(Distribution.id).where(Distribution.theme_id == theme_id, Distribution.purpose == Purpose.THEME)
    if channel is not None:
        own = own.where(Distribution.channel == channel)
    finished = 0
    for distribution_id in session.scalars(own.order_by(Distribution.id)).all():
        finished += finish_pending_of(
            session,
            distribution_id=distribution_id,
            state=state,
            now=now,
            limit=None if limit is None else limit - finished,
        )
    return finished


def finish_pending_of(
    session: Session, *, distribution_id: int, state: DeliveryState, now: datetime, limit: int | None = None
) -> int:
    """The same for one distribution, of whatever purpose."""
    values = {"distribution_id": distribution_id, "state": state.value, "now": now}
    finished = _run(session, _FINISH_WAITING, values, limit)
    for _ in range(2):  # once more from the start, for what the walk had left behind
        finished += _run(session, _FINISH_FRESH, values, None if limit is None else limit - finished)
        full = limit is not None and finished >= limit
        if full or not walks.back_to_left_behind(session, distribution_id=distribution_id):
            break
    if finished:
        limits.give_back_ended(session, distribution_id=distribution_id)
    return finished


def _run(session: Session, statement: TextClause, values: Mapping[str, object], limit: int | None) -> int:
    done = session.execute(statement, {**values, "limit": limit})
    return int(done.rowcount)  # type: ignore[attr-defined] # a CursorResult, which the stubs widen


def expire_over(session: Session, *, now: datetime) -> int:
    """Expire what is left of distributions whose time is over, be it because an offer of the theme has ended."""
    over = (Distribution.expires_at <= now) & (Distribution.purpose == Purpose.THEME)
    query = select(Distribution.id).where(over, tallies.any_in(CLAIMABLE_STATES)).order_by(Distribution.id)
    return sum(
        finish_pending_of(session, distribution_id=distribution_id, state=DeliveryState.EXPIRED, now=now)
        for distribution_id in session.scalars(query).all()
    )


def themes_with_pending(session: Session, *, now: datetime) -> Sequence[Theme]:
    """Themes that are over and still have rows that would have gone out."""
    own = (Distribution.theme_id == Theme.id) & (Distribution.purpose == Purpose.THEME)
    pending = select(Distribution.id).where(own, tallies.any_in(CLAIMABLE_STATES)).exists()
    over = or_(Theme.ends_at <= now, Theme.state.in_(_OVER))
    return session.scalars(select(Theme).where(over, pending).order_by(Theme.id)).all()
