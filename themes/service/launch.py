"""From approved to ended: scheduling, starting, pausing, ending."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session

from approval.service.people import IdentityRules, identify
from approval.service.signing import Signature
from models.queries import alerts, themes
from models.theme import Theme
from themes.errors import StartOutsideWindow, WindowOver
from themes.lifecycle import Move, ThemeState, move
from themes.service.finding import owners, require_right, require_theme, stewards
from themes.service.moves import move_theme

SCHEDULER, LAUNCHER = "system:scheduler", "system:launch"
#: In these a theme has a launch run; one that a person launched or resumed is live before it gets its run.
_LAUNCHED = {ThemeState.SCHEDULED, ThemeState.LIVE}


class StartOutcome(StrEnum):
    STARTED = "started"
    ALREADY_LIVE = "already live"
    NOT_DUE = "not due"
    MISSED = "missed"
    NOT_SCHEDULED = "not scheduled"  # recalled, moved, or launched with another revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A launch that Prefect is to show as Scheduled."""

    theme_id: int
    key: str
    title: str
    revision_id: int
    revision: int
    starts_at: datetime
    attempt: int  # counts launch runs that were lost or recalled


def launch_to_schedule(session: Session, theme_id: int) -> Launch | None:
    """The launch that an approved theme, or a scheduled or live one without a run, still needs."""
    theme = themes.theme_by_id(session, theme_id)
    waiting = theme.state is ThemeState.APPROVED or (theme.state in _LAUNCHED and theme.launch_run_id is None)
    if not waiting or theme.revision_id is None:
        return None
    revision = themes.revision_by_id(session, theme.revision_id)
    return Launch(
        theme_id=theme.id,
        key=theme.key,
        title=theme.title,
        revision_id=revision.id,
        revision=revision.number,
        starts_at=theme.starts_at,
        attempt=theme.launch_attempt,
    )


def schedule(session: Session, *, launch: Launch, run_id: UUID, now: datetime) -> bool:
    """Note the scheduled run; False when the theme has moved on meanwhile and the run is not wanted."""
    theme = themes.theme_by_id(session, launch.theme_id, lock=True)
    wanted = (theme.revision_id, theme.starts_at, theme.launch_attempt)
    if wanted != (launch.revision_id, launch.starts_at, launch.attempt):
        return False
    if theme.state is ThemeState.APPROVED:
        details = {"starts_at": launch.starts_at.isoformat(), "flow_run": str(run_id)}
        move_theme(session, theme, Move.SCHEDULE, actor=SCHEDULER, now=now, details=details)
    if theme.state not in _LAUNCHED:
        return False
    theme.launch_run_id = run_id
    return True


def forget_launch_run(session: Session, *, theme_id: int, run_id: UUID) -> bool:
    """A launch run is lost: the theme gets another. False when the theme has moved on meanwhile."""
    theme = themes.theme_by_id(session, theme_id, lock=True)
    if theme.state is not ThemeState.SCHEDULED or theme.launch_run_id != run_id:
        return False
    _want_launch_run(theme)
    return True


def start(
    session: Session, *, theme_id: int, revision_id: int, grace: timedelta, now: datetime, flow_run_id: UUID | None
) -> StartOutcome:
    """Put a scheduled theme live. Started twice it is live once."""
    theme = themes.theme_by_id(session, theme_id, lock=True)
    if theme.revision_id != revision_id:
        return StartOutcome.NOT_SCHEDULED
    if theme.state is ThemeState.LIVE:
        return StartOutcome.ALREADY_LIVE
    if theme.state is not ThemeState.SCHEDULED:
        return StartOutcome.NOT_SCHEDULED
    if now < theme.starts_at:
        return StartOutcome.NOT_DUE
    if now > theme.starts_at + grace or now >= theme.ends_at:
        _miss(session, theme, now)
        return StartOutcome.MISSED
    move_theme(session, theme, Move.START, actor=LAUNCHER, now=now, flow_run_id=flow_run_id)
    return StartOutcome.STARTED


def miss_late_starts(session: Session, *, grace: timedelta, now: datetime) -> list[str]:
    """Scheduled themes that nothing started in time ask a person. Returns their keys."""
    late = [theme.id for theme in themes.themes_to_start_by(session, now - grace)]
    missed = []
    for theme_id in late:
        theme = themes.theme_by_id(session, theme_id, lock=True)
        if theme.state is ThemeState.SCHEDULED and theme.starts_at + grace < now:
            _miss(session, theme, now)
            missed.append(theme.key)
    return missed


