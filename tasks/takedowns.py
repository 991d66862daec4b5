"""Undoing what was taken down, until it is done, and bringing corrections to those already reached."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from prefect import get_run_logger, task

from channels.service import corrections
from models.queries import distributions
from tasks.connection import clock, database
from tasks.distribution import settle_corrections
from tasks.sender_runs import ensure_senders
from tasks.theme_steps import alert
from themes.lifecycle import ThemeState
from themes.service import takedown

#: Whoever takes a theme down waits so long for calls that are under way; what takes longer the reconciler sees to.
PATIENCE = timedelta(seconds=5)
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionUnderWay:
    distribution_id: int
    channel: str
    theme_id: int
    theme_key: str


def follow_takedowns(patience: timedelta = timedelta()) -> None:
    """Everything that follows from a takedown. Idempotent, so that whoever comes first may call it."""
    undo_takedowns(patience)
    under_way = corrections_under_way()
    for one in under_way:
        ensure_senders(one.distribution_id, one.channel, one.theme_key)
    for theme_id in sorted({one.theme_id for one in under_way}):
        settle_corrections(theme_id)


@task(name="undo takedowns", retries=3, retry_delay_seconds=1)
def undo_takedowns(patience: timedelta = timedelta()) -> list[str]:
    """Look at every theme that is taken down and not revoked yet. Returns the keys of those that are now.

    The corrections of channels that are undone are planned here as well, and those that lack rows.
    """
    until = clock() + patience
    with database().begin() as session:
        waiting = takedown.themes_to_undo(session)
    undone = [key for theme_id in waiting if (key := _undo(theme_id, until)) is not None]
    made = corrections.plan_corrections(database(), now=clock())
    if any(made.values()):
        get_run_logger().info("corrections planned: %s", sum(made.values()))
    return undone


def _undo(theme_id: int, until: datetime) -> str | None:
    """The trouble of one theme is an alert, and keeps no other theme from being undone."""
    try:
        return _look_until_done(theme_id, until)
    except Exception as trouble:  # noqa: BLE001 - whatever it is, the others go on, and this one is tried again
        get_run_logger().exception("takedown of theme %s is not undone", theme_id)
        text = f"theme {theme_id} is not undone, and is tried again: {type(trouble).__name__}: {trouble}"
        alert(key=takedown.trouble_key(theme_id), subject="a takedown cannot be undone", text=text)
        return None


def _look_until_done(theme_id: int, until: datetime) -> str | None:
    while True:
        with database().begin() as session:
            undone = takedown.undo_channels(session, theme_id=theme_id, now=clock())
        if undone.state is not ThemeState.REVOKING:
            return undone.theme_key
        get_run_logger().info("takedown of %s: %s", undone.theme_key, dict(undone.missing))
        if not undone.cancelled and clock() >= until:
            return None
        if not undone.cancelled:
            time.sleep(LOOK_SECONDS)


@task(name="find corrections under way", retries=3, retry_delay_seconds=1)
def corrections_under_way() -> list[CorrectionUnderWay]:
    with database().begin() as session:
        return [
            CorrectionUnderWay(
                distribution_id=row.id, channel=row.channel.value, theme_id=theme.id, theme_key=theme.key
            )
            for row, theme in distributions.corrections_under_way(session)
        ]
