"""Moving a theme from one state to the next: the one place that writes a theme's state."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.service.record import Act, write_down
from models.queries import steps
from models.theme import Theme
from offers.service import live
from themes.lifecycle import FINAL_STATES, Move, ThemeState, move


def move_theme(
    session: Session,
    theme: Theme,
    a_move: Move,
    *,
    actor: str,
    now: datetime,
    comment: str = "",
    object_hash: str | None = None,
    flow_run_id: UUID | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Move a locked theme on, write the audit row and the timeline, and let its offers follow.

    Raises:
        MoveRefused: the table of moves has no such move from the state that the theme is in.
    """
    before = theme.state
    theme.state = move(before, a_move)
    theme.state_changed_at = now
    act = Act(
        act=a_move.value,
        actor=actor,
        object_kind="theme",
        object_key=theme.key,
        theme_key=theme.key,
        object_hash=object_hash,
        comment=comment,
        flow_run_id=flow_run_id,
        details={"from": before.value, "to": theme.state.value, **(details or {})},
    )
    write_down(session, act, now=now)
    _note_step(session, theme, before, now)
    live.follow(session, theme, a_move, now=now)


def _note_step(session: Session, theme: Theme, before: ThemeState, now: datetime) -> None:
    after = theme.state.value
    steps.finish_open_steps(session, theme_id=theme.id, prefix=before.value, now=now, outcome=after)
    name = steps.begin_next_step(session, theme_id=theme.id, name=after, now=now)
    if theme.state in FINAL_STATES:
        steps.finish_step(session, theme_id=theme.id, name=name, now=now, outcome="the end")
