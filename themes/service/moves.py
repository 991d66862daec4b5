"""Moving a theme from one state to the next: the one place that writes a theme's state."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.service.record import Act, write_down
from models.queries import steps
from models.theme import Theme
from themes.lifecycle import Move, ThemeState, move


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
    """Move a locked theme on, and write the audit row and the timeline.

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


def _note_step(session: Session, theme: Theme, before: ThemeState, now: datetime) -> None:
    steps.finish_open_steps(session, theme_id=theme.id, prefix=f"{before.value}", now=now, outcome=theme.state.value)
    name = f"{theme.state.value} · {now:%Y-%m-%d %H:%M:%S.%f}"[: -len("000")]
    steps.begin_step(session, theme_id=theme.id, name=name, now=now)
