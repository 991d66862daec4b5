"""The timeline of a theme."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.theme import Step


def begin_step(
    session: Session,
    *,
    theme_id: int,
    name: str,
    now: datetime,
    revision_number: int | None = None,
    flow_run_id: UUID | None = None,
) -> None:
    """Begin a step once; a repeated run of the same step keeps its first start."""
    statement = insert(Step).values(
        theme_id=theme_id, name=name, started_at=now, revision_number=revision_number, flow_run_id=flow_run_id
    )
    session.execute(statement.on_conflict_do_nothing())


def begin_next_step(session: Session, *, theme_id: int, name: str, now: datetime) -> str:
    """Begin a step that a theme comes to again and again: `in_review`, `in_review · 2`, … Returns its full name."""
    again = or_(Step.name == name, Step.name.startswith(f"{name} · ", autoescape=True))
    before = session.scalars(select(func.count()).where(Step.theme_id == theme_id, again)).one()
    full_name = f"{name} · {before + 1}" if before else name
    begin_step(session, theme_id=theme_id, name=full_name, now=now)
    return full_name


def finish_step(session: Session, *, theme_id: int, name: str, now: datetime, outcome: str) -> None:
    unfinished = (Step.theme_id == theme_id) & (Step.name == name) & Step.finished_at.is_(None)
    session.execute(update(Step).where(unfinished).values(finished_at=now, outcome=outcome))


def finish_newest_step(session: Session, *, theme_id: int, name: str, now: datetime, outcome: str) -> None:
    """Finish a step that a theme may have come to again and again: the one of that name which is under way."""
    again = or_(Step.name == name, Step.name.startswith(f"{name} · ", autoescape=True))
    unfinished = (Step.theme_id == theme_id) & again & Step.finished_at.is_(None)
    session.execute(update(Step).where(unfinished).values(finished_at=now, outcome=outcome))


def finish_open_steps(session: Session, *, theme_id: int, prefix: str, now: datetime, outcome: str) -> None:
    unfinished = (
        (Step.theme_id == theme_id) & Step.name.startswith(prefix, autoescape=True) & Step.finished_at.is_(None)
    )
    session.execute(update(Step).where(unfinished).values(finished_at=now, outcome=outcome))


def timeline(session: Session, theme_id: int) -> Sequence[Step]:
    return session.scalars(select(Step).where(Step.theme_id == theme_id).order_by(Step.started_at, Step.id)).all()