def _miss(session: Session, theme: Theme, now: datetime) -> None:
    move_theme(session, theme, Move.MISS, actor=SCHEDULER, now=now)
    alerts.raise_alert(
        session,
        key=f"missed:{theme.key}:{theme.starts_at.isoformat()}",
        subject="a launch was missed",
        text=f"theme {theme.key!r} should have started at {theme.starts_at.isoformat()}; "
        f"decide: `themeline theme launch-now {theme.key}`, `move-start` or `drop` (or the deployment theme-action)",
        now=now,
        theme_key=theme.key,
    )


def end_themes_that_are_over(session: Session, *, now: datetime) -> list[int]:
    """End what has passed its end time. Returns the ids."""
    ended = []
    for over in themes.themes_ended_by(session, now):
        theme = themes.theme_by_id(session, over.id, lock=True)
        if theme.state in {ThemeState.LIVE, ThemeState.PAUSED}:
            move_theme(session, theme, Move.END, actor=SCHEDULER, now=now)
            ended.append(theme.id)
    return ended


def pause(session: Session, *, key: str, signature: Signature, rules: IdentityRules, now: datetime) -> int:
    return _steer(session, key=key, a_move=Move.PAUSE, signature=signature, rules=rules, now=now).id


def resume(session: Session, *, key: str, signature: Signature, rules: IdentityRules, now: datetime) -> int:
    """Go on with a paused theme: a new launch run brings its senders back."""
    theme = _steer(session, key=key, a_move=Move.RESUME, signature=signature, rules=rules, now=now)
    _want_launch_run(theme)
    return theme.id


def drop(session: Session, *, key: str, signature: Signature, rules: IdentityRules, now: datetime) -> int:
    return _steer(session, key=key, a_move=Move.DROP, signature=signature, rules=rules, now=now).id


def launch_now(session: Session, *, key: str, signature: Signature, rules: IdentityRules, now: datetime) -> int:
    """Launch a missed theme at once.

    Raises:
        WindowOver: it has ended meanwhile.
    """
    theme = require_theme(session, key, lock=True)
    if theme.ends_at <= now:
        raise WindowOver(key=key, ends_at=theme.ends_at)
    theme = _steer(session, key=key, a_move=Move.LAUNCH_NOW, signature=signature, rules=rules, now=now)
    _want_launch_run(theme)
    return theme.id


def _want_launch_run(theme: Theme) -> None:
    """In the transaction that moved the theme, so that whoever looks next finds the run missing and makes it."""
    theme.launch_run_id, theme.launch_attempt = None, theme.launch_attempt + 1


def move_start(
    session: Session,
    *,
    key: str,
    starts_at: datetime,
    signature: Signature,
    rules: IdentityRules,
    now: datetime,
) -> int:
    """Give a missed theme a new start, inside the window that was approved.

    Raises:
        StartOutsideWindow
    """
    theme = require_theme(session, key, lock=True)
    if not now < starts_at < theme.ends_at:
        raise StartOutsideWindow(starts_at=starts_at, ends_at=theme.ends_at)
    theme = _steer(session, key=key, a_move=Move.MOVE_START, signature=signature, rules=rules, now=now)
    theme.starts_at = starts_at
    _want_launch_run(theme)
    return theme.id


def _steer(
    session: Session, *, key: str, a_move: Move, signature: Signature, rules: IdentityRules, now: datetime
) -> Theme:
    """A move that its owners and stewards may make.

    Raises:
        ThemeUnknown, MoveRefused, NotAllowed, IdentityRefused
    """
    theme = require_theme(session, key, lock=True)
    move(theme.state, a_move)  # refused before a code is used up
    allowed = owners(session, theme) | stewards(session, theme)
    who = "its author, an editor, or whom the policy lets take it down"
    require_right(session, signature.login, allowed, act=a_move.value.replace("_", " "), theme=theme, who=who)
    identify(session, login=signature.login, code=signature.code, rules=rules, now=now)
    move_theme(
        session,
        theme,
        a_move,
        actor=signature.login,
        now=now,
        comment=signature.comment,
        flow_run_id=signature.flow_run_id,
    )
    return theme
