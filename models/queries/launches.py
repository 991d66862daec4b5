"""Themes that are launched, will be, or are taken back from it, and the runs that launch them."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from models.takedown import Revocation, Takedown
from models.theme import Theme
from themes.lifecycle import ThemeState
from themes.revocation import RevocationState

#: In these a theme has a launch run, or will have one.
_LAUNCHED = (ThemeState.APPROVED, ThemeState.SCHEDULED, ThemeState.LIVE)


def themes_without_launch_run(session: Session) -> Sequence[int]:
    """Ids of themes that should have a launch run and have none."""
    query = select(Theme.id).where(Theme.state.in_(_LAUNCHED), Theme.launch_run_id.is_(None))
    return session.scalars(query.order_by(Theme.id)).all()


def scheduled_launches(session: Session) -> Sequence[Row[Any]]:
    """Themes that wait for their start, and the run that will launch each."""
    columns = (Theme.id.label("theme_id"), Theme.key, Theme.revision_id, Theme.starts_at, Theme.launch_run_id)
    query = select(*columns).where(Theme.state == ThemeState.SCHEDULED, Theme.launch_run_id.is_not(None))
    return session.execute(query.order_by(Theme.id)).all()


def wanted_launch_runs(session: Session, runs: Collection[UUID]) -> frozenset[UUID]:
    """Which of these runs a theme is launched by."""
    query = select(Theme.launch_run_id).where(Theme.launch_run_id.in_(runs), Theme.state.in_(_LAUNCHED))
    return frozenset(run for run in session.scalars(query) if run is not None)


def channels_to_undo(session: Session, theme_id: int) -> Sequence[Row[Any]]:
    """Channels of a takedown on which something may still leave, and what was missing at the last look."""
    query = (
        select(Revocation.channel, Revocation.last_problem, Revocation.tries, Takedown.taken_down_at)
        .join(Takedown, Takedown.id == Revocation.takedown_id)
        .where(Takedown.theme_id == theme_id, Revocation.state == RevocationState.PENDING)
    )
    return session.execute(query.order_by(Revocation.channel)).all()
